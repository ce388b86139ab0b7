// SPDX-License-Identifier: MIT
// What a peer may send, and how many may be in a room.
#include <roost/roost.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using FakeBench = Bench<FakeWebSocket>;
using ConnectionPtr = FakeBench::ConnectionPtr;

struct Limited : FakeBench {
  std::shared_ptr<FakeWebSocket> socket;
  ConnectionPtr connection;

  explicit Limited(InboundRate limits)
      : FakeBench({.inbound = limits}),
        socket(connect("alice")),
        connection(manager.find("alice")) {}

  void send(int messages, std::size_t bytes = 1) {
    for (int i = 0; i < messages; ++i) socket->peer_sends(std::string(bytes, 'm'));
  }
  // How many can be received without time passing.
  int take() {
    int taken = 0;
    for (;;) {
      auto next = start(manager.next_text(*connection));
      if (!next->is_done()) {
        next->cancel();
        settle();
        return taken;
      }
      if (!next->take()) return taken;
      ++taken;
    }
  }
  // How many until it is closed for the next.
  int take_until_closed() {
    for (int taken = 0;; ++taken) {
      try {
        run(manager.receive_text(*connection));
      } catch (const Error& error) {
        CHECK(error.code() == errc::rate_limited);
        return taken;
      }
    }
  }
};

TEST_CASE("without a rate everything is taken at once", "[inbound]") {
  Limited peer({});
  peer.send(500);
  CHECK(peer.take() == 500);
  CHECK(peer.manager.stats().rate_limited == 0);
}

TEST_CASE("messages over the rate are taken later, and nothing is lost", "[inbound]") {
  Limited peer({.messages = {.per_second = 10, .burst = 5}});
  peer.send(20);
  CHECK(peer.take() == 5);
  peer.pass(99ms);
  CHECK(peer.take() == 0);
  peer.pass(1ms);
  CHECK(peer.take() == 1);
  peer.pass(1h);
  CHECK(peer.take() == 5);
  const auto waiting = peer.start(peer.manager.next_text(*peer.connection));
  CHECK_FALSE(waiting->is_done());
  peer.pass(100ms);
  REQUIRE(waiting->is_done());  // by itself
  CHECK(waiting->take() == "m");
  peer.pass(1h);
  CHECK(peer.take() == 5);
  peer.pass(1h);
  CHECK(peer.take() == 3);
  CHECK(peer.manager.stats().rate_limited > 0);
  CHECK(peer.log.count("rate_limited") >= 1);
  CHECK(peer.manager.total_connections() == 1);
}

TEST_CASE("a long message is paid for before the next is taken", "[inbound]") {
  Limited peer({.bytes = {.per_second = 1'000, .burst = 1'000}});
  peer.send(3, 5'000);
  CHECK(peer.take() == 1);
  peer.pass(3'999ms);
  CHECK(peer.take() == 0);
  peer.pass(2ms);
  CHECK(peer.take() == 1);
}

TEST_CASE("with OverRate::close a client over the rate is closed with 1008", "[inbound]") {
  Limited peer({.messages = {.per_second = 10, .burst = 3}, .over_rate = OverRate::close});
  peer.send(3);
  CHECK(peer.take() == 3);
  peer.pass(100ms);
  peer.send(2);
  CHECK(peer.run(peer.manager.receive_text(*peer.connection)) == "m");
  CHECK(error_of([&] { peer.run(peer.manager.receive_text(*peer.connection)); }) ==
        errc::rate_limited);
  peer.settle();
  CHECK(peer.socket->close_code() == close_code::policy_violation);
  CHECK(peer.manager.stats().ended_by(DisconnectReason::rate_limited) == 1);
  CHECK(peer.manager.stats().rate_limited == 1);
  CHECK(peer.log.last("rate_limited") == R"(rate_limited id="alice")");
}

TEST_CASE("a peer is not closed for what comes together because the server did not take it",
          "[inbound]") {
  Limited peer({.messages = {.per_second = 10, .burst = 5}, .over_rate = OverRate::close});
  const bool is_stalled = GENERATE(true, false);
  CAPTURE(is_stalled);
  CHECK(peer.take() == 0);
  std::shared_ptr<detail::Child<std::optional<std::string>>> first;
  if (is_stalled) {  // while somebody receives
    first = peer.start(peer.manager.next_text(*peer.connection));
    peer.clock.stall(20s);
  } else {
    peer.pass(20s);
  }
  peer.send(200);
  peer.settle();
  if (first) CHECK(first->take() == "m");
  CHECK(peer.take() == (first ? 199 : 200));
  CHECK(peer.manager.stats().rate_limited == 0);
  CHECK(peer.manager.total_connections() == 1);
  // Messages beyond the burst are still too many.
  peer.send(6);
  CHECK(peer.take_until_closed() == 5);
}

TEST_CASE("a peer that was waited for has no more than its burst", "[inbound]") {
  Limited peer({.messages = {.per_second = 10, .burst = 5}, .over_rate = OverRate::close});
  const int how = GENERATE(0, 1, 2);
  CAPTURE(how);
  if (how == 0) {  // in one wait
    auto waiting = peer.start(peer.manager.next_text(*peer.connection));
    peer.pass(1h);
    peer.send(1);
    peer.settle();
    CHECK(waiting->take() == "m");
  } else {  // in many, which are cancelled; or with some work between
    for (int i = 0; i < 1'000; ++i) {
      auto waiting = peer.start(peer.manager.next_text(*peer.connection));
      peer.pass(100ms);
      waiting->cancel();
      peer.settle();
      if (how == 2) peer.pass(50ms);
    }
    peer.send(1);
    CHECK(peer.take() == 1);
  }
  peer.send(5);
  CHECK(peer.take_until_closed() == 4);
}

TEST_CASE("a session that is closed for its rate ends with that reason, and is not a failure",
          "[inbound]") {
  FakeBench bench({.inbound = {.messages = {.per_second = 1}, .over_rate = OverRate::close}});
  const auto socket = bench.socket();
  const auto handler = [&](ConnectionPtr self) -> awaitable<> {
    for (;;) co_await bench.manager.receive(*self);
  };
  const auto session = bench.start(bench.manager.session(socket, {}, handler));
  socket->peer_sends("one");
  socket->peer_sends("two");
  bench.settle();
  REQUIRE(session->is_done());
  CHECK(session->take().reason == DisconnectReason::rate_limited);
  CHECK(bench.log.count("handler_failed") == 0);
}

TEST_CASE("a client that leaves while its messages wait is gone immediately", "[inbound]") {
  Limited peer({.messages = {.per_second = 1, .burst = 1}});
  peer.send(1);
  CHECK(peer.take() == 1);
  const auto waiting = peer.start(peer.manager.next_text(*peer.connection));
  peer.socket->peer_vanishes();
  peer.settle();
  REQUIRE(waiting->is_done());
  CHECK_FALSE(waiting->take());
}

TEST_CASE("a wait for the rate can be cancelled, and the message is still there", "[inbound]") {
  Limited peer({.messages = {.per_second = 1, .burst = 1}});
  peer.send(2);
  CHECK(peer.take() == 1);
  CHECK(peer.take() == 0);  // cancels
  peer.pass(1s);
  CHECK(peer.take() == 1);
}

// --- rooms ---

TEST_CASE("a full room takes nobody, until somebody leaves", "[inbound]") {
  FakeBench bench({.max_room_members = 2});
  bench.connect("a", {"lobby"});
  bench.connect("b", {"lobby"});
  bench.connect("c", {"attic"});
  const auto joining = [&] { bench.run(bench.manager.join("c", "lobby")); };
  CHECK(error_of(joining) == errc::room_full);
  CHECK(contains(message_of(joining), "\"lobby\" has 2 members"));
  CHECK(bench.run(bench.manager.join("a", "lobby")));  // is in it
  CHECK(error_of([&] { bench.connect("d", {"attic", "lobby"}); }) == errc::room_full);
  CHECK(bench.manager.find("d") == nullptr);
  CHECK(bench.manager.room_size("attic") == 1);
  CHECK(bench.manager.stats().rooms_refused == 3);
  CHECK(bench.manager.stats().refused == 1);
  CHECK(bench.log.count(Severity::warning, "room_full") == 1);
  bench.run(bench.manager.leave("a", "lobby"));
  CHECK(bench.run(bench.manager.join("c", "lobby")));
}

TEST_CASE("a room does not get fuller while a hook is asked", "[inbound]") {
  Gate gate;
  FakeBench bench({.room_validator = [&](std::string_view, auto&) -> awaitable<bool> {
                     co_await gate.pass();
                     co_return true;
                   },
                   .max_room_members = 1});
  bench.connect("a");
  bench.connect("b");
  const auto first = bench.start(bench.manager.join("a", "lobby"));
  const auto second = bench.start(bench.manager.join("b", "lobby"));
  const auto third = bench.start(bench.manager.connect(bench.socket(), {.rooms = "lobby"}));
  gate.open();
  bench.settle();
  int let_in = 0;
  const auto take = [&](const auto& task) {
    try {
      task->take();
      ++let_in;
    } catch (const Error& error) {
      CHECK(is(error, errc::room_full));
    }
  };
  take(first);
  take(second);
  take(third);
  CHECK(let_in == 1);
  CHECK(bench.manager.room_size("lobby") == 1);
}

TEST_CASE("a client whose session begins in a full room is told to try again", "[inbound]") {
  FakeBench bench({.max_room_members = 1});
  bench.connect("a", {"lobby"});
  const auto socket = bench.socket();
  const auto handler = [](ConnectionPtr) -> awaitable<> { co_return; };
  CHECK(error_of([&] { bench.run(bench.manager.session(socket, {.rooms = "lobby"}, handler)); }) ==
        errc::room_full);
  bench.settle();
  CHECK(socket->close_code() == close_code::try_again_later);
}

TEST_CASE("names and ids have no control characters", "[inbound]") {
  FakeBench bench;
  for (const char* name : {"a\nb", "\x01", "a\x7F", "\xC2\x85", "\xE2\x80\xA8"}) {
    CAPTURE(name);
    CHECK(error_of([&] { bench.connect("a", {name}); }) == errc::invalid_room_name);
    CHECK(error_of([&] { bench.connect(name); }) == errc::invalid_connection_id);
    CHECK(error_of([&] { bench.manager.post_text("x", {.room = name}); }) ==
          errc::invalid_room_name);
  }
  bench.connect("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\xA6", {"r\xC3\xA9"});
  CHECK(bench.manager.room_size("r\xC3\xA9") == 1);
}

TEST_CASE("limits outside their range are refused by name", "[inbound]") {
  const auto error = [](FakeBench::Options options) {
    return message_of([&] { FakeBench bench(std::move(options)); });
  };
  CHECK(contains(error({.max_total_outbox_bytes = 1'000}), "max_total_outbox_bytes"));
  CHECK(contains(error({.inbound = {.messages = {.per_second = 2'000'000'000}}}),
                 "inbound.messages.per_second"));
  CHECK(contains(error({.inbound = {.bytes = {.per_second = 1, .burst = 2'000'000'000}}}),
                 "inbound.bytes.burst"));
  CHECK(contains(error({.max_room_members = 0}), "max_room_members"));
}

}  // namespace
}  // namespace roost
