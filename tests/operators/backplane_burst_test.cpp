// SPDX-License-Identifier: MIT
// What servers send over a backplane at once, and what their clients may send: real sockets, a real
// Redis, default limits.
#include <roost/backplane/local_backplane.hpp>
#include <roost/beast.hpp>
#include <roost/redis.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/beast_client.hpp"
#include "catch.hpp"
#include "redis/redis_server.hpp"

namespace roost {
namespace {

using namespace test;
using tcp = boost::asio::ip::tcp;
using Manager = ConnectionManager<BeastWebSocket>;
template <class T = void>
using awaitable = boost::asio::awaitable<T>;

constexpr std::size_t burst_size = 30'000;

struct Local {
  boost::asio::io_context context;
  LocalHub hub;

  auto make() { return std::make_unique<LocalBackplane>(context.get_executor(), hub); }
};

struct OverRedis {
  RedisServer server;
  boost::asio::io_context context;

  auto make() {
    return std::make_unique<RedisBackplane>(context.get_executor(),
                                            RedisOptions{.url = server.url()});
  }
};

template <class World>
struct Replica {
  World& world;
  decltype(std::declval<World&>().make()) backplane = world.make();
  std::string log = {};  // warnings and errors
  Manager manager;
  Cluster cluster;
  std::vector<Published> published = {};
  std::optional<Listener> listener = {};

  explicit Replica(World& its_world)
      : world(its_world),
        manager(world.context.get_executor(), {.logger =
                                                   [this](const LogEvent& event) {
                                                     if (event.severity >= Severity::warning)
                                                       log += event.to_string() + "\n";
                                                   }}),
        cluster(bind_manager(*backplane, manager)) {
    listener.emplace(roost::listen(manager, {boost::asio::ip::address_v4::loopback(), 0}, {},
                                   [this](Upgrade upgrade) { return serve(std::move(upgrade)); }));
    const auto starting =
        detail::Child<void>::start(world.context.get_executor(), backplane->start());
    testing::run_until(world.context, [&] { return starting->is_done(); });
    starting->take();
  }

  awaitable<> serve(Upgrade upgrade) {
    auto socket = co_await upgrade.accept();
    const auto handler = [this](Manager::ConnectionPtr self) { return relay(std::move(self)); };
    co_await manager.session(socket, {.rooms = "lobby"}, handler);
  }
  awaitable<> relay(Manager::ConnectionPtr self) {
    for (;;) {
      const Message message = co_await manager.receive(*self);
      if (message.payload == "burst") {
        send_burst();
      } else if (message.is_text) {
        published.push_back(co_await cluster.broadcast_text(message.payload, {.room = "lobby"}));
      } else {
        published.push_back(co_await cluster.broadcast_bytes(
            std::as_bytes(std::span(message.payload)), {.room = "lobby"}));
      }
    }
  }
  void send_burst() {
    for (std::size_t n = 0; n < burst_size; ++n) {
      std::string text = std::to_string(n);
      text.resize(100, '.');
      boost::asio::co_spawn(world.context, cluster.broadcast_text(text, {.room = "lobby"}),
                            [this](std::exception_ptr error, const Published& its) {
                              if (!error) published.push_back(its);
                            });
    }
  }
  BeastClient join() {
    const std::size_t before = manager.total_connections();
    BeastClient client(world.context.get_executor(), listener->local_endpoint(), "/");
    testing::run_until(world.context, [&] { return manager.total_connections() > before; });
    return client;
  }
  std::size_t failed() const {
    std::size_t count = 0;
    for (const Published& one : published) count += one && one.local == 1 ? 0 : 1;
    return count;
  }
};

template <class World>
void check_burst() {
  World world;
  Replica<World> here(world);
  Replica<World> there(world);
  BeastClient alice = here.join();
  BeastClient bob = there.join();
  alice.send_text("burst");
  testing::run_until(
      world.context,
      [&] {
        return here.published.size() == burst_size && alice.messages().size() == burst_size &&
               bob.messages().size() == burst_size;
      },
      std::chrono::seconds(150));
  INFO(here.log << there.log);
  CHECK(here.failed() == 0);
  for (const BeastClient* client : {&alice, &bob}) {
    std::size_t n = 0;
    std::size_t misplaced = 0;
    for (const Message& message : client->messages()) {
      if (!message.payload.starts_with(std::to_string(n++) + ".")) ++misplaced;
    }
    CHECK(misplaced == 0);
  }
}

TEST_CASE("30,000 messages of one turn reach the members here and elsewhere, in their order") {
  SECTION("within a process") { check_burst<Local>(); }
  SECTION("over Redis") { check_burst<OverRedis>(); }
}

template <class World>
void check_sizes() {
  World world;
  Replica<World> here(world);
  Replica<World> there(world);
  BeastClient alice = here.join();
  BeastClient bob = there.join();
  std::mt19937 random(7);
  std::string bytes(800'000, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  const std::vector<std::string> texts{std::string(1'048'576, 'x'), std::string(600'000, '\n'),
                                       std::string(300'000, '\x01'),
                                       std::string(1'048'576, '\x01')};
  std::size_t count = 0;
  for (const std::string& text : texts) {
    alice.send_text(text);
    ++count;
    testing::run_until(world.context, [&] {
      return alice.is_over() ||
             (alice.messages().size() == count && bob.messages().size() == count);
    });
    REQUIRE_FALSE(alice.is_over());
    CHECK((alice.messages().back().payload == text));
    CHECK((bob.messages().back().payload == text));
  }
  alice.send_bytes(bytes);
  testing::run_until(world.context, [&] {
    return alice.is_over() || (alice.messages().size() > count && bob.messages().size() > count);
  });
  REQUIRE_FALSE(alice.is_over());
  CHECK((alice.messages().back().payload == bytes));
  CHECK((bob.messages().back().payload == bytes));
  CHECK(here.failed() == 0);
}

TEST_CASE("any message that a client may send goes on to all") {
  SECTION("within a process") { check_sizes<Local>(); }
  SECTION("over Redis") { check_sizes<OverRedis>(); }
}

}  // namespace
}  // namespace roost
