// SPDX-License-Identifier: MIT
// Sending to sockets that take no frames: one send at a time, in order, nobody waits for ever.
#include <roost/roost.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/plain_socket.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using FakeBench = Bench<FakeWebSocket>;
using Strings = std::vector<std::string>;

TEST_CASE("a broadcast reaches everyone, or a room, and says how many", "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice", {"lobby"});
  const auto bob = bench.connect("bob", {"lobby", "attic"});
  const auto carol = bench.connect("carol");
  CHECK(bench.run(bench.manager.broadcast_text("all")) == 3);
  CHECK(bench.run(bench.manager.broadcast_text("lobby", {.room = "lobby"})) == 2);
  CHECK(bench.run(bench.manager.broadcast_text("attic", {.room = "attic"})) == 1);
  CHECK(bench.run(bench.manager.broadcast_text("nobody", {.room = "cellar"})) == 0);
  CHECK(alice->sent_texts() == Strings{"all", "lobby"});
  CHECK(bob->sent_texts() == Strings{"all", "lobby", "attic"});
  CHECK(carol->sent_texts() == Strings{"all"});
}

TEST_CASE("the members of several rooms get a broadcast once each", "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice", {"lobby", "attic"});
  const auto bob = bench.connect("bob", {"attic"});
  const auto carol = bench.connect("carol", {"cellar"});
  const Strings none;
  CHECK(bench.run(bench.manager.broadcast_text("1", {.rooms = {"lobby", "attic"}})) == 2);
  CHECK(bench.run(bench.manager.broadcast_text("2", {.room = "lobby", .rooms = "cellar"})) == 2);
  CHECK(bench.run(bench.manager.broadcast_text("3", {.rooms = {"lobby", "lobby"}})) == 1);
  CHECK(alice->sent_texts() == Strings{"1", "2", "3"});
  CHECK(bob->sent_texts() == Strings{"1"});
  CHECK(carol->sent_texts() == Strings{"2"});
}

TEST_CASE("a broadcast to an empty list of rooms reaches nobody, not everyone", "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice", {"lobby"});
  const Strings rooms_of_nobody;
  CHECK(bench.run(bench.manager.broadcast_text("secret", {.rooms = rooms_of_nobody})) == 0);
  CHECK(bench.run(bench.manager.broadcast_text("x", {.room = "lobby", .rooms = rooms_of_nobody})) ==
        1);
  bench.manager.post_text("secret", {.rooms = rooms_of_nobody});
  bench.settle();
  CHECK(alice->sent_texts() == Strings{"x"});
}

TEST_CASE("the excluded get nothing, in every spelling", "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice", {"lobby"});
  const auto bob = bench.connect("bob", {"lobby"});
  const Strings both{"alice", "bob"};
  CHECK(bench.run(bench.manager.broadcast_text("1", {.exclude = "alice"})) == 1);
  CHECK(bench.run(bench.manager.broadcast_text("2", {.exclude = {"bob"}})) == 1);
  CHECK(bench.run(bench.manager.broadcast_text("3", {.exclude = both})) == 0);
  CHECK(bench.run(bench.manager.broadcast_text("4", {.room = "lobby", .exclude = "alice"})) == 1);
  CHECK(bench.run(bench.manager.broadcast_text("5", {.exclude = {"nobody", "alice"}})) == 1);
  CHECK(alice->sent_texts() == Strings{"2"});
  CHECK(bob->sent_texts() == Strings{"1", "4", "5"});
}

TEST_CASE("text, bytes and JSON arrive as what they are", "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice");
  const std::array<std::byte, 3> bytes{std::byte{0}, std::byte{0xFF}, std::byte{7}};
  const json value = {{"n", 1}};
  CHECK(bench.run(bench.manager.broadcast_text("t\xC3\xA9xt")) == 1);
  CHECK(bench.run(bench.manager.broadcast_bytes(bytes)) == 1);
  CHECK(bench.run(bench.manager.broadcast_json(value)) == 1);
  CHECK(bench.run(bench.manager.send_to("alice", "text")));
  CHECK(bench.run(bench.manager.send_to("alice", bytes)));
  CHECK(bench.run(bench.manager.send_to("alice", value)));
  const auto connection = bench.manager.find("alice");
  CHECK(bench.run(connection->send_text("text")));
  CHECK(bench.run(connection->send_bytes(bytes)));
  CHECK(bench.run(connection->send_json(value)));
  CHECK(bench.run(bench.manager.broadcast_text("")) == 1);

  const std::string raw("\0\xFF\x07", 3);
  const std::vector<std::pair<bool, std::string>> expected{
      {true, "t\xC3\xA9xt"}, {false, raw},
      {true, R"({"n":1})"},  {true, "text"},
      {false, raw},          {true, R"({"n":1})"},
      {true, "text"},        {false, raw},
      {true, R"({"n":1})"},  {true, ""}};
  std::vector<std::pair<bool, std::string>> sent;
  for (const Message& message : alice->sent()) sent.emplace_back(message.is_text, message.payload);
  CHECK(sent == expected);
}

TEST_CASE("a room must be named where the manager requires one", "[sending]") {
  FakeBench bench({.require_room = true});
  const auto alice = bench.connect("alice", {"lobby"});
  const json value = 1;
  CHECK(error_of([&] { auto unused = bench.manager.broadcast_text("t"); }) == errc::room_required);
  CHECK(error_of([&] { auto unused = bench.manager.broadcast_json(value, {.exclude = "x"}); }) ==
        errc::room_required);
  CHECK(error_of([&] { bench.manager.post_bytes({}); }) == errc::room_required);
  CHECK(bench.run(bench.manager.broadcast_text("ok", {.room = "lobby"})) == 1);
  CHECK(bench.run(bench.manager.broadcast_text("ok", {.rooms = {"lobby"}})) == 1);
  CHECK(bench.run(bench.manager.send_to("alice", "ok")));
  CHECK(alice->sent_texts() == Strings{"ok", "ok", "ok"});
}

TEST_CASE("a message that cannot be sent is an error at the call, and nobody is dropped",
          "[sending]") {
  FakeBench bench;
  const auto socket = bench.connect("alice", {"lobby"});
  const auto alice = bench.manager.find("alice");
  const json no_utf8 = "\xFF";
  json deep = 1;
  for (int i = 0; i < 65; ++i) {
    json outer = json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  auto& manager = bench.manager;
  CHECK(error_of([&] { auto unused = manager.broadcast_json(no_utf8); }) == errc::invalid_json);
  CHECK(error_of([&] { auto unused = manager.broadcast_json(deep); }) == errc::invalid_json);
  CHECK(error_of([&] { auto unused = manager.send_to("alice", no_utf8); }) == errc::invalid_json);
  CHECK(error_of([&] { auto unused = alice->send_json(deep); }) == errc::invalid_json);
  CHECK(error_of([&] { manager.post_json(no_utf8); }) == errc::invalid_json);
  CHECK(error_of([&] { auto unused = manager.broadcast_text("\xC3"); }) == errc::invalid_utf8);
  CHECK(error_of([&] { auto unused = manager.send_to("alice", "\xC3"); }) == errc::invalid_utf8);
  CHECK(error_of([&] { auto unused = alice->send_text("\xC3"); }) == errc::invalid_utf8);
  CHECK(error_of([&] { manager.post_text("\xC3"); }) == errc::invalid_utf8);
  CHECK(error_of([&] { auto unused = manager.broadcast_text("t", {.room = ""}); }) ==
        errc::invalid_room_name);
  bench.settle();
  CHECK(alice->is_connected());
  CHECK(socket->sent().empty());
  CHECK(bench.log.lines().size() == 1);  // the connect
}

TEST_CASE("sending to nobody is false", "[sending]") {
  FakeBench bench;
  const json value = 1;
  CHECK_FALSE(bench.run(bench.manager.send_to("nobody", "text")));
  CHECK_FALSE(bench.run(bench.manager.send_to("nobody", value)));
  CHECK(bench.run(bench.manager.broadcast_text("text")) == 0);
}

TEST_CASE("a failed send drops that connection, closes it, and leaves the others alone",
          "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice", {"lobby"});
  const auto bob = bench.connect("bob", {"lobby"});
  const auto connection = bench.manager.find("alice");
  alice->fail_sends();
  SECTION("in a broadcast") {
    CHECK(bench.run(bench.manager.broadcast_text("hi", {.room = "lobby"})) == 1);
    CHECK(bob->sent_texts() == Strings{"hi"});
  }
  SECTION("in a send to it") { CHECK_FALSE(bench.run(bench.manager.send_to("alice", "hi"))); }
  SECTION("in a send by it") { CHECK_FALSE(bench.run(connection->send_text("hi"))); }
  SECTION("in a post") { bench.manager.post_text("hi"); }
  bench.settle();
  CHECK(connection->ended()->reason == DisconnectReason::send_failed);
  CHECK(alice->is_aborted());
  CHECK(bench.manager.find("alice") == nullptr);
  CHECK(bench.manager.room_size("lobby") == 1);
  CHECK(bench.log.count(Severity::warning, "dropped") == 1);
  CHECK(contains(bench.log.last("dropped"), R"(id="alice" reason="send_failed")"));
  CHECK_FALSE(bob->close_code());
  CHECK(bench.run(bench.manager.broadcast_text("still here")) == 1);
}

TEST_CASE("many that are dropped at once do not flood the log", "[sending]") {
  FakeBench bench;
  for (const char* id : {"a", "b", "c"}) bench.connect(id)->fail_sends();
  CHECK(bench.run(bench.manager.broadcast_text("hi")) == 0);
  bench.settle();
  CHECK(bench.manager.stats().ended_by(DisconnectReason::send_failed) == 3);
  CHECK(bench.log.count(Severity::warning, "dropped") == 1);
}

TEST_CASE("the reader of a dropped connection ends", "[sending]") {
  FakeBench bench;
  const auto socket = bench.connect("alice");
  const auto alice = bench.manager.find("alice");
  const auto receiving = bench.start(bench.manager.receive_text(*alice));
  CHECK_FALSE(receiving->is_done());
  socket->fail_sends();
  CHECK_FALSE(bench.run(bench.manager.send_to("alice", "hi")));
  bench.settle();
  CHECK(error_of([&] { receiving->take(); }) == errc::connection_closed);
}

TEST_CASE("a send that takes longer than the timeout drops the connection, and nobody waits longer",
          "[sending]") {
  FakeBench bench({.send_timeout = 2s});
  const auto alice = bench.connect("alice");
  const auto bob = bench.connect("bob");
  alice->stall_sends();
  const auto sending = bench.start(bench.manager.broadcast_text("hi"));
  CHECK(bob->sent_texts() == Strings{"hi"});  // at once
  bench.pass(1999ms);
  CHECK_FALSE(sending->is_done());
  CHECK(bench.manager.total_connections() == 2);
  bench.pass(1ms);
  REQUIRE(sending->is_done());
  CHECK(sending->take() == 1);
  CHECK(bench.manager.find("alice") == nullptr);
  CHECK(alice->is_aborted());
  CHECK(bench.manager.stats().ended_by(DisconnectReason::send_timeout) == 1);
  CHECK(bench.log.count(Severity::warning, "dropped") == 1);
}

TEST_CASE("a send that takes a little less than the timeout is a send", "[sending]") {
  FakeBench bench({.send_timeout = 2s});
  const auto alice = bench.connect("alice");
  alice->delay_sends(bench.clock, 1999ms);
  const auto sending = bench.start(bench.manager.send_to("alice", "hi"));
  bench.pass(1998ms);
  CHECK_FALSE(sending->is_done());
  bench.pass(1ms);
  CHECK(sending->take());
  CHECK(alice->sent_texts() == Strings{"hi"});
  bench.pass(10s);
  CHECK(bench.manager.total_connections() == 1);
}

// Ignores that it is closed or cancelled: its send never ends.
struct DeafSocket : PlainSocket {
  static inline detail::WaitList never;
  bool is_stuck = false;
  awaitable<> send_text(std::string_view text) override {
    sent.emplace_back(text);
    if (!is_stuck) co_return;
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    const auto executor = co_await boost::asio::this_coro::executor;
    while (is_stuck) co_await detail::wait(never, executor, Clock::system());
    throw std::runtime_error("at last");
  }
};

TEST_CASE("a send that never ends holds nobody but itself", "[sending]") {
  Bench<PlainSocket> bench({.send_timeout = 1s});
  const auto stuck = std::make_shared<DeafSocket>();
  bench.run(bench.manager.connect(stuck, {.connection_id = "stuck", .rooms = {"lobby"}}));
  const auto bob = bench.connect("bob", {"lobby"});
  stuck->is_stuck = true;
  const auto first = bench.start(bench.manager.broadcast_text("1", {.room = "lobby"}));
  const auto second = bench.start(bench.manager.send_to("stuck", "2"));
  bench.manager.post_text("3");
  bench.settle();
  CHECK(bob->sent == Strings{"1", "3"});
  bench.pass(1s);
  CHECK(first->take() == 1);
  CHECK_FALSE(second->take());
  CHECK(bench.manager.total_connections() == 1);
  CHECK(stuck->closed.size() == 1);
  CHECK(bench.run(bench.manager.broadcast_text("4")) == 1);
  CHECK(stuck->sent == Strings{"1"});
  CHECK(bench.manager.stats().queued_bytes == 0);

  stuck->is_stuck = false;  // its end, long after, harms nobody
  DeafSocket::never.notify_all();
  bench.settle();
  CHECK(bench.manager.total_connections() == 1);
}

TEST_CASE("a socket never sees two sends at once, and all in the order of the calls", "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice", {"lobby"});
  const auto bob = bench.connect("bob", {"lobby"});
  alice->delay_sends(bench.clock, 1ms);
  const auto connection = bench.manager.find("alice");
  std::vector<FakeBench::Task<std::size_t>> broadcasts;
  std::vector<FakeBench::Task<bool>> sends;
  Strings expected;
  for (int i = 0; i < 30; ++i) {
    const std::string text = std::to_string(i);
    expected.push_back(text);
    if (i % 3 == 0) broadcasts.push_back(bench.start(bench.manager.broadcast_text(text)));
    if (i % 3 == 1) {
      bench.manager.post_text(text, {.room = "lobby"});
      bench.settle();
    }
    if (i % 3 == 2) sends.push_back(bench.start(connection->send_text(text)));
  }
  for (int i = 0; i < 31; ++i) bench.pass(1ms);
  CHECK(alice->sent_texts() == expected);
  CHECK(alice->most_sends_at_once() == 1);
  CHECK(bob->most_sends_at_once() == 1);
  CHECK(bob->sent_texts().size() == 20);
  for (const auto& broadcast : broadcasts) CHECK(broadcast->take() == 2);
  for (const auto& send : sends) CHECK(send->take());
}

TEST_CASE("broadcasts that are under way at once keep the order of everyone", "[sending]") {
  FakeBench bench;
  std::vector<std::shared_ptr<FakeWebSocket>> sockets;
  for (int i = 0; i < 4; ++i) {
    sockets.push_back(bench.connect(std::to_string(i), {"lobby"}));
    sockets.back()->delay_sends(bench.clock, std::chrono::milliseconds(1 + i * 3));
  }
  std::vector<FakeBench::Task<std::size_t>> tasks;
  Strings expected;
  for (int i = 0; i < 10; ++i) {
    expected.push_back(std::to_string(i));
    tasks.push_back(bench.start(bench.manager.broadcast_text(expected.back(), {.room = "lobby"})));
  }
  for (int i = 0; i < 110; ++i) bench.pass(1ms);
  for (const auto& task : tasks) CHECK(task->take() == 4);
  for (const auto& socket : sockets) {
    CHECK(socket->sent_texts() == expected);
    CHECK(socket->most_sends_at_once() == 1);
  }
}

TEST_CASE("clients that connect, join, leave or go during a broadcast disturb nobody",
          "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice", {"lobby"});
  const auto bob = bench.connect("bob", {"lobby"});
  const auto carol = bench.connect("carol", {"lobby"});
  alice->stall_sends();
  const auto sending = bench.start(bench.manager.broadcast_text("hi", {.room = "lobby"}));
  const auto dave = bench.connect("dave", {"lobby"});
  bench.run(bench.manager.leave("bob", "lobby"));
  bench.run(bench.manager.disconnect("carol"));
  CHECK_FALSE(sending->is_done());
  alice->resume_sends();
  bench.settle();
  CHECK(sending->take() == 2);  // alice and bob; carol has the message, and is gone
  CHECK(alice->sent_texts() == Strings{"hi"});
  CHECK(bob->sent_texts() == Strings{"hi"});
  CHECK(dave->sent().empty());
}

TEST_CASE("a connection that goes while it is sent to ends the wait for it", "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice");
  alice->stall_sends();
  const auto one = bench.start(bench.manager.send_to("alice", "1"));
  const auto all = bench.start(bench.manager.broadcast_text("2"));
  const auto closing = bench.start(bench.manager.disconnect("alice"));
  REQUIRE(one->is_done());
  CHECK_FALSE(one->take());
  CHECK(all->take() == 0);
  CHECK(bench.manager.stats().queued_bytes == 0);
  CHECK_FALSE(closing->is_done());  // it still tries to send them
  bench.pass(5s);
  CHECK(closing->is_done());
  CHECK(alice->is_aborted());
}

TEST_CASE("accepted messages are sent before a close, not before an abort", "[sending]") {
  FakeBench bench({.send_timeout = 3s});
  const auto alice = bench.connect("alice");
  alice->delay_sends(bench.clock, 1s);
  for (const char* text : {"1", "2", "3"}) bench.manager.post_text(text);
  bench.settle();
  SECTION("disconnect") {
    const auto closing = bench.start(bench.manager.disconnect("alice"));
    for (int i = 0; i < 2; ++i) {
      bench.pass(1s);
      CHECK_FALSE(alice->close_code());
    }
    bench.pass(1s);
    CHECK(alice->close_code() == 1000);
    CHECK(closing->is_done());
    CHECK(alice->sent_texts() == Strings{"1", "2", "3"});
  }
  SECTION("disconnect, but the peer does not take them in time") {
    alice->stall_sends();
    const auto closing = bench.start(bench.manager.disconnect("alice"));
    bench.pass(5s);
    CHECK(closing->is_done());
    CHECK(alice->sent().empty());
    CHECK(alice->is_aborted());
  }
  SECTION("send_timeout") {
    alice->stall_sends();
    bench.pass(3s);
    CHECK(alice->is_aborted());
    alice->resume_sends();
    bench.pass(10s);
    CHECK(alice->sent().empty());
  }
  CHECK(alice->most_sends_at_once() == 1);
}

TEST_CASE("cancelling a send or a broadcast cancels the wait, not the message", "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice");
  alice->stall_sends();
  const auto one = bench.start(bench.manager.send_to("alice", "1"));
  const auto all = bench.start(bench.manager.broadcast_text("2"));
  one->cancel();
  all->cancel();
  bench.settle();
  CHECK_THROWS_AS(one->take(), boost::system::system_error);
  CHECK_THROWS_AS(all->take(), boost::system::system_error);
  CHECK(bench.manager.total_connections() == 1);
  alice->resume_sends();
  bench.settle();
  CHECK(alice->sent_texts() == Strings{"1", "2"});
}

TEST_CASE("the queue of a socket that takes no frames is bounded", "[sending]") {
  FakeBench bench(
      {.max_message_bytes = 1000, .outbox_high_water = 1000, .max_outbox_bytes = 10'000});
  const auto alice = bench.connect("alice");
  // Twenty messages a second.
  const auto flood_until_it_is_dropped = [&](std::size_t size) {
    std::size_t most = 0;
    const std::string text(size, 'p');
    for (int i = 0; i < 1'000 && bench.manager.total_connections() == 1; ++i) {
      most = std::max(most, bench.manager.stats().queued_bytes);
      bench.manager.post_text(text);
      bench.pass(50ms);
    }
    return most;
  };
  SECTION("by the time that one send may take") {
    alice->stall_sends();
    CHECK(flood_until_it_is_dropped(496) == 50'000);  // 500 on the wire
    CHECK(bench.manager.stats().ended_by(DisconnectReason::send_timeout) == 1);
  }
  SECTION("by its maximum, behind what the first send_timeout has left") {
    alice->delay_sends(bench.clock, 4s);
    CHECK(flood_until_it_is_dropped(496) < 100'000);
    CHECK(bench.manager.stats().ended_by(DisconnectReason::outbox_overflow) == 1);
  }
  SECTION("by what empty messages cost in memory") {
    alice->delay_sends(bench.clock, 4s);
    CHECK(flood_until_it_is_dropped(0) < 2'000);
    CHECK(bench.manager.stats().ended_by(DisconnectReason::outbox_overflow) == 1);
  }
  CHECK(bench.manager.total_connections() == 0);
  CHECK(bench.manager.stats().queued_bytes == 0);
  CHECK(alice->is_aborted());
}

TEST_CASE("each message of a socket that takes no frames has its own send_timeout", "[sending]") {
  FakeBench bench({.send_timeout = 2s});
  const auto alice = bench.connect("alice");
  alice->delay_sends(bench.clock, 1900ms);
  for (const char* text : {"1", "2", "3"}) bench.manager.post_text(text);
  bench.settle();
  for (int i = 0; i < 57; ++i) bench.pass(100ms);
  CHECK(alice->sent_texts() == Strings{"1", "2", "3"});
  CHECK(bench.manager.total_connections() == 1);
}

TEST_CASE("a burst to a socket that takes no frames loses nothing", "[sending]") {
  FakeBench bench({.max_message_bytes = 1'000'000});
  const auto alice = bench.connect("alice");
  for (int i = 0; i < 30; ++i) bench.manager.post_text(std::string(900'000, 'x'));
  bench.settle();
  CHECK(alice->sent().size() == 30);
  CHECK(bench.manager.total_connections() == 1);
}

TEST_CASE("anything may be posted from any thread, in the order of each", "[sending]") {
  FakeBench bench;
  const auto alice = bench.connect("alice", {"lobby"});
  const auto post = [&](const std::string& who) {
    for (int i = 0; i < 100; ++i) {
      const std::string text = who + std::to_string(i);
      const json value = text;
      if (i % 3 == 0) bench.manager.post_text(text, {.room = "lobby"});
      if (i % 3 == 1) bench.manager.post_bytes(std::as_bytes(std::span(text)));
      if (i % 3 == 2) bench.manager.post_json(value, {.exclude = {"nobody"}});
    }
  };
  std::thread one([&] { post("a"); });
  std::thread two([&] { post("b"); });
  one.join();
  two.join();
  CHECK(alice->sent().empty());
  bench.settle();
  Strings of_a;
  Strings of_b;
  for (const Message& message : alice->sent()) {
    std::string text = message.payload;
    std::erase(text, '"');
    (text[0] == 'a' ? of_a : of_b).push_back(text.substr(1));
  }
  Strings expected;
  for (int i = 0; i < 100; ++i) expected.push_back(std::to_string(i));
  CHECK(of_a == expected);
  CHECK(of_b == expected);
  CHECK(alice->most_sends_at_once() == 1);
}

}  // namespace
}  // namespace roost
