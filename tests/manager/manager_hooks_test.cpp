// SPDX-License-Identifier: MIT
// What happens after a connection was unregistered.
#include <roost/roost.hpp>

#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/frame_fake.hpp"
#include "support/plain_socket.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using FakeBench = Bench<FakeWebSocket>;
using ConnectionPtr = FakeBench::ConnectionPtr;
using Reason = DisconnectReason;
using Strings = std::vector<std::string>;

// A hook that returns what nobody looks at, or a coroutine that nobody would run, is a mistake.
using Hook = FakeBench::Manager::DisconnectHook;
template <class R>
using Returning = R (*)(ConnectionPtr, const Disconnect&);
static_assert(std::is_constructible_v<Hook, Returning<void>>);
static_assert(std::is_constructible_v<Hook, Returning<awaitable<>>>);
static_assert(!std::is_constructible_v<Hook, Returning<awaitable<bool>>>);
static_assert(!std::is_constructible_v<Hook, Returning<bool>>);
using Question = decltype(FakeBench::Options::on_connect);
static_assert(std::is_constructible_v<Question, bool (*)(FakeWebSocket&, json&)>);
static_assert(std::is_constructible_v<Question, awaitable<bool> (*)(FakeWebSocket&, json&)>);
static_assert(!std::is_constructible_v<Question, awaitable<> (*)(FakeWebSocket&, json&)>);
static_assert(!std::is_constructible_v<Question, void (*)(FakeWebSocket&, json&)>);

TEST_CASE("a hook gets the connection with its metadata and rooms, and why it ended", "[hooks]") {
  int calls = 0;
  FakeBench bench;
  bench.manager.on_disconnect([&](const ConnectionPtr& connection, const Disconnect& how) {
    ++calls;
    CHECK(connection->id() == "alice");
    CHECK(connection->metadata()["user"] == "ann");
    CHECK(connection->rooms() == Strings{"attic", "lobby"});
    CHECK_FALSE(connection->is_connected());
    CHECK(how.reason == Reason::disconnected);
    CHECK(how.code == 4000);
    CHECK(how.text == "why");
    CHECK(bench.manager.find("alice") == nullptr);  // it is unregistered already
    CHECK(bench.manager.list_rooms().empty());
  });
  json metadata;
  metadata["user"] = "ann";
  bench.run(bench.manager.connect(
      bench.socket(),
      {.connection_id = "alice", .metadata = metadata, .rooms = {"lobby", "attic"}}));
  bench.run(bench.manager.close("alice", 4000, "why"));
  CHECK(calls == 1);
  bench.run(bench.manager.disconnect("alice"));
  CHECK(calls == 1);
}

TEST_CASE("hooks run once, whichever way a connection ends", "[hooks]") {
  std::vector<Reason> reasons;
  FakeBench bench({.send_timeout = 1s});
  bench.manager.on_disconnect(
      [&](const ConnectionPtr&, const Disconnect& how) { reasons.push_back(how.reason); });
  const auto returns = [](ConnectionPtr) -> awaitable<> { co_return; };
  const auto receives = [&](ConnectionPtr connection) -> awaitable<> {
    co_await bench.manager.receive_text(*connection);
  };
  const auto socket = bench.connect("alice");
  Reason expected{};
  SECTION("disconnect") {
    bench.run(bench.manager.disconnect("alice"));
    expected = Reason::disconnected;
  }
  SECTION("close_all") {
    bench.run(bench.manager.close_all());
    expected = Reason::closing_all;
  }
  SECTION("failed send") {
    socket->fail_sends();
    bench.run(bench.manager.broadcast_text("x"));
    expected = Reason::send_failed;
  }
  SECTION("slow send") {
    socket->stall_sends();
    bench.manager.post_text("x");
    bench.settle();
    bench.pass(1s);
    expected = Reason::send_timeout;
  }
  SECTION("session") {
    bench.run(bench.manager.session(bench.socket(), {}, returns));
    expected = Reason::handler_ended;
  }
  SECTION("peer") {
    const auto other = bench.socket();
    const auto session = bench.start(bench.manager.session(other, {}, receives));
    other->peer_closes();
    expected = Reason::peer_closed;
  }
  SECTION("cancelled") {
    const auto session = bench.start(bench.manager.session(bench.socket(), {}, receives));
    session->cancel();
    expected = Reason::cancelled;
  }
  SECTION("replaced") {
    bench.run(bench.manager.connect(
        bench.socket(), {.connection_id = "alice", .on_duplicate = OnDuplicate::replace}));
    expected = Reason::replaced;
  }
  bench.settle();
  CHECK(reasons == std::vector<Reason>{expected});
}

TEST_CASE("a refused connection has no disconnect", "[hooks]") {
  int calls = 0;
  FakeBench bench({.on_connect = [](FakeWebSocket&, json&) { return false; }});
  bench.manager.on_disconnect([&](const ConnectionPtr&, const Disconnect&) { ++calls; });
  CHECK(error_of([&] { bench.connect("alice"); }) == errc::connection_denied);
  bench.settle();
  CHECK(calls == 0);
}

TEST_CASE("hooks run in their order, one after the other, plain and coroutines", "[hooks]") {
  Gate gate;
  Strings order;
  FakeBench bench;
  bench.manager.on_disconnect(
      [&](const ConnectionPtr&, const Disconnect&) { order.push_back("first"); });
  bench.manager.on_disconnect([&](ConnectionPtr, const Disconnect&) -> awaitable<> {
    co_await gate.pass();
    order.push_back("second");
  });
  bench.manager.on_disconnect(
      [&](const ConnectionPtr&, const Disconnect&) { order.push_back("third"); });
  const auto socket = bench.connect("alice");
  const auto closing = bench.start(bench.manager.disconnect("alice"));
  CHECK(order == Strings{"first"});
  CHECK(socket->close_code() == 1000);  // the close does not wait for the hooks
  CHECK_FALSE(closing->is_done());      // disconnect does
  gate.open();
  bench.settle();
  CHECK(order == Strings{"first", "second", "third"});
  CHECK(closing->is_done());
}

TEST_CASE("a hook that throws is logged, and the next one runs", "[hooks]") {
  int calls = 0;
  FakeBench bench;
  bench.manager.on_disconnect(
      [](const ConnectionPtr&, const Disconnect&) { throw std::runtime_error("plain"); });
  bench.manager.on_disconnect([](ConnectionPtr, const Disconnect&) -> awaitable<> {
    throw std::runtime_error("coroutine");
    co_return;
  });
  bench.manager.on_disconnect([](const ConnectionPtr&, const Disconnect&) { throw 1; });
  bench.manager.on_disconnect([&](const ConnectionPtr&, const Disconnect&) { ++calls; });
  bench.connect("al\"ice");
  CHECK(bench.run(bench.manager.disconnect("al\"ice")));
  CHECK(calls == 1);
  CHECK(bench.log.count(Severity::warning, "hook_failed") == 3);
  Strings lines;
  for (const auto& line : bench.log.lines()) {
    if (line.event == "hook_failed") lines.push_back(line.text);
  }
  CHECK(lines == Strings{R"(hook_failed hook="on_disconnect" id="al\x22ice" why="plain")",
                         R"(hook_failed hook="on_disconnect" id="al\x22ice" why="coroutine")",
                         R"(hook_failed hook="on_disconnect" id="al\x22ice" )"
                         R"(why="an exception of unknown type")"});
}

TEST_CASE("a hook that hangs is given up after its time, and the next one runs", "[hooks]") {
  int calls = 0;
  FakeBench bench({.hook_timeout = 3s});
  bench.manager.on_disconnect(
      [](ConnectionPtr, const Disconnect&) -> awaitable<> { co_await wait_for_ever(); });
  bench.manager.on_disconnect([&](const ConnectionPtr&, const Disconnect&) { ++calls; });
  bench.connect("alice");
  bench.connect("bob");
  const auto closing = bench.start(bench.manager.disconnect("alice"));
  const auto all = bench.start(bench.manager.close_all());
  CHECK(all->is_done());  // does not wait for hooks
  bench.pass(2999ms);
  CHECK_FALSE(closing->is_done());
  CHECK(calls == 0);
  bench.pass(1ms);
  CHECK(closing->is_done());
  CHECK(calls == 2);
  CHECK(bench.log.count(Severity::warning, "hook_failed") == 2);
  CHECK(contains(bench.log.last("hook_failed"), "timed out"));
}

TEST_CASE("hooks may call back into the manager", "[hooks]") {
  FakeBench bench;
  bench.manager.on_disconnect([&](ConnectionPtr connection, const Disconnect&) -> awaitable<> {
    for (const std::string& room : connection->rooms()) {
      const std::string text = connection->id() + " left";
      co_await bench.manager.broadcast_text(text, {.room = room});
    }
    // One goes, all go: down to the last.
    co_await bench.manager.disconnect("carol");
    co_await bench.manager.disconnect(connection->id());
    co_await connection->send_text("you are gone");
  });
  const auto alice = bench.connect("alice", {"lobby"});
  const auto bob = bench.connect("bob", {"lobby"});
  const auto carol = bench.connect("carol", {"lobby"});
  CHECK(bench.run(bench.manager.disconnect("alice")));
  CHECK(alice->sent().empty());
  CHECK(bob->sent_texts() == Strings{"alice left", "carol left"});
  CHECK(carol->sent_texts() == Strings{"alice left"});
  CHECK(bench.manager.total_connections() == 1);
}

TEST_CASE("a hook may reconnect, and add a hook", "[hooks]") {
  int added_calls = 0;
  int calls = 0;
  FakeBench bench;
  bench.manager.on_disconnect([&](ConnectionPtr connection, const Disconnect&) -> awaitable<> {
    if (++calls > 1) co_return;
    for (int i = 0; i < 50; ++i) {
      bench.manager.on_disconnect([&](const ConnectionPtr&, const Disconnect&) { ++added_calls; });
    }
    const auto socket = bench.socket();
    const std::string id = connection->id();
    co_await bench.manager.connect(socket, {.connection_id = id, .rooms = {"lobby"}});
  });
  bench.connect("alice");
  bench.run(bench.manager.disconnect("alice"));
  CHECK(bench.manager.list_rooms() == Strings{"lobby"});
  bench.run(bench.manager.disconnect("alice"));
  CHECK(calls == 2);
  CHECK(added_calls >= 50);
}

TEST_CASE("cancelling disconnect or close_all cancels the wait, not the end", "[hooks]") {
  Gate gate;
  int calls = 0;
  FakeBench bench;
  bench.manager.on_disconnect([&](ConnectionPtr, const Disconnect&) -> awaitable<> {
    co_await gate.pass();
    ++calls;
  });
  const auto alice = bench.connect("alice");
  const auto bob = bench.connect("bob");
  alice->stall_close();
  bob->stall_close();
  const auto one = bench.start(bench.manager.disconnect("alice"));
  const auto all = bench.start(bench.manager.close_all(1001));
  one->cancel();
  all->cancel();
  bench.settle();
  CHECK_THROWS_AS(one->take(), boost::system::system_error);
  CHECK_THROWS_AS(all->take(), boost::system::system_error);
  CHECK(bench.manager.total_connections() == 0);
  CHECK_FALSE(alice->is_aborted());
  gate.open();
  bench.pass(5s);
  CHECK(alice->is_aborted());
  CHECK(bob->is_aborted());
  CHECK(calls == 2);
}

// Notes what the hooks are told, in one line each.
void note_all(FakeBench& bench, Strings& told) {
  bench.manager.on_connected(
      [&](const ConnectionPtr& connection) { told.push_back("connected " + connection->id()); });
  bench.manager.on_joined([&](const ConnectionPtr& connection, std::string_view room) {
    told.push_back("joined " + connection->id() + " " + std::string(room));
  });
  bench.manager.on_left([&](const ConnectionPtr& connection, std::string_view room) {
    told.push_back("left " + connection->id() + " " + std::string(room));
  });
  bench.manager.on_disconnect([&](const ConnectionPtr& connection, const Disconnect&) {
    told.push_back("disconnect " + connection->id());
  });
}

TEST_CASE("the hooks of a connection come in the order of what happened to it", "[hooks]") {
  Strings told;
  FakeBench bench;
  note_all(bench, told);
  bench.connect("alice", {"lobby", "attic"});
  CHECK(told == Strings{"connected alice", "joined alice lobby", "joined alice attic"});
  told.clear();
  CHECK(bench.run(bench.manager.join("alice", "cellar")));
  CHECK(bench.run(bench.manager.join("alice", "cellar")));  // is there already
  CHECK(bench.run(bench.manager.leave("alice", "lobby")));
  CHECK_FALSE(bench.run(bench.manager.leave("alice", "lobby")));
  CHECK(told == Strings{"joined alice cellar", "left alice lobby"});
  told.clear();
  bench.run(bench.manager.disconnect("alice"));
  CHECK(told == Strings{"left alice attic", "left alice cellar", "disconnect alice"});
}

TEST_CASE("a connection that is refused is told to no hook", "[hooks]") {
  Strings told;
  FakeBench bench({.room_validator = [](std::string_view, auto&) { return false; }});
  note_all(bench, told);
  CHECK(error_of([&] { bench.connect("alice", {"lobby"}); }) == errc::join_denied);
  bench.connect("bob");
  CHECK(error_of([&] { bench.run(bench.manager.join("bob", "lobby")); }) == errc::join_denied);
  bench.settle();
  CHECK(told == Strings{"connected bob"});
}

TEST_CASE("connect returns, and a handler begins, after the hooks were told", "[hooks]") {
  Gate gate;
  Strings order;
  FakeBench bench;
  bench.manager.on_connected([&](ConnectionPtr connection) -> awaitable<> {
    co_await gate.pass();
    connection->metadata()["greeted"] = true;
    order.push_back("hook");
  });
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    CHECK(connection->metadata()["greeted"] == true);
    order.push_back("handler");
    co_return;
  };
  const auto connecting = bench.start(bench.manager.connect(bench.socket()));
  const auto session = bench.start(bench.manager.session(bench.socket(), {}, handler));
  CHECK(bench.manager.total_connections() == 2);  // they are registered all the same
  CHECK_FALSE(connecting->is_done());
  CHECK(order.empty());
  gate.open();
  bench.settle();
  CHECK(connecting->is_done());
  CHECK(order == Strings{"hook", "hook", "handler"});
}

TEST_CASE("a hook that hangs holds its own connection only, and not for ever", "[hooks]") {
  Strings told;
  FakeBench bench({.hook_timeout = 3s});
  bench.manager.on_connected([](ConnectionPtr connection) -> awaitable<> {
    if (connection->id() == "alice") co_await wait_for_ever();
  });
  note_all(bench, told);
  const auto alice = bench.start(
      bench.manager.connect(bench.socket(), {.connection_id = "alice", .rooms = "lobby"}));
  bench.connect("bob");
  CHECK(told == Strings{"connected bob"});
  bench.pass(3s);
  CHECK(alice->is_done());
  CHECK(told == Strings{"connected bob", "connected alice", "joined alice lobby"});
  CHECK(bench.log.count(Severity::warning, "hook_failed") == 1);
  CHECK(contains(bench.log.last("hook_failed"), "on_connected"));
}

TEST_CASE("hooks may end, move and reach the connection that they are told of", "[hooks]") {
  Strings told;
  FakeBench bench;
  bench.manager.on_connected([&](ConnectionPtr connection) -> awaitable<> {
    const std::string id = connection->id();
    co_await bench.manager.join(id, "first");
    co_await connection->send_text("welcome");
    // Does not wait for its hooks, which come after this one.
    if (id == "bob") co_await bench.manager.disconnect(id);
  });
  note_all(bench, told);
  const auto alice = bench.connect("alice");
  CHECK(alice->sent_texts() == Strings{"welcome"});
  CHECK(told == Strings{"connected alice", "joined alice first"});
  told.clear();
  int handled = 0;
  const auto handler = [&](ConnectionPtr) -> awaitable<> {
    ++handled;
    co_return;
  };
  const SessionOutcome outcome =
      bench.run(bench.manager.session(bench.socket(), {.connection_id = "bob"}, handler));
  CHECK(outcome.reason == Reason::disconnected);
  CHECK(handled == 0);
  bench.settle();
  CHECK(told == Strings{"connected bob", "joined bob first", "left bob first", "disconnect bob"});
}

TEST_CASE("a caller that gives up waiting for the hooks of a connect has no connection",
          "[hooks]") {
  Gate gate;
  std::vector<Reason> ended;
  FakeBench bench;
  bench.manager.on_connected([&](ConnectionPtr) -> awaitable<> { co_await gate.pass(); });
  bench.manager.on_disconnect(
      [&](const ConnectionPtr&, const Disconnect& how) { ended.push_back(how.reason); });
  const auto socket = bench.socket();
  const auto connecting = bench.start(bench.manager.connect(socket));
  connecting->cancel();
  bench.settle();
  CHECK(connecting->is_done());
  CHECK_THROWS_AS(connecting->take(), boost::system::system_error);
  CHECK(bench.manager.total_connections() == 0);
  CHECK(socket->close_code() == 1001);
  gate.open();
  bench.settle();
  CHECK(ended == std::vector<Reason>{Reason::cancelled});
}

TEST_CASE("a hook that is a coroutine may take its arguments by reference", "[hooks]") {
  Gate gate;
  Strings told;
  FakeBench bench;
  bench.manager.on_connected([&](const ConnectionPtr& connection) -> awaitable<> {
    co_await gate.pass();
    told.push_back("connected " + connection->id());
  });
  bench.manager.on_joined(
      [&](const ConnectionPtr& connection, std::string_view room) -> awaitable<> {
        co_await gate.pass();
        told.push_back("joined " + connection->id() + " " + std::string(room));
      });
  bench.manager.on_disconnect(
      [&](const ConnectionPtr& connection, const Disconnect& how) -> awaitable<> {
        co_await gate.pass();
        told.push_back("ended " + connection->id() + " " + std::string(to_string(how.reason)));
      });
  const auto connecting = bench.start(
      bench.manager.connect(bench.socket(), {.connection_id = "alice", .rooms = "lobby"}));
  bench.manager.find("alice")->websocket()->peer_vanishes();
  const auto closing = bench.start(bench.manager.disconnect("alice"));
  gate.open();
  bench.settle();
  CHECK(told == Strings{"connected alice", "joined alice lobby", "ended alice connection_lost"});
}

TEST_CASE("an id that is taken over: hooks of the old connection end before those of the new begin",
          "[hooks]") {
  Gate gate;
  Strings told;
  const auto tell = [&](std::string what, ConnectionPtr connection) -> awaitable<> {
    const std::string which = connection->metadata().at("which").get<std::string>();
    told.push_back(what + " " + which);
    co_await gate.pass();
    told.push_back(what + " " + which + ", done");
  };
  FakeBench bench;  // it tells them of its end
  bench.manager.on_connected([&](ConnectionPtr c) { return tell("connected", c); });
  bench.manager.on_disconnect([&](ConnectionPtr c, const Disconnect&) { return tell("ended", c); });
  const auto connect = [&](const std::string& which) {
    json metadata;
    metadata["which"] = which;
    return bench.start(bench.manager.connect(
        bench.socket(),
        {.connection_id = "alice", .metadata = metadata, .on_duplicate = OnDuplicate::replace}));
  };
  const auto first = connect("first");
  const auto second = connect("second");
  const auto third = connect("third");
  CHECK(told == Strings{"connected first"});
  CHECK(first->is_done() == false);
  gate.open();
  bench.settle();
  CHECK(third->is_done());
  REQUIRE(bench.manager.find("alice"));
  CHECK(bench.manager.find("alice")->metadata().at("which") == "third");
  REQUIRE(told.size() >= 6);
  for (std::size_t i = 0; i + 1 < told.size(); i += 2) CHECK(told[i + 1] == told[i] + ", done");
  CHECK(told[2] == "ended first");
  CHECK(told[told.size() - 2] == "connected third");
}

TEST_CASE("a session that is given up while its hooks are told closes its socket once", "[hooks]") {
  Gate gate;
  Bench<PlainSocket> bench;
  bench.manager.on_connected(
      [&](Bench<PlainSocket>::ConnectionPtr) -> awaitable<> { co_await gate.pass(); });
  int handled = 0;
  const auto handler = [&](Bench<PlainSocket>::ConnectionPtr) -> awaitable<> {
    ++handled;
    co_return;
  };
  const auto socket = bench.socket();
  const auto session = bench.start(bench.manager.session(socket, {}, handler));
  session->cancel();
  bench.settle();
  CHECK(session->is_done());
  CHECK_THROWS_AS(session->take(), boost::system::system_error);
  CHECK(socket->closed == std::vector<std::uint16_t>{1001});
  CHECK(handled == 0);
  gate.open();
  bench.settle();
}

TEST_CASE("a connection whose hooks are being told takes one place, not two", "[hooks]") {
  Gate gate;
  FakeBench bench({.max_connections = 2});
  bench.manager.on_connected([&](ConnectionPtr) -> awaitable<> { co_await gate.pass(); });
  const auto first = bench.start(bench.manager.connect(bench.socket()));
  const auto second = bench.start(bench.manager.connect(bench.socket()));
  CHECK(bench.manager.total_connections() == 2);
  CHECK(error_of([&] { bench.connect("third"); }) == errc::too_many_connections);
  gate.open();
  bench.settle();
  CHECK(second->is_done());
}

TEST_CASE("hooks are not told while somebody walks over connections", "[hooks]") {
  // A join and a disconnect that a hook makes change the room that a broadcast is walking over.
  FakeBench bench;
  bench.manager.on_left([&](ConnectionPtr connection, std::string_view) -> awaitable<> {
    const std::string text = connection->id() + " left";
    co_await bench.manager.broadcast_text(text, {.room = "lobby"});
    co_await bench.manager.disconnect("dave");
  });
  const auto bob = bench.connect("bob", {"lobby"});
  std::vector<std::shared_ptr<FakeWebSocket>> failing;
  for (int i = 0; i < 3; ++i) {
    failing.push_back(bench.connect("failing" + std::to_string(i), {"lobby"}));
    failing.back()->fail_sends();
  }
  bench.connect("dave", {"lobby"});
  CHECK(bench.run(bench.manager.broadcast_text("x", {.room = "lobby"})) == 2);
  bench.settle();
  CHECK(bench.manager.total_connections() == 1);
  CHECK(bob->sent_texts().size() == 5);  // x, and four who left
}

TEST_CASE("a socket that tells of its end ends its connection", "[hooks]") {
  Disconnect told;
  Bench<FrameFake> bench;
  bench.manager.on_disconnect(
      [&](const Bench<FrameFake>::ConnectionPtr&, const Disconnect& how) { told = how; });
  const auto socket = bench.connect("alice", {"lobby"});
  socket->peer_closes(4002);
  CHECK(bench.manager.total_connections() == 0);  // at once
  CHECK(bench.manager.list_rooms().empty());
  bench.settle();
  CHECK(told.reason == Reason::peer_closed);
  CHECK(told.code == 4002);
}

}  // namespace
}  // namespace roost
