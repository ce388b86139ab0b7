// SPDX-License-Identifier: MIT
// Who is connected and in which room, and how connections are closed.
#include <roost/roost.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
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

TEST_CASE("a connection without an id gets a fresh random one", "[manager]") {
  FakeBench bench;
  const auto first = bench.run(bench.manager.connect(bench.socket()));
  const auto second = bench.run(bench.manager.connect(bench.socket()));
  CHECK(first->id().size() == 32);
  CHECK(first->id().find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(first->id() != second->id());
  CHECK(bench.manager.find(first->id()) == first);
  CHECK(bench.manager.find(second->id()) == second);
  CHECK(bench.manager.total_connections() == 2);
}

TEST_CASE("a connection keeps the id, the metadata and the rooms it is given", "[manager]") {
  FakeBench bench;
  const auto socket = bench.socket();
  json metadata;
  metadata["user"] = "ann";
  bench.clock.advance(5s);
  const auto connection = bench.run(bench.manager.connect(
      socket, {.connection_id = "alice", .metadata = metadata, .rooms = {"lobby", "attic"}}));
  metadata["user"] = "someone else";
  CHECK(connection->id() == "alice");
  CHECK(connection->metadata()["user"] == "ann");
  CHECK(connection->rooms() == Strings{"attic", "lobby"});
  CHECK(connection->is_in("lobby"));
  CHECK_FALSE(connection->is_in("cellar"));
  CHECK(connection->is_connected());
  CHECK_FALSE(connection->ended());
  CHECK(connection->websocket() == socket);
  CHECK(connection->connected_at() == bench.clock.now());
  CHECK(bench.manager.find("alice") == connection);
  CHECK(bench.manager.find("bob") == nullptr);
}

TEST_CASE("metadata that is not given is an empty object", "[manager]") {
  FakeBench bench;
  bench.connect("alice");
  CHECK(bench.manager.find("alice")->metadata() == json::object());
  bench.manager.find("alice")->metadata()["seen"] = true;
  CHECK(bench.manager.find("alice")->metadata()["seen"] == true);
}

TEST_CASE("rooms are counted and listed, and are gone with their last member", "[manager]") {
  FakeBench bench;
  bench.connect("alice", {"lobby", "attic"});
  bench.connect("bob", "lobby");
  CHECK(bench.manager.list_rooms() == Strings{"attic", "lobby"});
  CHECK(bench.manager.room_size("lobby") == 2);
  CHECK(bench.manager.room_size("attic") == 1);
  CHECK(bench.manager.room_size("cellar") == 0);
  CHECK(bench.manager.stats().rooms == 2);

  Strings members;
  for (const auto& member : bench.manager.members("lobby")) members.push_back(member->id());
  std::sort(members.begin(), members.end());
  CHECK(members == Strings{"alice", "bob"});
  CHECK(bench.manager.members("cellar").empty());

  CHECK(bench.run(bench.manager.disconnect("alice")));
  CHECK(bench.manager.list_rooms() == Strings{"lobby"});
  CHECK(bench.manager.total_connections() == 1);
}

TEST_CASE("joining and leaving go by id, and an unknown id is not an error", "[manager]") {
  FakeBench bench;
  bench.connect("alice");
  CHECK(bench.run(bench.manager.join("alice", "lobby")));
  CHECK(bench.run(bench.manager.join("alice", "lobby")));
  CHECK(bench.manager.room_size("lobby") == 1);
  CHECK(bench.run(bench.manager.leave("alice", "lobby")));
  CHECK_FALSE(bench.run(bench.manager.leave("alice", "lobby")));
  CHECK(bench.manager.list_rooms().empty());
  CHECK_FALSE(bench.run(bench.manager.join("nobody", "lobby")));
  CHECK_FALSE(bench.run(bench.manager.leave("nobody", "lobby")));
  CHECK(bench.manager.list_rooms().empty());
}

TEST_CASE("a connection can be joined to a room by itself", "[manager]") {
  FakeBench bench;
  bench.connect("alice");
  const auto alice = bench.manager.find("alice");
  CHECK(bench.run(bench.manager.join(*alice, "lobby")));
  CHECK(alice->is_in("lobby"));
  bench.run(bench.manager.disconnect("alice"));
  CHECK_FALSE(bench.run(bench.manager.join(*alice, "lobby")));
  CHECK(bench.manager.list_rooms().empty());
}

TEST_CASE("another manager's connection is refused", "[manager]") {
  FakeBench bench;
  bench.connect("alice");
  FakeBench other;
  other.connect("bob");
  const auto alice = bench.manager.find("alice");
  CHECK_FALSE(other.run(other.manager.join(*alice, "lobby")));
  CHECK(error_of([&] { other.run(other.manager.receive(*alice)); }) == errc::not_connected);
  CHECK(alice->is_connected());
  CHECK(other.manager.list_rooms().empty());
}

TEST_CASE("disconnecting unregisters and closes with 1000", "[manager]") {
  FakeBench bench;
  const auto socket = bench.connect("alice", {"lobby"});
  const auto alice = bench.manager.find("alice");
  CHECK(bench.run(bench.manager.disconnect("alice")));
  CHECK(socket->close_code() == 1000);
  CHECK(bench.manager.find("alice") == nullptr);
  CHECK(bench.manager.list_rooms().empty());
  CHECK_FALSE(alice->is_connected());
  REQUIRE(alice->ended());
  CHECK(alice->ended()->reason == DisconnectReason::disconnected);
  CHECK(alice->rooms() == Strings{"lobby"});  // those it was in
  CHECK(alice->websocket() == nullptr);
  CHECK_FALSE(bench.run(bench.manager.disconnect("alice")));
  CHECK_FALSE(bench.run(bench.manager.disconnect("nobody")));
}

TEST_CASE("an id is free again as soon as its connection is unregistered", "[manager]") {
  FakeBench bench;
  const auto old = bench.socket();
  old->stall_close();
  bench.run(bench.manager.connect(old, {.connection_id = "alice"}));
  const auto closing = bench.start(bench.manager.disconnect("alice"));
  CHECK_FALSE(closing->is_done());
  const auto socket = bench.connect("alice", {"lobby"});
  bench.pass(5s);  // close_timeout
  CHECK(closing->is_done());
  CHECK(old->is_aborted());
  CHECK(bench.run(bench.manager.send_to("alice", "hello")));
  CHECK(socket->sent_texts() == Strings{"hello"});
}

TEST_CASE("a connection can be closed with a code and a reason", "[manager]") {
  FakeBench bench;
  const auto socket = bench.connect("alice");
  const auto alice = bench.manager.find("alice");
  CHECK(bench.run(bench.manager.close("alice", 4000, "be good")));
  CHECK(socket->close_code() == 4000);
  CHECK(socket->close_reason() == "be good");
  CHECK(alice->ended()->code == 4000);
  CHECK(alice->ended()->text == "be good");
  CHECK_FALSE(bench.run(bench.manager.close("alice", 4000)));
}

TEST_CASE("a peer that does not answer a close is aborted after the timeout", "[manager]") {
  FakeBench bench({.close_timeout = 3s});
  const auto socket = bench.connect("alice");
  socket->stall_close();
  const auto closing = bench.start(bench.manager.disconnect("alice"));
  CHECK(bench.manager.total_connections() == 0);  // unregistered at once
  bench.pass(2999ms);
  CHECK_FALSE(closing->is_done());
  CHECK_FALSE(socket->is_aborted());
  bench.pass(1ms);
  CHECK(socket->is_aborted());
  CHECK(closing->take());
}

TEST_CASE("closing all closes everyone with the code and empties the registry", "[manager]") {
  FakeBench bench;
  const auto alice = bench.connect("alice", {"lobby"});
  const auto bob = bench.connect("bob", {"lobby", "attic"});
  CHECK(bench.run(bench.manager.close_all(1001)) == 2);
  CHECK(alice->close_code() == 1001);
  CHECK(bob->close_code() == 1001);
  CHECK(bench.manager.total_connections() == 0);
  CHECK(bench.manager.list_rooms().empty());
  CHECK(bench.manager.stats().ended_by(DisconnectReason::closing_all) == 2);
  CHECK(bench.run(bench.manager.close_all()) == 0);

  const auto again = bench.connect("alice");
  CHECK(bench.manager.total_connections() == 1);
  CHECK(bench.run(bench.manager.close_all()) == 1);
  CHECK(again->close_code() == 1000);
}

TEST_CASE("closing all goes at everyone at once and aborts the stuck at the deadline",
          "[manager]") {
  FakeBench bench;
  std::vector<std::shared_ptr<FakeWebSocket>> sockets;
  for (int i = 0; i < 20; ++i) {
    sockets.push_back(bench.connect("c" + std::to_string(i)));
    if (i % 2 == 0) sockets.back()->stall_close();
  }
  const auto closing = bench.start(bench.manager.close_all(1001, {.deadline = 2s}));
  CHECK(bench.manager.total_connections() == 0);
  for (const auto& socket : sockets) CHECK(socket->close_code() == 1001);
  CHECK_FALSE(closing->is_done());

  const auto newcomer = bench.connect("newcomer");  // allowed meanwhile
  bench.pass(1999ms);
  CHECK_FALSE(closing->is_done());
  bench.pass(1ms);
  REQUIRE(closing->is_done());
  CHECK(closing->take() == 20);
  for (std::size_t i = 0; i < sockets.size(); ++i) CHECK(sockets[i]->is_aborted() == (i % 2 == 0));
  CHECK_FALSE(newcomer->close_code());
}

TEST_CASE("the deadline of closing all is 0 to 1 day", "[manager]") {
  FakeBench bench;
  const auto socket = bench.connect("alice");
  const auto refused = [&](Clock::duration deadline) {
    return error_of([&] { auto unused = bench.manager.close_all(1000, {.deadline = deadline}); });
  };
  CHECK(refused(-1ms) == errc::invalid_option);
  CHECK(refused(Clock::duration::max()) == errc::invalid_option);
  CHECK(bench.manager.total_connections() == 1);
  socket->stall_close();
  CHECK(bench.run(bench.manager.close_all(1001, {.deadline = 0s})) == 1);
  CHECK(socket->is_aborted());
}

TEST_CASE("a close that throws does not keep the others from closing", "[manager]") {
  struct Throwing : PlainSocket {
    bool throws = false;
    awaitable<> close(std::uint16_t code) override {
      closed.push_back(code);
      if (throws) throw std::runtime_error("no close today");
      co_return;
    }
  };
  Bench<PlainSocket> bench;
  const auto bad = std::make_shared<Throwing>();
  bench.run(bench.manager.connect(bad, {.connection_id = "bad"}));
  const auto good = bench.connect("good");
  bad->throws = true;
  CHECK(bench.run(bench.manager.close_all(1001)) == 2);
  CHECK(good->closed == std::vector<std::uint16_t>{1001});
  CHECK(bench.manager.total_connections() == 0);
}

TEST_CASE("three functions make a WebSocket", "[manager]") {
  Bench<PlainSocket> bench;
  const auto alice = bench.connect("alice", {"lobby"});
  const auto bob = bench.connect("bob");
  const json value = {{"n", 1}};
  CHECK(bench.run(bench.manager.broadcast_text("hi")) == 2);
  CHECK(bench.run(bench.manager.broadcast_json(value, {.room = "lobby"})) == 1);
  CHECK(bench.run(bench.manager.send_to("bob", "psst")));
  CHECK(alice->sent == Strings{"hi", R"({"n":1})"});
  CHECK(bob->sent == Strings{"hi", "psst"});
  CHECK(bench.run(bench.manager.disconnect("alice")));
  CHECK(alice->closed == std::vector<std::uint16_t>{1000});
}

TEST_CASE("codes that only tell how a connection ended are never sent", "[manager]") {
  struct Failing : PlainSocket {
    bool fails = false;
    awaitable<> send_text(std::string_view) override {
      if (fails) throw std::runtime_error("broken pipe");
      co_return;
    }
  };
  Bench<PlainSocket> bench;
  const auto alice = std::make_shared<Failing>();
  bench.run(bench.manager.connect(alice, {.connection_id = "alice"}));
  alice->fails = true;
  CHECK_FALSE(bench.run(bench.manager.send_to("alice", "hi")));
  bench.settle();
  CHECK(alice->closed == std::vector<std::uint16_t>{1011});  // it cannot be aborted
}

TEST_CASE("without allowed origins every request passes", "[manager]") {
  FakeBench bench;
  FakeWebSocket request;
  CHECK(bench.manager.check_origin(request));
  request.set_header("Origin", "https://evil.example");
  CHECK(bench.manager.check_origin(request));
  CHECK(bench.log.count("origin_denied") == 0);
}

TEST_CASE("with allowed origins the others are refused and logged", "[manager]") {
  FakeBench bench({.allowed_origins = {"https://app.example.com"}});
  FakeWebSocket good;
  good.set_header("origin", "https://app.example.com");
  FakeWebSocket bad;
  bad.set_header("Origin", "https://evil.example\nforged line");
  bad.set_header("Host", "app.example.com");
  const FakeWebSocket without;
  CHECK(bench.manager.check_origin(good));
  CHECK(bench.log.count("origin_denied") == 0);
  CHECK_FALSE(bench.manager.check_origin(bad));
  CHECK(bench.log.count(Severity::warning, "origin_denied") == 1);
  CHECK(bench.log.last("origin_denied") ==
        R"(origin_denied origin="https://evil.example\x0aforged line" host="app.example.com")");
  CHECK_FALSE(bench.manager.check_origin(without));
  CHECK(bench.log.count("origin_denied") == 2);
  CHECK(bench.log.last("origin_denied") == R"_(origin_denied origin="(none)" host="(none)")_");
}

TEST_CASE("the same host's pages pass where the policy says so", "[manager]") {
  FakeBench bench({.allowed_origins = OriginPolicy::same_host()});
  FakeWebSocket request;
  request.set_header("Host", "app.example.com");
  CHECK(bench.manager.check_origin(request));
  request.set_header("Origin", "https://app.example.com");
  CHECK(bench.manager.check_origin(request));
  FakeWebSocket other;
  other.set_header("Host", "app.example.com");
  other.set_header("Origin", "https://evil.example");
  CHECK_FALSE(bench.manager.check_origin(other));
}

TEST_CASE("connecting and disconnecting are logged, with rooms and reason, escaped", "[manager]") {
  FakeBench bench;
  bench.connect("al\"ice", {"lobby", "at\"tic"});
  CHECK(bench.log.count(Severity::info, "connect") == 1);
  CHECK(bench.log.last("connect") == R"(connect id="al\x22ice" rooms="lobby,at\x22tic")");
  bench.run(bench.manager.close("al\"ice", 4001, "so\nlong"));
  CHECK(bench.log.count(Severity::info, "disconnect") == 1);
  CHECK(contains(bench.log.last("disconnect"),
                 R"(disconnect id="al\x22ice" reason="disconnected" code="4001")"));
  for (const auto& line : bench.log.lines()) CHECK_FALSE(contains(line.text, "\n"));
}

TEST_CASE("the numbers tell who is there and how the others went", "[manager]") {
  FakeBench bench({.max_connections = 3});
  bench.connect("a", {"lobby"});
  bench.connect("b", {"lobby"});
  const auto c = bench.connect("c");
  CHECK(error_of([&] { bench.connect("d"); }) == errc::too_many_connections);
  bench.run(bench.manager.broadcast_text("to all"));
  bench.run(bench.manager.broadcast_text("to two", {.room = "lobby"}));
  bench.manager.post_text("later");
  bench.settle();
  c->fail_sends();
  bench.run(bench.manager.send_to("c", "fails"));
  bench.run(bench.manager.disconnect("a"));

  const Stats stats = bench.manager.stats();
  CHECK(stats.connections == 1);
  CHECK(stats.rooms == 1);
  CHECK(stats.queued_bytes == 0);
  CHECK(stats.accepted == 3);
  CHECK(stats.refused == 1);
  CHECK(stats.broadcasts == 3);
  CHECK(stats.deliveries == 8);
  CHECK(stats.ended_by(DisconnectReason::send_failed) == 1);
  CHECK(stats.ended_by(DisconnectReason::disconnected) == 1);
  CHECK(stats.ended_by(DisconnectReason::peer_closed) == 0);
}

TEST_CASE("an option outside its range is refused by name", "[manager]") {
  boost::asio::io_context context;
  using Options = ManagerOptions<FakeWebSocket>;
  const auto message = [&](const Options& options) {
    return message_of(
        [&] { const ConnectionManager<FakeWebSocket> manager(context.get_executor(), options); });
  };
  CHECK(contains(message({.send_timeout = 999us}), "send_timeout must be 1 ms to 1 day"));
  CHECK(contains(message({.send_timeout = 25h}), "send_timeout"));
  CHECK(contains(message({.min_progress_bytes = 0}), "min_progress_bytes must be at least 1"));
  CHECK(contains(message({.backpressure_wait = -1ms}), "backpressure_wait must be 0 to 1 day"));
  CHECK(contains(message({.backpressure_wait = 25h}), "backpressure_wait"));
  CHECK(contains(message({.hook_timeout = 0s}), "hook_timeout must be 1 ms to 1 day"));
  CHECK(contains(message({.max_message_bytes = 0}), "max_message_bytes must be at least 1"));
  CHECK(contains(message({.outbox_high_water = 0}), "outbox_high_water must be at least 1"));
  CHECK(contains(message({.max_room_name_bytes = 0}), "max_room_name_bytes must be at least 1"));
  CHECK(contains(message({.close_timeout = 0s}), "close_timeout must be 1 ms to 1 day"));
  CHECK(contains(message({.handler_grace = -1s}), "handler_grace must be 0 to 1 day"));
  CHECK(contains(message({.clock = nullptr}), "clock must not be null"));
  const std::string small = "max_outbox_bytes must be at least outbox_high_water + ";
  CHECK(contains(
      message({.max_message_bytes = 100, .outbox_high_water = 10, .max_outbox_bytes = 123}),
      small));
  CHECK(contains(
      message({.max_message_bytes = std::nullopt, .outbox_high_water = 10, .max_outbox_bytes = 9}),
      small));
  const auto code = error_of([&] {
    const ConnectionManager<FakeWebSocket> manager(context.get_executor(), {.hook_timeout = 0s});
  });
  CHECK(code == errc::invalid_option);
}

TEST_CASE("options at the edge of their range are taken", "[manager]") {
  boost::asio::io_context context;
  using Options = ManagerOptions<FakeWebSocket>;
  const auto make = [&](const Options& options) {
    const ConnectionManager<FakeWebSocket> manager(context.get_executor(), options);
    return manager.options().max_outbox_bytes;
  };
  CHECK(make({.max_message_bytes = 100, .outbox_high_water = 10, .max_outbox_bytes = 124}) == 124);
  CHECK(
      make({.max_message_bytes = std::nullopt, .outbox_high_water = 10, .max_outbox_bytes = 10}) ==
      10);
  CHECK(make({.send_timeout = 1ms,
              .backpressure_wait = 0s,
              .hook_timeout = 24h,
              .handler_grace = 0s}) == 4'194'304);
  const Options defaults;
  CHECK(defaults.send_timeout == 5s);
  CHECK(defaults.min_progress_bytes == 32'768);
  CHECK(defaults.backpressure_wait == 250ms);
  CHECK(defaults.hook_timeout == 10s);
  CHECK(defaults.max_connections == 10'000);
  CHECK(defaults.max_message_bytes == 1'048'576);
  CHECK_FALSE(defaults.allowed_origins.is_set());
  CHECK_FALSE(defaults.require_room);
}

TEST_CASE("a null socket is an error at the call", "[manager]") {
  FakeBench bench;
  const auto handler = [](FakeBench::ConnectionPtr) -> awaitable<> { co_return; };
  CHECK(error_of([&] { auto unused = bench.manager.connect(nullptr); }) == errc::not_connected);
  CHECK(error_of([&] { auto unused = bench.manager.session(nullptr, {}, handler); }) ==
        errc::not_connected);
}

}  // namespace
}  // namespace roost
