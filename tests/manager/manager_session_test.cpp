// SPDX-License-Identifier: MIT
// Sessions: how they end, and what the handler learns of it.
#include <roost/roost.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using FakeBench = Bench<FakeWebSocket>;
using FakeManager = FakeBench::Manager;
using ConnectionPtr = FakeBench::ConnectionPtr;
using Reason = DisconnectReason;
using Strings = std::vector<std::string>;

// Receives until the end.
auto echo(FakeManager& manager) {
  return [&manager](ConnectionPtr connection) -> awaitable<> {
    for (;;) {
      const std::string text = co_await manager.receive_text(*connection);
      co_await connection->send_text("echo " + text);
    }
  };
}
auto idle() {
  return [](ConnectionPtr) -> awaitable<> { co_await wait_for_ever(); };
}

void check_gone(FakeBench& bench, std::string_view id) {
  CHECK(bench.manager.find(id) == nullptr);
  CHECK(bench.manager.total_connections() == 0);
  CHECK(bench.manager.list_rooms().empty());
}

TEST_CASE("a session serves its peer until that closes, which is its outcome", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  json metadata;
  metadata["user"] = "ann";
  const auto session = bench.start(bench.manager.session(
      socket, {.connection_id = "alice", .metadata = metadata, .rooms = {"lobby"}},
      echo(bench.manager)));
  CHECK(bench.manager.list_rooms() == Strings{"lobby"});
  CHECK(bench.manager.find("alice")->metadata()["user"] == "ann");
  socket->peer_sends("1");
  socket->peer_sends("2");
  bench.settle();
  CHECK(socket->sent_texts() == Strings{"echo 1", "echo 2"});
  socket->peer_closes(4001, "enough");
  bench.settle();
  const SessionOutcome outcome = session->take();
  CHECK(outcome.reason == Reason::peer_closed);
  CHECK(outcome.code == 4001);
  CHECK(outcome.text == "enough");
  check_gone(bench, "alice");
}

TEST_CASE("messages that a peer sent before it closed are still received", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  socket->peer_sends("last words");
  Strings heard;
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    while (const auto text = co_await bench.manager.next_text(*connection)) heard.push_back(*text);
  };
  const auto session = bench.start(bench.manager.session(socket, {}, handler));
  socket->peer_sends("and these");
  socket->peer_closes();
  bench.settle();
  CHECK(session->take().reason == Reason::peer_closed);
  CHECK(heard == Strings{"last words", "and these"});
}

TEST_CASE("a peer that vanishes is an outcome too", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  const auto session = bench.start(bench.manager.session(socket, {}, echo(bench.manager)));
  socket->peer_vanishes();
  bench.settle();
  const SessionOutcome outcome = session->take();
  CHECK(outcome.reason == Reason::connection_lost);
  CHECK(outcome.code == 1006);
  check_gone(bench, "");
}

TEST_CASE("a handler that returns closes with 1000", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  const auto handler = [](ConnectionPtr connection) -> awaitable<> {
    co_await connection->send_text("bye");
  };
  const auto outcome = bench.run(bench.manager.session(socket, {.rooms = "lobby"}, handler));
  CHECK(outcome.reason == Reason::handler_ended);
  CHECK(outcome.code == 1000);
  bench.settle();
  CHECK(socket->close_code() == 1000);
  CHECK(socket->sent_texts() == Strings{"bye"});
  check_gone(bench, "");
}

TEST_CASE("a handler that throws closes with 1011; the error is logged and rethrown", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  const auto handler = [](ConnectionPtr) -> awaitable<> {
    throw std::runtime_error("no\ndatabase");
    co_return;
  };
  const auto session =
      bench.start(bench.manager.session(socket, {.connection_id = "alice"}, handler));
  REQUIRE(session->is_done());
  CHECK_THROWS_WITH(session->take(), "no\ndatabase");
  bench.settle();
  CHECK(socket->close_code() == 1011);
  CHECK(socket->close_reason().empty());  // the peer is not told what went wrong
  CHECK(bench.log.count(Severity::error, "handler_failed") == 1);
  CHECK(bench.log.last("handler_failed") == R"(handler_failed id="alice" why="no\x0adatabase")");
  CHECK(bench.manager.stats().ended_by(Reason::handler_failed) == 1);
  check_gone(bench, "alice");
}

TEST_CASE("JSON that cannot be parsed closes with 1007", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    co_await bench.manager.receive_json(*connection);
  };
  const auto session = bench.start(bench.manager.session(socket, {}, handler));
  socket->peer_sends("{");
  bench.settle();
  CHECK(error_of([&] { session->take(); }) == errc::invalid_json);
  CHECK(socket->close_code() == 1007);
  check_gone(bench, "");
}

TEST_CASE("a refused socket is closed with a code that says why", "[session]") {
  bool throws = false;
  FakeBench bench(
      {.max_connections = 1,
       .room_validator = [](std::string_view, Connection<FakeWebSocket>&) { return false; },
       .on_connect =
           [&](FakeWebSocket&, json& metadata) {
             if (throws) throw std::runtime_error("no");
             return !metadata.contains("denied");
           }});
  bool was_called = false;
  const auto handler = [&](ConnectionPtr) -> awaitable<> {
    was_called = true;
    co_return;
  };
  json denied;
  denied["denied"] = 1;
  const auto refused = [&](const ConnectOptions& options, std::uint16_t code) {
    const auto socket = bench.socket();
    const errc error =
        error_of([&] { bench.run(bench.manager.session(socket, options, handler)); });
    bench.settle();
    CHECK(socket->close_code() == code);
    CHECK(socket.use_count() == 1);
    return error;
  };
  CHECK(refused({.metadata = denied}, 1008) == errc::connection_denied);
  CHECK(refused({.rooms = "lobby"}, 1008) == errc::join_denied);
  throws = true;
  CHECK(refused({}, 1008) == errc::connection_denied);
  throws = false;
  bench.connect("alice");
  CHECK(refused({}, 1013) == errc::too_many_connections);
  CHECK(bench.manager.total_connections() == 1);
  CHECK_FALSE(was_called);
}

TEST_CASE("a peer that leaves while it is admitted is an outcome", "[session]") {
  Gate gate;
  FakeBench bench({.on_connect = [&](FakeWebSocket&, json&) -> awaitable<bool> {
    co_await gate.pass();
    co_return true;
  }});
  const auto socket = bench.socket();
  const auto session = bench.start(bench.manager.session(socket, {}, idle()));
  socket->peer_closes(1001);
  gate.open();
  bench.settle();
  const SessionOutcome outcome = session->take();
  CHECK(outcome.reason == Reason::peer_closed);
  CHECK(outcome.code == 1001);
}

TEST_CASE("an ended connection ends the handler that receives from it", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  const auto session =
      bench.start(bench.manager.session(socket, {.connection_id = "alice"}, echo(bench.manager)));
  SessionOutcome expected{Reason::disconnected, 4000, "go"};
  SECTION("by close") { bench.run(bench.manager.close("alice", 4000, "go")); }
  SECTION("by close_all") {
    bench.run(bench.manager.close_all(1001));
    expected = {Reason::closing_all, 1001, ""};
  }
  SECTION("by a failed send") {
    socket->fail_sends();
    bench.run(bench.manager.send_to("alice", "x"));
    expected = {Reason::send_failed, 1006, "Broken pipe [system:32]"};
  }
  SECTION("by another that takes its id") {
    const auto other = bench.socket();
    bench.run(bench.manager.connect(
        other, {.connection_id = "alice", .on_duplicate = OnDuplicate::replace}));
    expected = {Reason::replaced, 1008, "replaced by a newer connection"};
  }
  bench.settle();
  REQUIRE(session->is_done());
  const SessionOutcome outcome = session->take();
  CHECK(outcome.reason == expected.reason);
  CHECK(outcome.code == expected.code);
  CHECK(outcome.text == expected.text);
  CHECK(bench.log.count("handler_failed") == 0);
}

TEST_CASE("a handler that never receives is cancelled at once when its connection ends",
          "[session]") {
  FakeBench bench;
  const auto session =
      bench.start(bench.manager.session(bench.socket(), {.connection_id = "alice"}, idle()));
  bench.run(bench.manager.close("alice", 4000));
  bench.settle();
  REQUIRE(session->is_done());
  CHECK(session->take().code == 4000);
}

TEST_CASE("a handler that only pushes learns that its peer has left", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  const auto session = bench.start(bench.manager.session(socket, {}, idle()));
  socket->peer_closes(4001, "bye");
  CHECK(bench.manager.total_connections() == 0);
  bench.settle();
  REQUIRE(session->is_done());
  const SessionOutcome outcome = session->take();
  CHECK(outcome.reason == Reason::peer_closed);
  CHECK(outcome.code == 4001);
}

TEST_CASE("a handler that has received may finish what it does, for a while", "[session]") {
  FakeBench bench({.handler_grace = 3s});
  Gate gate;
  bool is_finished = false;
  const auto socket = bench.socket();
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    co_await bench.manager.receive_text(*connection);
    co_await gate.pass();
    is_finished = true;
  };
  const auto session =
      bench.start(bench.manager.session(socket, {.connection_id = "alice"}, handler));
  socket->peer_sends("work");
  bench.settle();
  bench.run(bench.manager.close("alice", 4000));
  bench.pass(2999ms);
  CHECK_FALSE(session->is_done());
  SECTION("it does") {
    gate.open();
    bench.settle();
    CHECK(is_finished);
  }
  SECTION("it does not") {
    bench.pass(1ms);
    CHECK_FALSE(is_finished);
  }
  REQUIRE(session->is_done());
  CHECK(session->take().code == 4000);
}

TEST_CASE("a handler may disconnect its own connection", "[session]") {
  FakeBench bench;
  bool went_on = false;
  const auto socket = bench.socket();
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    co_await bench.manager.receive_text(*connection);
    co_await bench.manager.close(connection->id(), 4000);
    went_on = true;
    const bool is_sent = co_await connection->send_text("too late");
    CHECK_FALSE(is_sent);
    co_await bench.manager.receive_text(*connection);
  };
  const auto session = bench.start(bench.manager.session(socket, {}, handler));
  socket->peer_sends("go");
  bench.settle();
  CHECK(went_on);
  CHECK(session->take().code == 4000);
}

TEST_CASE("an error of the handler after the end is still an error", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    while (co_await bench.manager.next_text(*connection)) {
    }
    throw std::runtime_error("in the cleanup");
  };
  const auto session = bench.start(bench.manager.session(socket, {}, handler));
  socket->peer_closes();
  bench.settle();
  CHECK_THROWS_WITH(session->take(), "in the cleanup");
  CHECK(bench.log.count("handler_failed") == 1);
  CHECK(bench.manager.stats().ended_by(Reason::peer_closed) == 1);
}

TEST_CASE("the end of another connection is not an outcome of this session", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  const auto other = bench.connect("other");
  const auto other_connection = bench.manager.find("other");
  const auto handler = [&](ConnectionPtr) -> awaitable<> {
    co_await bench.manager.receive_text(*other_connection);
  };
  const auto session = bench.start(bench.manager.session(socket, {}, handler));
  other->peer_closes();
  bench.settle();
  CHECK(error_of([&] { session->take(); }) == errc::connection_closed);
  CHECK(socket->close_code() == 1011);
}

TEST_CASE("cancelling a session cancels its handler, and closes with 1001", "[session]") {
  FakeBench bench;
  const auto socket = bench.socket();
  FakeBench::Task<SessionOutcome> session;
  SECTION("while it receives") {
    session = bench.start(bench.manager.session(socket, {.rooms = "a"}, echo(bench.manager)));
  }
  SECTION("while it waits elsewhere") {
    session = bench.start(bench.manager.session(socket, {.rooms = "a"}, idle()));
  }
  CHECK(bench.manager.total_connections() == 1);
  session->cancel();
  bench.settle();
  REQUIRE(session->is_done());
  CHECK_THROWS_AS(session->take(), boost::system::system_error);
  CHECK(socket->close_code() == 1001);
  CHECK(bench.manager.stats().ended_by(Reason::cancelled) == 1);
  check_gone(bench, "");
}

TEST_CASE("cancelling a session that is being admitted refuses its socket", "[session]") {
  FakeBench bench({.on_connect = [](FakeWebSocket&, json&) -> awaitable<bool> {
    co_await wait_for_ever();
    co_return true;
  }});
  const auto socket = bench.socket();
  const auto session = bench.start(bench.manager.session(socket, {}, idle()));
  session->cancel();
  bench.settle();
  CHECK_THROWS_AS(session->take(), boost::system::system_error);
  CHECK(socket->close_code() == 1001);
  CHECK(socket.use_count() == 1);
}

TEST_CASE("a cancelled session waits for its handler's cleanup", "[session]") {
  FakeBench bench;
  Gate gate;
  const auto handler = [&](ConnectionPtr) -> awaitable<> {
    bool is_cancelled = false;
    try {
      co_await wait_for_ever();
    } catch (const boost::system::system_error&) {
      is_cancelled = true;
    }
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    if (is_cancelled) co_await gate.pass();
  };
  const auto session = bench.start(bench.manager.session(bench.socket(), {}, handler));
  session->cancel();
  bench.settle();
  CHECK_FALSE(session->is_done());
  gate.open();
  bench.settle();
  CHECK_THROWS_AS(session->take(), boost::system::system_error);
}

// Every place at which a session and what goes on around it can be interrupted.
TEST_CASE("a session that is cancelled after any number of steps leaves nothing behind",
          "[session]") {
  const auto ask_room = [](std::string_view, Connection<FakeWebSocket>&) -> awaitable<bool> {
    co_await boost::asio::post(boost::asio::use_awaitable);
    co_return true;
  };
  const auto ask = [](FakeWebSocket&, json&) -> awaitable<bool> {
    co_await boost::asio::post(boost::asio::use_awaitable);
    co_return true;
  };
  std::size_t interrupted = 0;
  for (std::size_t steps = 0; steps < 1000; ++steps) {
    CAPTURE(steps);
    FakeBench bench({.room_validator = ask_room, .on_connect = ask});
    const auto socket = bench.socket();
    const auto other = bench.connect("other", {"lobby"});
    other->delay_sends(bench.clock, 1s);
    const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
      co_await bench.manager.receive_text(*connection);
      co_await bench.manager.join(*connection, "attic");
      co_await bench.manager.broadcast_text("hello", {.room = "lobby"});
      co_await bench.manager.disconnect("other");
      co_await bench.manager.close_all(1001);
    };
    socket->peer_sends("go");
    const auto session = detail::Child<SessionOutcome>::start(
        bench.context.get_executor(),
        bench.manager.session(socket, {.connection_id = "alice", .rooms = {"lobby"}}, handler));
    std::size_t ran = 0;
    while (ran < steps) {
      bench.context.restart();
      if (bench.context.poll_one() == 0) {
        if (bench.clock.armed() == 0) break;
        bench.clock.advance(1s);
      }
      ++ran;
    }
    const bool is_over = session->is_done();
    session->cancel();
    bench.settle();
    REQUIRE(session->is_done());
    CHECK(bench.manager.find("alice") == nullptr);
    CHECK(bench.manager.room_size("attic") == 0);
    CHECK(socket->close_code());
    if (is_over) break;
    ++interrupted;
  }
  CHECK(interrupted > 15);
  CHECK(interrupted < 900);
}

}  // namespace
}  // namespace roost
