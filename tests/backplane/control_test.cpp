// SPDX-License-Identifier: MIT
// What replicas ask each other and tell each other to do, inside one process.
#include <boost/asio/io_context.hpp>
#include <memory>
#include <roost/backplane/control/control_message.hpp>
#include <roost/backplane/local_backplane.hpp>
#include <roost/testing.hpp>
#include <string>
#include <utility>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost::test {

struct LocalControlWorld {
  using Backplane = LocalBackplane;

  ManualClock clock;
  boost::asio::io_context context;
  LocalHub hub;

  std::unique_ptr<LocalBackplane> make_control(boost::asio::io_context& its_context,
                                               std::string label) {
    return std::make_unique<LocalBackplane>(
        its_context.get_executor(), hub,
        LocalBackplaneOptions{.label = std::move(label), .clock = &clock});
  }
  void until_known(boost::asio::io_context&, const Cluster&) {}
  void beat() {}
  template <class Predicate>
  void until(Predicate predicate) {
    run_ready(context);
    REQUIRE(predicate());
  }
};

}  // namespace roost::test

#define ROOST_CONTROL_WORLD test::LocalControlWorld
#include "support/control_contract.hpp"

namespace roost {
namespace {

TEST_CASE("a control message that is damaged or too large is skipped", "[control]") {
  using namespace detail;
  const auto is_read = [](const std::string& text) {
    return !std::holds_alternative<std::monostate>(read_control(text));
  };
  const std::string good =
      R"({"control":"ask","id":"1","from":"a","reply":"b","what":"c","body":{}})";
  CHECK(is_read(good));
  for (std::size_t size = 0; size < good.size(); ++size) CHECK(!is_read(good.substr(0, size)));
  for (const char* const field : {"control", "id", "from", "reply", "what"}) {
    json message = json::parse(good);
    message[field] = "";
    CHECK(!is_read(message.dump()));
    message[field] = 5;
    CHECK(!is_read(message.dump()));
    message[field] = std::string(5'000, 'x');
    CHECK(!is_read(message.dump()));
    message.erase(field);
    CHECK(!is_read(message.dump()));
  }
  CHECK(!is_read("{\"control\":\"ask\",\"body\":" + std::string(100, '[') + std::string(100, ']') +
                 good.substr(16)));
  CHECK(!is_read("\xff" + good));
  CHECK(!is_read(std::string(max_control_bytes, ' ') + good));
  // What other replicas send on the same channel.
  CHECK(!is_read(R"({"node":"a","epoch":1,"last":{"control":5}})"));
}

TEST_CASE("an order that cannot be understood is not carried out", "[control]") {
  using namespace detail;
  const ControlOrder order{.kind = ControlOrder::Kind::disconnect,
                           .to = Target::Kind::room,
                           .name = "lobby",
                           .room = "r",
                           .code = 4000,
                           .reason = "why",
                           .except = "x"};
  ControlQuestion question{.id = "1",
                           .from = "a",
                           .reply = "b",
                           .what = "roost:disconnect",
                           .body = encode_order(order)};
  const auto read = read_order(question);
  REQUIRE(read);
  CHECK(encode_order(*read) == question.body);
  CHECK(read->kind == order.kind);
  for (const char* const field : {"to", "name", "room", "code", "reason", "except"}) {
    ControlQuestion damaged = question;
    for (const json& value : {json(), json("everyone").array(), json(-1), json(70'000)}) {
      damaged.body[field] = value;
      CHECK(!read_order(damaged));
    }
    damaged.body.erase(field);
    CHECK(!read_order(damaged));
  }
  question.what = "roost:reboot";
  CHECK(!read_order(question));
}

TEST_CASE("without a registry the replicas cannot be asked", "[control]") {
  struct Bare {
    boost::asio::any_io_executor executor;
    boost::asio::any_io_executor get_executor() const { return executor; }
    awaitable<> start() { co_return; }
    awaitable<> stop() { co_return; }
    awaitable<Published> publish(const json&) { co_return Published(); }
    Subscription on(BackplaneHandler) { return {}; }
  };
  boost::asio::io_context context;
  Bare backplane{context.get_executor()};
  ConnectionManager<FakeWebSocket> manager(context.get_executor());
  const Cluster cluster = bind_manager(backplane, manager);
  CHECK(error_of([&] { static_cast<void>(cluster.replicas()); }) == errc::not_supported);
  CHECK(error_of([&] { static_cast<void>(cluster.ask("a", json())); }) == errc::not_supported);
  CHECK(error_of([&] { cluster.on_ask("a", [](const json&) { return json(); }); }) ==
        errc::not_supported);
  CHECK(error_of([&] { static_cast<void>(cluster.room_size("a")); }) == errc::not_supported);
}

}  // namespace
}  // namespace roost
