// SPDX-License-Identifier: MIT
// The end of a server: all go, paced, told when to come back, and nothing is left running.
#include <roost/roost.hpp>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/plain_socket.hpp"

namespace roost {
namespace {

using namespace test;
using FakeBench = Bench<FakeWebSocket>;
using ConnectionPtr = FakeBench::ConnectionPtr;
using Reason = DisconnectReason;
using Strings = std::vector<std::string>;

// 0 if the reason is not a hint.
long retry_ms(const std::string& reason) {
  return reason.starts_with("retry-ms=") ? std::atol(reason.c_str() + 9) : 0;
}

std::vector<std::shared_ptr<FakeWebSocket>> connect_many(FakeBench& bench, std::size_t count) {
  std::vector<std::shared_ptr<FakeWebSocket>> sockets;
  for (std::size_t i = 0; i < count; ++i) sockets.push_back(bench.connect(std::to_string(i)));
  return sockets;
}

awaitable<bool> wait_and_count(int& cancelled) {
  try {
    co_await wait_for_ever();
  } catch (const boost::system::system_error&) {
    ++cancelled;
    throw;
  }
  co_return true;
}

std::size_t closed(const std::vector<std::shared_ptr<FakeWebSocket>>& sockets) {
  return static_cast<std::size_t>(std::count_if(
      sockets.begin(), sockets.end(), [](const auto& s) { return s->close_code().has_value(); }));
}

TEST_CASE("a drain closes everybody, and says how many left how", "[drain]") {
  FakeBench bench;
  const auto sockets = connect_many(bench, 3);
  std::vector<Reason> ended;
  bench.manager.on_disconnect(
      [&](const ConnectionPtr&, const Disconnect& how) { ended.push_back(how.reason); });
  const DrainReport report = bench.run(bench.manager.drain({.spread = 0s}));
  CHECK(report.connections == 3);
  CHECK(report.closed == 3);
  CHECK(report.left == 0);
  CHECK(report.aborted == 0);
  CHECK(report.unfinished == 0);
  CHECK(ended == std::vector<Reason>(3, Reason::draining));
  for (const auto& socket : sockets) {
    CHECK(socket->close_code() == 1012);
    CHECK_FALSE(socket->is_aborted());
  }
  CHECK(bench.log.count(Severity::info, "drained") == 1);
}

TEST_CASE("a drain of nobody is over at once", "[drain]") {
  FakeBench bench;
  CHECK(bench.run(bench.manager.drain()).connections == 0);
  CHECK(bench.manager.is_draining());
}

TEST_CASE("a drain paces the closes over its spread", "[drain]") {
  FakeBench bench;
  const auto sockets = connect_many(bench, 1000);
  const auto drain = bench.start(bench.manager.drain({.deadline = 30s, .spread = 4s}));
  CHECK(closed(sockets) == 1);
  bench.pass(3999us);
  CHECK(closed(sockets) == 1);
  bench.pass(1us);
  CHECK(closed(sockets) == 2);
  bench.pass(1996ms);
  CHECK(closed(sockets) == 501);
  bench.pass(1995ms);
  CHECK(closed(sockets) == 999);
  CHECK_FALSE(drain->is_done());
  bench.pass(1ms);
  CHECK(drain->is_done());
  CHECK(drain->take().closed == 1000);
}

TEST_CASE("few connections are not kept waiting by a long spread", "[drain]") {
  FakeBench bench;
  const auto sockets = connect_many(bench, 3);
  const auto drain = bench.start(bench.manager.drain({.deadline = 1h, .spread = 10min}));
  bench.pass(9999us);
  CHECK(closed(sockets) == 1);
  bench.pass(1us);
  CHECK(closed(sockets) == 2);
  bench.pass(10ms);
  CHECK(drain->is_done());
}

TEST_CASE("the spread leaves half of the deadline for the last", "[drain]") {
  FakeBench bench;
  const auto sockets = connect_many(bench, 400);
  const auto drain = bench.start(bench.manager.drain({.deadline = 4s, .spread = 60s}));
  bench.pass(1994ms);
  CHECK(closed(sockets) == 399);
  bench.pass(1ms);
  CHECK(closed(sockets) == 400);
  CHECK(drain->is_done());
}

TEST_CASE("until it is its turn a connection is served", "[drain]") {
  FakeBench bench;
  const auto sockets = connect_many(bench, 2);
  const auto drain = bench.start(bench.manager.drain({.spread = 10s}));
  CHECK(bench.manager.total_connections() == 1);
  const std::size_t last = sockets[0]->close_code() ? 1 : 0;
  CHECK(bench.run(bench.manager.broadcast_text("still here")) == 1);
  bench.pass(5s);
  CHECK(sockets[last]->sent_texts() == Strings{"still here"});
  CHECK(drain->is_done());
}

TEST_CASE("queued messages are sent before the close", "[drain]") {
  FakeBench bench;
  const auto socket = bench.connect("alice");
  socket->stall_sends();
  bench.manager.post_text("last words");
  bench.settle();
  const auto drain = bench.start(bench.manager.drain());
  CHECK_FALSE(socket->close_code());
  socket->resume_sends();
  bench.settle();
  CHECK(socket->sent_texts() == Strings{"last words"});
  CHECK(socket->close_code() == 1012);
  CHECK(drain->take().closed == 1);
}

TEST_CASE("clients are told when to come back, not all at once", "[drain]") {
  FakeBench bench;
  const auto sockets = connect_many(bench, 100);
  bench.run(
      bench.manager.drain({.code = 1001, .spread = 0s, .retry_after = 2s, .retry_spread = 10s}));
  std::multiset<long> hints;
  for (const auto& socket : sockets) {
    CHECK(socket->close_code() == 1001);
    hints.insert(retry_ms(socket->close_reason()));
  }
  CHECK(*hints.begin() >= 2000);
  CHECK(*hints.rbegin() < 12'000);
  for (long second = 2; second < 12; ++second) {
    const auto in_second =
        std::distance(hints.lower_bound(second * 1000), hints.lower_bound((second + 1) * 1000));
    CHECK(in_second >= 9);
    CHECK(in_second <= 11);
  }
}

TEST_CASE("while it is drained a manager refuses, with a hint too", "[drain]") {
  FakeBench bench;
  const auto alice = bench.connect("alice");
  alice->stall_close();
  CHECK_FALSE(bench.manager.is_draining());
  const auto drain = bench.start(bench.manager.drain({.deadline = 5s, .code = 4001}));
  CHECK(bench.manager.is_draining());
  const auto bob = bench.socket();
  CHECK(error_of([&] { bench.run(bench.manager.connect(bob)); }) == errc::draining);
  CHECK_FALSE(bob->close_code());  // connect leaves a socket open that it refuses
  const auto handler = [](ConnectionPtr) -> awaitable<> { co_return; };
  CHECK(error_of([&] { bench.run(bench.manager.session(bob, {}, handler)); }) == errc::draining);
  bench.settle();
  CHECK(bob->close_code() == 4001);
  CHECK(retry_ms(bob->close_reason()) >= 1000);
  CHECK(bench.manager.stats().refused == 2);
  bench.pass(5s);
  CHECK(drain->is_done());
  CHECK(error_of([&] { bench.run(bench.manager.connect(bench.socket())); }) == errc::draining);
}

TEST_CASE("a client that is being admitted when a drain begins does not come in", "[drain]") {
  test::Gate gate;
  FakeBench bench({.on_connect = [&](FakeWebSocket&, nlohmann::json&) -> awaitable<bool> {
    co_await gate.pass();
    co_return true;
  }});
  const auto connecting = bench.start(bench.manager.connect(bench.socket()));
  const auto drain = bench.start(bench.manager.drain());
  gate.open();
  bench.settle();
  CHECK(error_of([&] { connecting->take(); }) == errc::draining);
  CHECK(drain->take().connections == 0);
}

TEST_CASE("a connection that does not close by the deadline is aborted", "[drain]") {
  FakeBench bench;
  const auto sockets = connect_many(bench, 10);
  for (std::size_t i = 0; i < 4; ++i) sockets[i]->stall_close();
  sockets[4]->stall_sends();
  bench.manager.post_text("never read");
  bench.settle();
  const auto drain = bench.start(bench.manager.drain({.deadline = 4s, .spread = 0s}));
  bench.pass(3999ms);
  CHECK_FALSE(drain->is_done());
  bench.pass(1ms);
  REQUIRE(drain->is_done());
  const DrainReport report = drain->take();
  CHECK(report.connections == 10);
  CHECK(report.closed == 5);
  CHECK(report.left == 0);
  CHECK(report.aborted == 5);
  for (std::size_t i = 0; i < 10; ++i) CHECK(sockets[i]->is_aborted() == (i < 5));
}

TEST_CASE("a client that does not answer its close is aborted after close_timeout, not later",
          "[drain]") {
  FakeBench bench({.close_timeout = 2s});
  const auto sockets = connect_many(bench, 3);
  for (const auto& socket : sockets) socket->stall_close();
  const auto drain = bench.start(bench.manager.drain({.deadline = 30s, .spread = 1s}));
  const auto aborted = [&] {
    return std::count_if(sockets.begin(), sockets.end(), [](auto& s) { return s->is_aborted(); });
  };
  for (int turn = 1; turn < 3; ++turn) bench.pass(10ms);
  bench.pass(1979ms);
  CHECK(aborted() == 0);
  for (int turn = 0; turn < 3; ++turn) {  // each has as much, from its turn on
    bench.pass(turn == 0 ? 1ms : 10ms);
    CHECK(aborted() == turn + 1);
  }
  REQUIRE(drain->is_done());
  CHECK(drain->take().aborted == 3);
  CHECK(running(bench.context) == 0);
}

TEST_CASE("a slow connection has until the deadline, as long as it gets on", "[drain]") {
  using detail::Patience;
  const auto at = [](Clock::duration time) { return Clock::time_point(time); };
  // Of 100 bytes.
  const auto left = [](std::size_t n) { return SendProgress{.taken = 100 - n, .pending = n}; };
  Patience patience({}, {.total = 30s, .without_progress = 4s}, left(100));
  SECTION("it stands still") {
    CHECK(patience.next_look() <= at(1s));
    CHECK_FALSE(patience.is_over(at(3999ms), left(100)));
    CHECK(patience.next_look() == at(4s));
    CHECK(patience.is_over(at(4s), left(100)));
  }
  SECTION("it gets on") {
    std::size_t unsent = 100;
    for (auto t = 1s; t < 30s; t += 1s) CHECK_FALSE(patience.is_over(at(t), left(--unsent)));
    CHECK(patience.is_over(at(30s), left(--unsent)));
  }
  SECTION("it has nothing more to take") {
    CHECK_FALSE(patience.is_over(at(500ms), left(0)));
    CHECK(patience.next_look() == at(4500ms));
    CHECK(patience.is_over(at(4500ms), left(0)));
  }
}

TEST_CASE("without a deadline a slow connection has as long as it takes enough", "[drain]") {
  using detail::Patience;
  const auto at = [](Clock::duration time) { return Clock::time_point(time); };
  const auto left = [](std::size_t n) { return SendProgress{.taken = 100 - n, .pending = n}; };
  const detail::TimeLimit limit{
      .total = {}, .without_progress = 4s, .min_progress_bytes = 10, .in_the_end = 2s};
  Patience patience({}, limit, left(100));
  std::size_t unsent = 100;
  SECTION("it takes enough, and then does what is wanted of it at the end") {
    auto t = 0s;
    for (; unsent > 0; t += 3s) CHECK_FALSE(patience.is_over(at(t), left(unsent -= 10)));
    CHECK(patience.next_look() == at(t - 1s));
    CHECK(patience.is_over(at(t - 1s), left(0)));
  }
  SECTION("it trickles") {
    CHECK_FALSE(patience.is_over(at(2s), left(unsent -= 9)));
    CHECK(patience.is_over(at(4s), left(unsent)));
  }
  SECTION("it takes enough, for ever") {
    Patience patience_for_much({}, limit, left(10'000));
    std::size_t rest = 10'000;
    for (auto t = 1s; t < 50s; t += 1s)
      CHECK_FALSE(patience_for_much.is_over(at(t), left(rest -= 10)));
    CHECK(patience_for_much.is_over(at(50s), left(rest -= 10)));
  }
  SECTION("there is nothing to take from the beginning") {
    Patience idle({}, limit, left(0));
    CHECK(idle.next_look() == at(2s));
    CHECK(idle.deadline() == at(2s));
    CHECK(idle.is_over(at(2s), left(0)));
  }
}

TEST_CASE("a client that leaves before its turn has left by itself", "[drain]") {
  FakeBench bench;
  const auto sockets = connect_many(bench, 3);
  const auto drain = bench.start(bench.manager.drain({.spread = 15s}));
  const auto last =
      std::find_if(sockets.begin(), sockets.end(), [](const auto& s) { return !s->close_code(); });
  (*last)->peer_closes();
  bench.settle();
  bench.pass(15s);
  REQUIRE(drain->is_done());
  const DrainReport report = drain->take();
  CHECK(report.closed == 2);
  CHECK(report.left == 1);
}

TEST_CASE("a drain waits for handlers and hooks, and cancels them at the deadline", "[drain]") {
  test::Gate gate;
  int cleaned_up = 0;
  FakeBench bench({.handler_grace = 24h});
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    struct CleanUp {
      int& count;
      ~CleanUp() { ++count; }
    };
    const CleanUp clean_up{cleaned_up};
    while (co_await bench.manager.next_text(*connection)) {
    }
    co_await gate.pass();  // what it does with the last message takes time
  };
  const auto session = bench.start(bench.manager.session(bench.socket(), {}, handler));
  const auto drain = bench.start(bench.manager.drain({.deadline = 6s}));
  CHECK_FALSE(drain->is_done());
  SECTION("the handler ends in time") {
    bench.pass(5s);
    gate.open();
    bench.settle();
    CHECK(drain->is_done());
  }
  SECTION("it does not") {
    bench.pass(5999ms);
    CHECK_FALSE(drain->is_done());
    CHECK(cleaned_up == 0);
    bench.pass(1ms);
    CHECK(drain->is_done());
  }
  CHECK(cleaned_up == 1);
  CHECK(session->is_done());
  const DrainReport report = drain->take();
  CHECK(report.closed == 1);
  CHECK(report.unfinished == 0);
}

TEST_CASE("a handler that ignores its end is counted, not waited for", "[drain]") {
  test::Gate gate;
  FakeBench bench;
  const auto handler = [&](ConnectionPtr) -> awaitable<> {
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    co_await gate.pass();
  };
  const auto session = bench.start(bench.manager.session(bench.socket(), {}, handler));
  const auto drain = bench.start(bench.manager.drain({.deadline = 1s}));
  bench.pass(1s);
  REQUIRE(drain->is_done());
  CHECK(drain->take().unfinished == 1);
  CHECK(running(bench.context) > 0);
  gate.open();
  bench.settle();
  CHECK(session->is_done());
}

TEST_CASE("after a drain nothing runs any more", "[drain]") {
  FakeBench bench;
  CHECK(running(bench.context) == 0);
  bench.manager.on_disconnect([](ConnectionPtr, const Disconnect&) -> awaitable<> { co_return; });
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    while (auto text = co_await bench.manager.next_text(*connection)) {
      co_await bench.manager.broadcast_text(*text);
    }
  };
  std::vector<std::shared_ptr<FakeWebSocket>> sockets;
  std::vector<FakeBench::Task<SessionOutcome>> sessions;
  for (int i = 0; i < 5; ++i) {
    sockets.push_back(bench.socket());
    sessions.push_back(bench.start(bench.manager.session(sockets.back(), {}, handler)));
  }
  sockets[0]->peer_sends("hello");
  sockets[1]->stall_sends();
  sockets[2]->stall_close();
  bench.settle();
  CHECK(running(bench.context) >= 5);
  const auto drain = bench.start(bench.manager.drain({.deadline = 2s, .spread = 1s}));
  bench.pass(2s);
  CHECK(drain->is_done());
  CHECK(running(bench.context) == 0);
}

TEST_CASE("a drain is one, whoever asks for it, and goes on for who gives up", "[drain]") {
  FakeBench bench;
  const auto sockets = connect_many(bench, 2);
  const auto first = bench.start(bench.manager.drain({.code = 1001, .spread = 10s}));
  const auto second = bench.start(bench.manager.drain({.code = 4001, .spread = 0s}));
  const auto impatient = bench.start(bench.manager.drain());
  impatient->cancel();
  bench.settle();
  CHECK(impatient->is_done());
  CHECK_THROWS_AS(impatient->take(), boost::system::system_error);
  CHECK(closed(sockets) == 1);
  bench.pass(10ms);
  REQUIRE((first->is_done() && second->is_done()));
  CHECK(first->take().closed == 2);
  CHECK(second->take().closed == 2);
  for (const auto& socket : sockets) CHECK(socket->close_code() == 1001);
  CHECK(bench.log.count(Severity::info, "drain") == 1);
  CHECK(bench.run(bench.manager.drain()).connections == 0);  // again is nothing
}

TEST_CASE("a handler or hook that awaits a drain which waits for it does not end the drain",
          "[drain]") {
  FakeBench bench;
  const auto other = bench.connect("other");
  const auto drain_here = [&]() -> awaitable<> {
    co_await bench.manager.drain({.deadline = 6s, .spread = 0s});
  };
  std::shared_ptr<detail::Child<SessionOutcome>> session;
  SECTION("a handler") {
    const auto handler = [&](ConnectionPtr) -> awaitable<> { co_await drain_here(); };
    session = bench.start(bench.manager.session(bench.socket(), {}, handler));
  }
  SECTION("a hook") {
    bench.manager.on_left([&](const ConnectionPtr&, std::string_view) { return drain_here(); });
    bench.connect("member", "lobby");
    session = bench.start(
        bench.manager.session(bench.socket(), {}, [](ConnectionPtr) -> awaitable<> { co_return; }));
    bench.run(bench.manager.leave("member", "lobby"));
  }
  bench.settle();
  bench.pass(6s);
  CHECK(bench.manager.is_draining());
  CHECK(bench.manager.total_connections() == 0);
  CHECK(other->close_code() == 1012);
  CHECK(session->is_done());
  CHECK(bench.log.count(Severity::info, "drained") == 1);
  CHECK(running(bench.context) == 0);
}

TEST_CASE("a drain waits for those that were closing before, until its deadline", "[drain]") {
  FakeBench bench({.close_timeout = 20s, .handler_grace = 20s});
  test::Gate gate;
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    while (co_await bench.manager.next_text(*connection)) {
    }
    co_await gate.pass();  // what it does with the last message takes time
  };
  const auto left = bench.socket();
  const auto session = bench.start(bench.manager.session(left, {}, handler));
  left->peer_closes();
  const auto closing = bench.connect("closing");
  closing->stall_close();
  const auto closed = bench.start(bench.manager.disconnect("closing"));
  const auto refused = bench.socket();
  refused->stall_close();
  const std::string bad_name(300, 'x');
  CHECK(error_of([&] { (void)bench.manager.session(refused, {.rooms = bad_name}, handler); }) ==
        errc::invalid_room_name);
  bench.settle();
  CHECK(bench.manager.total_connections() == 0);

  const auto drain = bench.start(bench.manager.drain({.deadline = 3s}));
  bench.pass(2999ms);
  CHECK_FALSE(drain->is_done());
  bench.pass(1ms);
  REQUIRE(drain->is_done());
  CHECK(drain->take().unfinished == 0);
  CHECK(closing->is_aborted());
  CHECK(refused->is_aborted());
  CHECK(closed->is_done());
  CHECK(session->is_done());
  CHECK(running(bench.context) == 0);
}

TEST_CASE("a hook under way is cancelled at the deadline, and the next one is told", "[drain]") {
  FakeBench bench({.hook_timeout = 1min});
  int cancelled = 0;
  int told = 0;
  bench.manager.on_disconnect([&](const ConnectionPtr&, const Disconnect&) -> awaitable<> {
    co_await wait_and_count(cancelled);
  });
  bench.manager.on_disconnect([&](const ConnectionPtr&, const Disconnect&) -> awaitable<> {
    ++told;
    co_return;
  });
  connect_many(bench, 2);
  const auto drain = bench.start(bench.manager.drain({.deadline = 3s, .spread = 0s}));
  bench.pass(2999ms);
  CHECK_FALSE(drain->is_done());
  CHECK(cancelled == 0);
  bench.pass(1ms);
  REQUIRE(drain->is_done());
  CHECK(cancelled == 2);
  CHECK(told == 2);
  CHECK(drain->take().closed == 2);
  CHECK(bench.log.count(Severity::warning, "hook_failed") == 2);
  CHECK(running(bench.context) == 0);
}

TEST_CASE("hooks that begin only after the deadline are called, and cut short as well", "[drain]") {
  FakeBench bench({.hook_timeout = 1min});
  int told = 0;
  bench.manager.on_left([&](const ConnectionPtr&, std::string_view) -> awaitable<> {
    ++told;
    co_await wait_for_ever();
  });
  bench.manager.on_disconnect([&](const ConnectionPtr&, const Disconnect&) -> awaitable<> {
    ++told;
    co_await wait_for_ever();
  });
  std::vector<std::string> rooms;
  for (int i = 0; i < 40; ++i) rooms.push_back(std::to_string(i));
  bench.connect("alice", rooms);
  const auto drain = bench.start(bench.manager.drain({.deadline = 3s}));
  CHECK(told == 1);
  bench.pass(3s);
  REQUIRE(drain->is_done());
  CHECK(told == 41);
  CHECK(drain->take().unfinished == 0);
  CHECK(running(bench.context) == 0);
}

TEST_CASE("a client that is still being admitted at the deadline is refused", "[drain]") {
  int cancelled = 0;
  FakeBench bench({.hook_timeout = 1min, .on_connect = [&](FakeWebSocket&, nlohmann::json&) {
                     return wait_and_count(cancelled);
                   }});
  const auto socket = bench.socket();
  socket->stall_close();
  const auto handler = [](ConnectionPtr) -> awaitable<> { co_return; };
  const auto session = bench.start(bench.manager.session(socket, {}, handler));
  const auto drain = bench.start(bench.manager.drain({.deadline = 3s}));
  bench.pass(2999ms);
  CHECK_FALSE(drain->is_done());
  bench.pass(1ms);
  REQUIRE(drain->is_done());
  CHECK(cancelled == 1);
  CHECK(session->is_done());
  CHECK(socket->is_aborted());
  CHECK(drain->take().unfinished == 0);
  CHECK(running(bench.context) == 0);
}

TEST_CASE("hooks under way are cancelled with their manager", "[drain]") {
  ManualClock clock;
  int cancelled = 0;
  boost::asio::io_context context;
  std::optional<ConnectionManager<FakeWebSocket>> manager;
  manager.emplace(context.get_executor(), ManagerOptions<FakeWebSocket>{.clock = &clock});
  manager->on_connected(
      [&](const ConnectionPtr&) -> awaitable<> { co_await wait_and_count(cancelled); });
  manager->on_disconnect([&](const ConnectionPtr&, const Disconnect&) { FAIL("too late"); });
  const auto connecting = detail::Child<ConnectionPtr>::start(
      context.get_executor(), manager->connect(std::make_shared<FakeWebSocket>()));
  run_ready(context);
  CHECK_FALSE(connecting->is_done());
  manager.reset();
  run_ready(context);
  CHECK(cancelled == 1);
  CHECK(connecting->is_done());
  CHECK(context.stopped());
}

TEST_CASE("a handler that ends its connection at once is waited for like any other", "[drain]") {
  FakeBench bench({.handler_grace = 1min});
  int cancelled = 0;
  const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
    boost::asio::co_spawn(bench.context, bench.manager.disconnect(connection->id()),
                          boost::asio::detached);
    co_await wait_and_count(cancelled);
  };
  const auto session = bench.start(bench.manager.session(bench.socket(), {}, handler));
  CHECK(cancelled == 1);
  CHECK(session->is_done());
}

/// A socket as users write them: it can neither be aborted nor cancelled.
class StubbornSocket : public PlainSocket {
 public:
  awaitable<> send_text(std::string_view) override {
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    co_await sending_.pass();
  }
  awaitable<> send_bytes(std::span<const std::byte>) override { return send_text({}); }
  awaitable<> close(std::uint16_t) override {
    ++closes;
    sending_.open();  // as a transport does
    co_return;
  }
  int closes = 0;

 private:
  test::Gate sending_;
};

TEST_CASE("a socket that cannot be aborted is closed at the deadline", "[drain]") {
  Bench<PlainSocket> bench({.send_timeout = 1min});
  const auto socket = std::make_shared<StubbornSocket>();
  bench.run(bench.manager.connect(socket, {.connection_id = "alice"}));
  bench.manager.post_text("never sent");
  bench.settle();
  const auto drain = bench.start(bench.manager.drain({.deadline = 3s}));
  bench.pass(2999ms);
  CHECK(socket->closes == 0);
  bench.pass(1ms);
  REQUIRE(drain->is_done());
  CHECK(drain->take().aborted == 1);
  CHECK(socket->closes == 1);
  CHECK(running(bench.context) == 0);
}

TEST_CASE("close_all does not make a manager refuse", "[drain]") {
  FakeBench bench;
  bench.connect("alice");
  CHECK(bench.run(bench.manager.close_all()) == 1);
  CHECK_FALSE(bench.manager.is_draining());
  bench.connect("bob");
  CHECK(bench.manager.total_connections() == 1);
}

TEST_CASE("a drain option outside its range is an error that names it", "[drain]") {
  FakeBench bench;
  const auto message = [&](DrainOptions options) {
    return message_of([&] { (void)bench.manager.drain(options); });
  };
  CHECK(contains(message({.deadline = 25h}), "deadline"));
  CHECK(contains(message({.deadline = -1s}), "deadline"));
  CHECK(contains(message({.code = 1006}), "code"));
  CHECK(contains(message({.spread = -1s}), "spread"));
  CHECK(contains(message({.retry_after = -1s}), "retry_after"));
  CHECK(contains(message({.retry_spread = 25h}), "retry_spread"));
  CHECK_FALSE(bench.manager.is_draining());
}

TEST_CASE("a manager with a drain under way may be destroyed", "[drain]") {
  ManualClock clock;
  boost::asio::io_context context;
  std::optional<ConnectionManager<FakeWebSocket>> manager;
  manager.emplace(context.get_executor(), ManagerOptions<FakeWebSocket>{.clock = &clock});
  for (int i = 0; i < 3; ++i) run(context, manager->connect(std::make_shared<FakeWebSocket>()));
  const auto drain =
      detail::Child<DrainReport>::start(context.get_executor(), manager->drain({.spread = 10s}));
  run_ready(context);
  SECTION("it ends") {
    manager.reset();
    clock.advance(10ms);  // until the next would have been closed
    run_ready(context);
    CHECK(drain->is_done());
    CHECK(context.stopped());
  }
  SECTION("the context goes first") {}
}

}  // namespace
}  // namespace roost
