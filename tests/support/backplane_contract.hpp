// SPDX-License-Identifier: MIT
// What every backplane promises. Included by one file for each kind, after it has defined its
// world: how a backplane is made, and what progress is. ROOST_TEST_WORLD is its name.
#pragma once

#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cmath>
#include <cstddef>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/log.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using Numbers = std::vector<int>;
using Strings = std::vector<std::string>;

// What the suite does with a world. That nothing arrives is seen when something later does.
template <class World>
struct Suite : World {
  using Backplane = typename World::Backplane;

  std::unique_ptr<Backplane> started(const Config& config = {}) {
    auto backplane = this->make(config);
    this->run(backplane->start());
    return backplane;
  }
  Published publish(Backplane& backplane, int n) {
    return this->run(backplane.publish(numbered(n)));
  }
  void until_got(const Recorder& recorder, const Numbers& expected) {
    this->until([&] { return recorder.got().size() >= expected.size(); });
    CHECK(recorder.numbers() == expected);
  }
};

TEMPLATE_TEST_CASE("a message reaches every handler of every replica once", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  const auto b = world.started();
  Recorder a1, a2, b1;
  a->on(a1.handler());
  a->on(a2.handler());
  b->on(b1.handler());
  const json message = {{"kind", "text"}, {"payload", {1, "t\xC3\xA9xt", nullptr}}};
  world.run(a->publish(message));
  world.until([&] { return !a1.got().empty() && !a2.got().empty() && !b1.got().empty(); });
  world.publish(*b, 2);
  world.until([&] { return a1.got().size() > 1 && a2.got().size() > 1 && b1.got().size() > 1; });
  const std::vector<json> expected{message, numbered(2)};
  CHECK(a1.got() == expected);
  CHECK(a2.got() == expected);
  CHECK(b1.got() == expected);
}

TEMPLATE_TEST_CASE("the messages of a publisher arrive in their order", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  const auto b = world.started();
  Recorder plain;
  Numbers slow;
  a->on(plain.handler());
  const auto coroutine = [&](const json& message) -> awaitable<> {
    co_await boost::asio::post(boost::asio::use_awaitable);
    slow.push_back(message["n"]);
  };
  a->on(coroutine);
  Numbers expected;
  for (int n = 0; n < 100; ++n) expected.push_back(n);
  const auto publish_all = [&]() -> awaitable<> {
    for (const int n : expected) {
      const json message = numbered(n);
      co_await b->publish(message);
    }
  };
  world.run(publish_all());
  world.until_got(plain, expected);
  world.until([&] { return slow.size() == 100; });
  CHECK(slow == expected);
}

TEMPLATE_TEST_CASE("a handler that throws is logged, and the others run", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  Recorder before, after;
  int calls = 0;
  a->on(before.handler());
  a->on([&](const json&) {
    ++calls;
    throw std::runtime_error("plain trouble");
  });
  const auto coroutine = [&](const json&) -> awaitable<> {
    ++calls;
    co_await boost::asio::post(boost::asio::use_awaitable);
    throw std::runtime_error("late trouble");
  };
  a->on(coroutine);
  a->on([&](const json&) -> awaitable<> {  // no coroutine, but returns one
    ++calls;
    throw 5;
  });
  a->on(after.handler());
  world.publish(*a, 1);
  world.publish(*a, 2);
  world.until_got(before, {1, 2});
  world.until_got(after, {1, 2});
  world.until([&] { return calls == 6 && world.log.lines().size() == 6; });
  CHECK(world.log.count(Severity::warning, "backplane_handler_failed") == 6);
  for (const char* why : {"plain trouble", "late trouble", "unknown type"}) {
    std::size_t count = 0;
    for (const auto& line : world.log.lines()) count += contains(line.text, why) ? 1 : 0;
    CHECK(count == 2);
  }
}

TEMPLATE_TEST_CASE("publishing needs no start, receiving does", "[backplane]", ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto publisher = world.make();
  const auto listener = world.started();
  Recorder not_started, started;
  publisher->on(not_started.handler());
  listener->on(started.handler());
  const Published first = world.publish(*publisher, 1);
  CHECK(first.receivers.value_or(1) == 1);
  CHECK(first.local == 0);
  world.until_got(started, {1});
  world.run(publisher->start());
  const Published second = world.publish(*publisher, 2);
  CHECK(second.receivers.value_or(2) == 2);
  CHECK(second.local == 1);
  world.until_got(started, {1, 2});
  world.until_got(not_started, {2});
}

TEMPLATE_TEST_CASE("stop ends receiving, start begins anew, both may be repeated", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto witness = world.started();
  const auto a = world.make();
  Recorder seen, all;
  a->on(seen.handler());
  witness->on(all.handler());
  world.run(a->stop());  // never started
  world.run(a->start());
  world.run(a->start());
  world.publish(*a, 1);
  world.until_got(seen, {1});
  world.run(a->stop());
  world.run(a->stop());
  CHECK(world.publish(*a, 2));  // still publishes
  world.until_got(all, {1, 2});
  world.run(a->start());
  world.publish(*witness, 3);
  world.until_got(seen, {1, 3});
  world.until_got(all, {1, 2, 3});
}

TEMPLATE_TEST_CASE("after stop no handler begins, not even for what was waiting", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  Gate gate;
  Numbers begun;
  const auto waits = [&](const json& message) -> awaitable<> {
    begun.push_back(message["n"]);
    co_await gate.pass();
  };
  a->on(waits);
  Recorder witness;
  a->on(witness.handler());
  for (int n = 1; n <= 3; ++n) world.publish(*a, n);
  world.until_got(witness, {1, 2, 3});
  world.until([&] { return begun == Numbers{1}; });
  world.run(a->stop());  // does not wait for the handler
  gate.open();
  world.run(a->start());
  world.publish(*a, 4);
  world.until_got(witness, {1, 2, 3, 4});
  world.until([&] { return begun.size() > 1; });
  CHECK(begun == Numbers{1, 4});
}

TEMPLATE_TEST_CASE("channels do not hear each other", "[backplane]", ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started({.channel = "a"});
  const auto b = world.started({.channel = "b"});
  Recorder at_a, at_b;
  a->on(at_a.handler());
  b->on(at_b.handler());
  world.publish(*a, 1);
  world.publish(*b, 2);
  world.until_got(at_a, {1});
  world.until_got(at_b, {2});
}

TEMPLATE_TEST_CASE("a subscription can be cancelled, and need not be kept", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  auto a = world.started();
  Recorder kept, cancelled, once;
  a->on(kept.handler());
  Subscription subscription = a->on(cancelled.handler());
  Subscription copy = subscription;
  Subscription own;
  own = a->on([&, record = once.handler()](const json& message) {
    record.call(message);
    own.cancel();  // from within
  });
  CHECK(subscription.is_active());
  world.publish(*a, 1);
  world.until_got(kept, {1});
  world.until_got(cancelled, {1});
  world.until_got(once, {1});
  subscription.cancel();
  subscription.cancel();
  CHECK_FALSE(subscription.is_active());
  CHECK_FALSE(copy.is_active());
  copy.cancel();
  world.publish(*a, 2);
  world.until_got(kept, {1, 2});
  CHECK(cancelled.numbers() == Numbers{1});
  CHECK(once.numbers() == Numbers{1});

  Subscription outlives = a->on(kept.handler());
  a.reset();
  CHECK_FALSE(outlives.is_active());
  outlives.cancel();
  Subscription empty;
  CHECK_FALSE(empty.is_active());
  empty.cancel();
}

TEMPLATE_TEST_CASE("what waits for a handler goes with its subscription", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  Gate gate;
  int begun = 0;
  const auto waits = [&](const json&) -> awaitable<> {
    ++begun;
    co_await gate.pass();
  };
  Subscription waiting = a->on(waits);
  Recorder witness;
  a->on(witness.handler());
  for (int n = 1; n <= 3; ++n) world.publish(*a, n);
  world.until_got(witness, {1, 2, 3});
  world.until([&] { return begun == 1; });
  waiting.cancel();
  gate.open();
  world.publish(*a, 4);
  world.until_got(witness, {1, 2, 3, 4});
  CHECK(begun == 1);
}

TEMPLATE_TEST_CASE("a handler that never returns starves only itself", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  int begun = 0;
  const auto never = [&](const json&) -> awaitable<> {
    ++begun;
    co_await wait_for_ever();
  };
  a->on(never);
  Recorder next;
  a->on(next.handler());
  for (int n = 1; n <= 3; ++n) world.publish(*a, n);
  world.until_got(next, {1, 2, 3});
  CHECK(begun == 1);
}

TEMPLATE_TEST_CASE("a coroutine's message lives until it is done", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  Gate gate;
  std::string payload;
  const auto slow = [&](const json& message) -> awaitable<> {
    co_await gate.pass();
    payload = message["payload"];
  };
  a->on(slow);
  const std::string text = "a text of some length, so that it lives on the heap";
  world.run(a->publish({{"payload", text}}));
  world.until([&] { return gate.arrived() == 1; });
  gate.open();
  world.until([&] { return !payload.empty(); });
  CHECK(payload == text);
}

TEMPLATE_TEST_CASE("what no replica could read is an error at the call", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started({.max_message_bytes = 100});
  Recorder got;
  a->on(got.handler());
  json deep = 1;
  for (int i = 0; i < 65; ++i) {
    json outer = json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  const auto refused = [&](const json& message) {
    return error_of([&] { auto unused = a->publish(message); });
  };
  CHECK(refused({{"payload", deep}}) == errc::invalid_json);
  CHECK(refused({{"payload", "\xFF"}}) == errc::invalid_json);
  CHECK(refused("no object") == errc::invalid_json);
  CHECK(refused({{"p", std::string(93, 'x')}}) == errc::message_too_big);  // 101 bytes
  CHECK(contains(message_of([&] {
                   auto unused = a->publish({{"p", std::string(93, 'x')}});
                 }),
                 "max_message_bytes is 100"));
  world.run(a->publish({{"n", 7}, {"p", std::string(86, 'x')}}));  // 100 bytes
  world.until_got(got, {7});
}

TEMPLATE_TEST_CASE("a handler gets what a reader of JSON gets", "[backplane]", ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  Recorder got;
  a->on(got.handler());
  world.run(a->publish({{"nan", std::nan("")}, {"bytes", json::binary({1, 2})}}));
  world.until([&] { return !got.got().empty(); });
  CHECK(got.got().front() == json::parse(R"({"nan":null,"bytes":{"bytes":[1,2],"subtype":null}})"));
}

TEMPLATE_TEST_CASE("a published message is consumed at the call, and published when awaited",
                   "[backplane]", ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  Recorder got;
  a->on(got.handler());
  auto message = std::make_unique<json>(numbered(2));
  (*message)["payload"] = "a text of some length, so that it lives on the heap";
  std::optional<awaitable<Published>> later = a->publish(*message);
  const json expected = *message;
  message.reset();
  { auto never = a->publish(numbered(9)); }
  world.publish(*a, 1);
  world.until_got(got, {1});
  world.run(*std::move(later));
  world.until_got(got, {1, 2});
  CHECK(got.got().back() == expected);
}

TEMPLATE_TEST_CASE("a handler may publish, subscribe and stop", "[backplane]", ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.started();
  const auto witness = world.started();
  Recorder all, added;
  witness->on(all.handler());
  bool is_stopped = false;
  const auto handler = [&](const json& message) -> awaitable<> {
    const int n = message["n"];
    if (n == 1) {
      a->on(added.handler());
      const json answer = numbered(2);
      co_await a->publish(answer);
    } else if (n == 2) {
      co_await a->stop();
      is_stopped = true;
    }
  };
  a->on(handler);
  world.publish(*witness, 1);
  world.until_got(all, {1, 2});
  world.until([&] { return is_stopped; });
  world.publish(*witness, 3);
  world.until_got(all, {1, 2, 3});
  CHECK(added.numbers() == Numbers{2});
}

TEMPLATE_TEST_CASE("an empty handler is refused", "[backplane]", ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto a = world.make();
  CHECK(error_of([&] { a->on({}); }) == errc::invalid_option);
}

TEMPLATE_TEST_CASE("any backplane goes behind a reference", "[backplane]", ROOST_TEST_WORLD) {
  Suite<TestType> world;
  auto a = world.make();
  std::shared_ptr<typename TestType::Backplane> b = world.make();
  const BackplaneRef to_a = *a;
  BackplaneRef to_b = b;
  const BackplaneRef copy = to_a;
  CHECK(to_a);
  CHECK(copy == to_a);
  CHECK_FALSE(to_a == to_b);
  CHECK(to_a == BackplaneRef(*a));
  CHECK(to_b == BackplaneRef(*b));
  CHECK(to_a.get_executor() == world.context.get_executor());

  Recorder got;
  Subscription subscription = to_a.on(got.handler());
  world.run(copy.start());
  b.reset();  // shared
  world.run(to_b.publish(numbered(1)));
  world.until_got(got, {1});
  world.run(to_a.stop());
  world.run(to_a.start());
  subscription.cancel();
  to_b = {};
  CHECK_FALSE(to_b);
}

// --- with managers ---

template <class World>
struct Replica {
  std::unique_ptr<typename World::Backplane> backplane;
  ConnectionManager<FakeWebSocket> manager;
  Cluster cluster;

  explicit Replica(Suite<World>& world) : Replica(world, world.started()) {}
  Replica(Suite<World>& world, std::unique_ptr<typename World::Backplane> its_backplane)
      : backplane(std::move(its_backplane)),
        manager(world.context.get_executor(),
                {.max_outbox_bytes = 200'000'000, .logger = world.log.logger()}),
        cluster(bind_manager(*backplane, manager)) {}

  std::shared_ptr<FakeWebSocket> connect(Suite<World>& world, const char* id) {
    auto socket = std::make_shared<FakeWebSocket>();
    world.run(manager.connect(socket, {.connection_id = id, .rooms = {"lobby"}}));
    return socket;
  }
};

inline Strings payloads_of(const FakeWebSocket& socket) {
  Strings payloads;
  for (const Message& message : socket.sent()) payloads.push_back(message.payload);
  return payloads;
}

TEMPLATE_TEST_CASE("a cluster reaches the connections of every replica", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  Replica<TestType> a(world);
  Replica<TestType> b(world);
  const auto connect = [&](auto& replica, const char* id, Names rooms) {
    auto socket = std::make_shared<FakeWebSocket>();
    world.run(replica.manager.connect(socket, {.connection_id = id, .rooms = rooms}));
    return socket;
  };
  const auto alice = connect(a, "alice", {"lobby", "attic"});
  const auto bob = connect(b, "bob", {"lobby"});
  const auto carol = connect(b, "carol", {"attic"});
  const auto dave = connect(b, "dave", {"cellar"});

  const json value = {{"n", 1}};
  const std::string raw("\0\xFF\x07", 3);
  const auto send_all = [&]() -> awaitable<> {
    co_await a.cluster.broadcast_text("text", {.room = "lobby"});
    co_await a.cluster.broadcast_json(value, {.room = "lobby", .exclude = "alice"});
    co_await a.cluster.broadcast_bytes(std::as_bytes(std::span(raw)), {.room = "attic"});
    co_await a.cluster.broadcast_text("union", {.rooms = {"lobby", "attic"}, .exclude = "bob"});
    co_await a.cluster.broadcast_text("end", {.rooms = {"lobby", "attic", "cellar"}});
  };
  world.run(send_all());
  const auto has_end = [](const auto& socket) {
    return !socket->sent().empty() && socket->sent().back().payload == "end";
  };
  world.until([&] { return has_end(alice) && has_end(bob) && has_end(carol) && has_end(dave); });
  const auto sent = [](const FakeWebSocket& socket) {
    Strings payloads;
    for (const Message& message : socket.sent()) payloads.push_back(message.payload);
    return payloads;
  };
  CHECK(sent(*alice) == Strings{"text", raw, "union", "end"});
  CHECK(sent(*bob) == Strings{"text", R"({"n":1})", "end"});
  CHECK(sent(*carol) == Strings{raw, "union", "end"});
  CHECK(sent(*dave) == Strings{"end"});
  CHECK_FALSE(alice->sent()[1].is_text);
  CHECK(world.log.count("backplane_message_skipped") == 0);
}

TEMPLATE_TEST_CASE("what a cluster cannot send is an error at the call", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto backplane = world.started({.max_message_bytes = 100});
  ConnectionManager<FakeWebSocket> manager(world.context.get_executor(),
                                           {.max_message_bytes = std::nullopt});
  const Cluster cluster = bind_manager(*backplane, manager);
  const auto alice = std::make_shared<FakeWebSocket>();
  world.run(manager.connect(alice, {.rooms = {"lobby"}}));
  const auto text = [&](std::size_t size) {
    return cluster.broadcast_text(std::string(size, 'x'), {.room = "lobby"});
  };
  constexpr std::size_t around = 56;  // {"exclude":[],"kind":"text","payload":"","room":"lobby"}
  CHECK(error_of([&] { auto unused = text(101 - around); }) == errc::message_too_big);
  json deep = 1;
  for (int i = 0; i < 64; ++i) {
    json outer = json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  CHECK(error_of([&] { auto unused = cluster.broadcast_json(deep, {.room = "lobby"}); }) ==
        errc::invalid_json);
  world.run(text(100 - around));
  world.until([&] { return alice->sent().size() == 1; });
}

TEMPLATE_TEST_CASE("what a peer may send fits the backplane, however long it is on the wire",
                   "[backplane]", ROOST_TEST_WORLD) {
  Suite<TestType> world;
  Replica<TestType> a(world);
  Replica<TestType> b(world);
  const auto alice = a.connect(world, "alice");
  const auto bob = b.connect(world, "bob");
  std::string bytes(800'000, '\0');
  std::mt19937 random(1);
  for (char& c : bytes) c = static_cast<char>(random());
  const Strings expected{std::string(1'048'576, '\x01'), std::string(600'000, '\n'), bytes};
  const auto send_all = [&]() -> awaitable<> {
    for (const std::size_t i : {0U, 1U}) {
      const std::string& text = expected[i];
      const Published published = co_await a.cluster.broadcast_text(text, {.room = "lobby"});
      CHECK(published);
    }
    co_await a.cluster.broadcast_bytes(std::as_bytes(std::span(bytes)), {.room = "lobby"});
  };
  world.run(send_all());
  CHECK(payloads_of(*alice) == expected);
  world.until([&] { return bob->sent().size() == expected.size(); });
  CHECK(payloads_of(*bob) == expected);
}

TEMPLATE_TEST_CASE("a backplane whose limit is too small for a manager's is refused", "[backplane]",
                   ROOST_TEST_WORLD) {
  Suite<TestType> world;
  const auto backplane = world.make(Config{.max_message_bytes = 10'095});
  const auto bind = [&](std::optional<std::size_t> limit) {
    ConnectionManager<FakeWebSocket> manager(world.context.get_executor(),
                                             {.max_message_bytes = limit,
                                              .max_outbox_bytes = 1'000'000'000'000,
                                              .max_total_outbox_bytes = {}});
    auto unused = bind_manager(*backplane, manager);
  };
  const auto refused = [&](std::size_t limit) { return message_of([&] { bind(limit); }); };
  CHECK(contains(refused(1000), "max_message_bytes of the backplane is 10095"));
  CHECK(contains(refused(1000), "10096 for max_message_bytes of the manager, which is 1000"));
  CHECK(contains(refused(1'000'000'000), "max_message_bytes of the backplane is 10095"));
  CHECK_NOTHROW(bind(999));
  CHECK_NOTHROW(bind(std::nullopt));
}

TEMPLATE_TEST_CASE("everything that a cluster sends in one turn reaches everybody, in its order",
                   "[backplane]", ROOST_TEST_WORLD) {
  struct Burst {
    std::size_t count;
    std::size_t size;
  };
  // Over ten thousand messages, and over 16 MiB.
  const Burst burst = GENERATE(Burst{11'000, 100}, Burst{20, 900'000});
  Suite<TestType> world;
  Replica<TestType> a(world);
  Replica<TestType> b(world);
  const auto alice = a.connect(world, "alice");
  const auto bob = b.connect(world, "bob");
  std::size_t answered = 0;
  std::size_t wrong = 0;
  const std::string filling(burst.size - 8, 'x');
  const auto text_of = [&](std::size_t n) {
    std::string number = std::to_string(n);
    return std::string(8 - number.size(), '0') + number + filling;
  };
  boost::asio::post(world.context, [&] {
    for (std::size_t n = 0; n < burst.count; ++n) {
      boost::asio::co_spawn(world.context, a.cluster.broadcast_text(text_of(n), {.room = "lobby"}),
                            [&](std::exception_ptr error, const Published& published) {
                              ++answered;
                              const bool is_right = !error && published && published.local == 1 &&
                                                    published.missed == 0;
                              if (!is_right) ++wrong;
                            });
    }
  });
  const auto is_done = [&] {
    return answered == burst.count && alice->sent().size() == burst.count &&
           bob->sent().size() == burst.count;
  };
  world.until(is_done);
  CHECK(wrong == 0);
  for (const auto& socket : {alice, bob}) {
    std::size_t n = 0;
    std::size_t misplaced = 0;
    for (const Message& message : socket->sent()) {
      if (!message.payload.starts_with(text_of(n++).substr(0, 8))) ++misplaced;
    }
    CHECK(misplaced == 0);
  }
  CHECK(world.log.count("backplane_overflow") == 0);
}

TEMPLATE_TEST_CASE(
    "every bound manager gets what a cluster sends once, the sender's without a "
    "backplane that has started",
    "[backplane]", ROOST_TEST_WORLD) {
  Suite<TestType> world;
  Replica<TestType> a(world, world.make());
  Replica<TestType> elsewhere(world);
  ConnectionManager<FakeWebSocket> second(world.context.get_executor());
  const Cluster also = bind_manager(*a.backplane, second);
  Recorder handler;
  a.backplane->on(handler.handler());
  const auto alice = a.connect(world, "alice");
  const auto bob = std::make_shared<FakeWebSocket>();
  world.run(second.connect(bob, {.rooms = {"lobby"}}));
  const auto carol = elsewhere.connect(world, "carol");
  const auto send = [&](const Cluster& from, const char* text) {
    return world.run(from.broadcast_text(text, {.room = "lobby"}));
  };
  CHECK(send(a.cluster, "not started").local == 1);
  CHECK(alice->sent_texts() == Strings{"not started"});
  world.run(a.backplane->start());
  CHECK(send(a.cluster, "of the first").local == 3);
  CHECK(alice->sent_texts().back() == "of the first");
  CHECK(send(also, "of the second").local == 3);
  CHECK(bob->sent_texts().back() == "of the second");
  send(elsewhere.cluster, "end");
  const auto has_end = [](const auto& socket) {
    return !socket->sent().empty() && socket->sent().back().payload == "end";
  };
  world.until([&] { return has_end(alice) && has_end(bob) && has_end(carol); });
  CHECK(alice->sent_texts() == Strings{"not started", "of the first", "of the second", "end"});
  CHECK(carol->sent_texts() == Strings{"not started", "of the first", "of the second", "end"});
  Strings sorted = bob->sent_texts();
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == Strings{"end", "of the first", "of the second"});
  world.until([&] { return handler.got().size() == 3; });
}

TEMPLATE_TEST_CASE("backplanes, handles and managers go in any order", "[backplane]",
                   ROOST_TEST_WORLD) {
  std::string order = "bhmr";
  do {
    CAPTURE(order);
    Suite<TestType> world;
    auto backplane = world.started();
    auto manager = std::make_unique<ConnectionManager<FakeWebSocket>>(world.context.get_executor());
    auto cluster = std::make_unique<Cluster>(bind_manager(*backplane, *manager));
    const auto socket = std::make_shared<FakeWebSocket>();
    world.run(manager->connect(socket, {.rooms = {"lobby"}}));
    world.run(cluster->broadcast_text("1", {.room = "lobby"}));
    std::optional<awaitable<Published>> later = cluster->broadcast_text("2", {.room = "lobby"});
    std::optional<awaitable<void>> start = backplane->start();
    boost::asio::co_spawn(world.context, cluster->broadcast_text("3", {.room = "lobby"}),
                          [](auto&&...) {});
    for (const char what : order) {
      if (what == 'b') backplane.reset();
      if (what == 'h') cluster.reset();
      if (what == 'm') manager.reset();
      if (what == 'r') run_ready(world.context);
    }
    CHECK(world.run(*std::move(later)).receivers.value_or(0) == 0);
    CHECK(error_of([&] { world.run(*std::move(start)); }) == errc::backplane_unavailable);
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace
}  // namespace roost
