// SPDX-License-Identifier: MIT
// The monitor over real sockets. Time is moved by hand, in ticks of a second.
#include <roost/heartbeat/heartbeat_monitor.hpp>

#include <string>
#include <vector>

#include "beast/support/server.hpp"

using namespace roost;
using namespace roost::test;

namespace {

constexpr auto interval = 128s;
constexpr auto timeout = 300s;

struct Beating : Server {
  HeartbeatMonitor<BeastWebSocket> monitor{manager, {.interval = interval, .timeout = timeout}};

  explicit Beating(ServerOptions options = {}) : Server(std::move(options)) { monitor.start(); }

  void live(Clock::duration time) {
    for (; time > 0s; time -= 1s) pass(1s);
  }
  /// Lets an interval pass, in which all that answer pings are heard of.
  template <class... Ids>
  void live_an_interval(const Ids&... ids) {
    const Clock::time_point before = clock.now();
    live(interval);
    until([&] { return ((manager.find(ids)->last_activity() > before) && ...); });
  }
};

}  // namespace

TEST_CASE("heartbeat: a client that only answers pings stays for ever") {
  Beating server;
  const BeastClient alice = server.join_by_beast("alice");
  const BeastClient bob = server.join_by_beast("bob");
  for (int i = 0; i < 20; ++i) server.live_an_interval("alice", "bob");
  CHECK(server.manager.total_connections() == 2);
  CHECK(server.monitor.is_alive("alice"));
  CHECK(server.hooks.empty());
  CHECK(alice.messages().empty());  // pings are no messages
}

TEST_CASE("heartbeat: an application that only pushes keeps its clients, unless they are silent") {
  Beating server;
  server.handler = pushing_only();
  const BeastClient alice = server.join_by_beast("alice");
  const RawClient silent = server.join("silent");  // reads, and never answers
  for (std::size_t i = 1; i <= 2; ++i) {
    server.live_an_interval("alice");
    CHECK(server.run(server.manager.broadcast_text("news", {.room = "lobby"})) == 2);
    server.until([&] { return alice.messages().size() == i && silent.texts().size() == i; });
  }
  for (int i = 0; i < 5; ++i) server.live_an_interval("alice");
  server.until([&] { return silent.is_gone() && server.outcomes.size() == 1; });
  CHECK(server.manager.total_connections() == 1);
  CHECK(server.outcomes.at(0).reason == DisconnectReason::heartbeat_timeout);
  CHECK(alice.texts() == std::vector<std::string>{"news", "news"});
}

TEST_CASE("heartbeat: a peer that never answers is cut off after the timeout, its handler ends") {
  Beating server({.manager = {.handler_grace = 0s}});
  const bool receives = GENERATE(true, false);
  if (!receives) server.handler = pushing_only();
  const RawClient alice = server.join("alice");
  const auto connection = server.manager.find("alice");
  const Clock::time_point seen = connection->last_activity();
  while (server.clock.now() + 1s < seen + timeout) server.pass(1s);
  CHECK(server.manager.total_connections() == 1);
  CHECK(server.monitor.is_alive("alice"));
  server.live(2s);
  CHECK(server.manager.total_connections() == 0);
  server.until([&] { return alice.is_gone() && server.outcomes.size() == 1; });
  CHECK(alice.is_reset());
  CHECK_FALSE(alice.closed_with());
  CHECK(alice.count(Opcode::ping) >= 2);
  CHECK(server.outcomes.at(0).reason == DisconnectReason::heartbeat_timeout);
  CHECK(server.outcomes.at(0).code == 1006);
  CHECK(server.hooks.at(0).how.reason == DisconnectReason::heartbeat_timeout);
  CHECK(server.log.count(Severity::warning, "dropped") == 1);
}

TEST_CASE("heartbeat: a peer that talks is never dropped, whatever it says") {
  Beating server;
  RawClient alice = server.join("alice");
  const ConnectionPtr connection = server.manager.find("alice");
  std::string frame;
  SECTION("messages") { frame = text_frame("news"); }
  SECTION("pings") { frame = client_frame(Opcode::ping, "p"); }
  SECTION("pongs that nobody asked for") { frame = client_frame(Opcode::pong, ""); }
  SECTION("parts of a message that never ends") {
    alice.send(client_frame(Opcode::text, "part", {.is_final = false}));
    frame = client_frame(0, "part", {.is_final = false});
  }
  for (int i = 0; i < 6; ++i) {
    server.live(290s);
    CHECK(server.manager.total_connections() == 1);
    alice.send(frame);
    server.until([&] { return connection->last_activity() == server.clock.now(); });
  }
  CHECK_FALSE(connection->round_trip_time());
}

TEST_CASE("heartbeat: the round trip is measured by the pong to the last ping") {
  Beating server;
  RawClient alice = server.join("alice");
  const ConnectionPtr connection = server.manager.find("alice");
  CHECK(server.run(server.monitor.tick()) == 1);
  CHECK(server.run(server.monitor.tick()) == 1);
  server.until([&] { return alice.count(Opcode::ping) == 2; });
  const auto pings = alice.payloads(Opcode::ping);
  CHECK(pings.at(0) != pings.at(1));
  server.pass(42ms);
  alice.send(client_frame(Opcode::pong, pings.at(0)));
  server.until([&] { return connection->last_activity() == server.clock.now(); });
  CHECK_FALSE(connection->round_trip_time());
  alice.send(client_frame(Opcode::pong, pings.at(1)));
  server.until([&] { return connection->round_trip_time().has_value(); });
  CHECK(connection->round_trip_time() == 42ms);
  server.pass(42ms);
  alice.send(client_frame(Opcode::pong, pings.at(1)));
  server.until([&] { return connection->last_activity() == server.clock.now(); });
  CHECK(connection->round_trip_time() == 42ms);
}

TEST_CASE("heartbeat: a connection whose message is not taken is not dropped for silence") {
  Beating server({.manager = {.handler_grace = 0s}});
  server.handler = pushing_only();
  RawClient alice = server.join("alice");
  const ConnectionPtr connection = server.manager.find("alice");
  const auto socket = connection->websocket();
  alice.send(text_frame("first"));
  server.until([&] { return connection->last_activity() == server.clock.now(); });
  server.let_others_work();
  for (int i = 0; i < 10; ++i) {
    server.live(interval);
    CHECK(server.manager.total_connections() == 1);
    CHECK(connection->last_activity() == server.clock.now());
  }
  SECTION("from when it is taken by the manager, time runs") {
    CHECK(server.run(server.manager.receive_text(*connection)) == "first");
  }
  SECTION("from when it is taken off the socket, time runs") {
    CHECK(server.run(socket->receive()).text() == "first");
  }
  const Clock::time_point taken = server.clock.now();
  CHECK(connection->last_activity() == taken);
  server.live(299s);
  CHECK(connection->last_activity() == taken);
  CHECK(server.manager.total_connections() == 1);
  server.live(2s);
  CHECK(server.manager.total_connections() == 0);
  CHECK(server.ended_by(DisconnectReason::heartbeat_timeout) == 1);
}

TEST_CASE("heartbeat: a server that was stalled drops nobody when it wakes") {
  Beating server;
  const BeastClient alice = server.join_by_beast("alice");
  for (int i = 0; i < 5; ++i) {
    server.live(40s);
    server.clock.advance(1h);
    server.settle();
    CHECK(server.manager.total_connections() == 1);
    server.live_an_interval("alice");
  }
  CHECK(server.hooks.empty());
}
