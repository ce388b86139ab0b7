// SPDX-License-Identifier: MIT
// Redis backplanes on one thread, managers on others. What this proves, ThreadSanitizer proves.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/backplane/cluster.hpp>
#include <roost/manager/connection_manager.hpp>
#include <roost/redis.hpp>
#include <roost/testing.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "redis/redis_server.hpp"

namespace roost {
namespace {

namespace asio = boost::asio;
using nlohmann::json;
using test::RedisServer;
using testing::FakeWebSocket;
template <class T = void>
using awaitable = asio::awaitable<T>;

constexpr std::size_t messages_each = 200;

/// An io_context with a thread that runs it.
class Thread {
 public:
  ~Thread() { join(); }
  asio::io_context context{1};

  void start() {
    thread_ = std::thread([this] { context.run(); });
  }
  void join() {
    work_.reset();
    if (thread_.joinable()) thread_.join();
  }
  template <class T>
  std::future<T> spawn(awaitable<T> coroutine) {
    return asio::co_spawn(context, std::move(coroutine), asio::use_future);
  }

 private:
  asio::executor_work_guard<asio::io_context::executor_type> work_{context.get_executor()};
  std::thread thread_;
};

/// A manager on a thread, bound to a backplane on another.
struct Replica {
  Thread& thread;
  RedisBackplane backplane;
  ConnectionManager<FakeWebSocket> manager{thread.context.get_executor()};
  Cluster cluster{bind_manager(backplane, manager)};
  std::shared_ptr<FakeWebSocket> socket = std::make_shared<FakeWebSocket>();

  Replica(Thread& its_thread, Thread& of_backplane, const RedisServer& server)
      : thread(its_thread),
        backplane(of_backplane.context.get_executor(),
                  {.url = server.url(), .routing = Routing::per_room}) {}

  // All of it on the manager's thread: the backplane's awaitables may be awaited anywhere.
  awaitable<> begin() {
    co_await backplane.start();
    co_await manager.connect(socket, {.connection_id = "client", .rooms = {"all"}});
  }
  awaitable<> work(std::size_t expected) {
    const std::string room = "some";
    for (std::size_t n = 0; n < messages_each; ++n) {
      const json message = {{"n", n}};
      const Published sent = co_await cluster.broadcast_json(message, {.room = "all"});
      if (!sent) throw std::runtime_error("it did not arrive");
      if (n % 50 == 0) co_await manager.join("client", room);
      if (n % 50 == 25) co_await manager.leave("client", room);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (socket->sent().size() < expected) {
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("not all came");
      co_await asio::post(asio::use_awaitable);
    }
  }
  awaitable<> end() { co_await backplane.stop(); }
};

TEST_CASE("managers on several threads share backplanes on another", "[redis][threads]") {
  RedisServer server;
  Thread backplanes, one, two;
  Replica a(one, backplanes, server);
  Replica b(two, backplanes, server);
  std::size_t seen = 0;  // on the thread of the backplanes
  a.backplane.on([&](const json& message) { seen += message.contains("payload") ? 1 : 0; });
  for (Thread* thread : {&backplanes, &one, &two}) thread->start();
  auto begun = std::vector<std::future<void>>();
  begun.push_back(one.spawn(a.begin()));
  begun.push_back(two.spawn(b.begin()));
  for (auto& future : begun) future.get();
  CHECK(a.backplane.state() == RedisState::subscribed);

  constexpr std::size_t expected = 2 * messages_each;
  std::vector<std::future<void>> working;
  working.push_back(one.spawn(a.work(expected)));
  working.push_back(two.spawn(b.work(expected)));
  for (auto& future : working) CHECK_NOTHROW(future.get());

  std::vector<std::future<void>> ended;
  ended.push_back(one.spawn(a.end()));
  ended.push_back(two.spawn(b.end()));
  for (auto& future : ended) future.get();
  CHECK(a.backplane.state() == RedisState::stopped);
  for (Thread* thread : {&one, &two, &backplanes}) thread->join();
  CHECK(a.socket->sent().size() == expected);
  CHECK(b.socket->sent().size() == expected);
  CHECK(seen == expected);
  CHECK(a.backplane.stats().lost == 0);
  CHECK(b.backplane.stats().lost == 0);
}

}  // namespace
}  // namespace roost
