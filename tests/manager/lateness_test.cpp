// SPDX-License-Identifier: MIT
// The loop did not run for a while: no deadline comes closer by that, and each still comes exactly
// when the loop has run for as long as it says.
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "support/bench.hpp"
#include "support/frame_fake.hpp"

namespace roost {
namespace {

using namespace test;
using detail::LoopClock;
using Reason = DisconnectReason;

// --- every deadline of a manager ---

/// A connection and something that has 5 s to be done.
struct Scenario {
  static constexpr bool is_done_by_that = true;  // by what is waited for
  Gate gate;
  Bench<FakeWebSocket> bench;
  std::shared_ptr<FakeWebSocket> alice;

  Scenario() : bench(options()) { alice = bench.connect("alice"); }
  virtual ~Scenario() = default;
  virtual void begin() = 0;
  virtual bool is_over() = 0;
  /// What is waited for.
  virtual void comes() = 0;
  virtual bool is_in_time() = 0;
  /// So that nothing is left.
  virtual void end() {
    gate.open();
    alice->resume_sends();
    alice->peer_vanishes();
    bench.settle();
  }

 private:
  ManagerOptions<FakeWebSocket> options() {
    ManagerOptions<FakeWebSocket> options;
    options.send_timeout = 5s;
    options.hook_timeout = 5s;
    options.close_timeout = 5s;
    options.handler_grace = 5s;
    options.room_validator = [this](std::string_view room, auto&) -> awaitable<bool> {
      if (room == "slow") co_await gate.pass();
      co_return true;
    };
    return options;
  }
};

struct SendTimeout final : Scenario {
  void begin() override {
    alice->stall_sends();
    bench.manager.post_text("news");
    bench.settle();
  }
  bool is_over() override { return bench.manager.total_connections() == 0; }
  void comes() override { alice->resume_sends(); }
  bool is_in_time() override { return !is_over() && alice->sent().size() == 1; }
};

struct HookTimeout final : Scenario {
  Bench<FakeWebSocket>::Task<bool> joining;
  void begin() override { joining = bench.start(bench.manager.join("alice", "slow")); }
  bool is_over() override { return joining->is_done(); }
  void comes() override { gate.open(); }
  bool is_in_time() override { return bench.manager.find("alice")->is_in("slow"); }
  void end() override {
    Scenario::end();
    try {
      joining->take();
    } catch (const boost::system::system_error&) {
    }
  }
};

struct CloseTimeout final : Scenario {
  static constexpr bool is_done_by_that = false;  // the close frame still has to go
  Bench<FakeWebSocket>::Task<bool> closing;
  void begin() override {
    alice->stall_sends();
    bench.manager.post_text("goodbye");
    closing = bench.start(bench.manager.disconnect("alice"));
  }
  bool is_over() override { return alice->is_aborted(); }
  void comes() override { alice->resume_sends(); }
  bool is_in_time() override { return closing->is_done() && !alice->is_aborted(); }
};

struct DrainDeadline final : Scenario {
  static constexpr bool is_done_by_that = false;  // the close frame still has to go
  Bench<FakeWebSocket>::Task<DrainReport> drain;
  void begin() override {
    alice->stall_sends();
    bench.manager.post_text("goodbye");
    drain = bench.start(bench.manager.drain({.deadline = 5s}));
  }
  bool is_over() override { return drain->is_done(); }
  void comes() override { alice->resume_sends(); }
  bool is_in_time() override { return drain->take().aborted == 0; }
};

struct HandlerGrace final : Scenario {
  std::shared_ptr<FakeWebSocket> bob = std::make_shared<FakeWebSocket>();
  Bench<FakeWebSocket>::Task<SessionOutcome> session;
  bool was_cancelled = false;

  awaitable<> handle(std::shared_ptr<Connection<FakeWebSocket>> connection) {
    co_await bench.manager.receive(*connection);
    try {
      co_await gate.pass();
    } catch (const boost::system::system_error&) {
      was_cancelled = true;
    }
  }
  void begin() override {
    session = bench.start(bench.manager.session(
        bob, {}, [this](auto connection) { return handle(std::move(connection)); }));
    bob->peer_sends("hello");
    bench.settle();
    bob->peer_vanishes();
    bench.settle();
  }
  bool is_over() override { return was_cancelled; }
  void comes() override { gate.open(); }
  bool is_in_time() override { return session->is_done() && !was_cancelled; }
};

TEMPLATE_TEST_CASE("lateness: a stall brings no deadline closer; without one each comes exactly",
                   "[lateness]", SendTimeout, HookTimeout, CloseTimeout, DrainDeadline,
                   HandlerGrace) {
  TestType scenario;
  auto& bench = scenario.bench;

  SECTION("the loop runs") {
    scenario.begin();
    bench.pass(5s - 1ns);
    CHECK_FALSE(scenario.is_over());
    bench.pass(1ns);
    CHECK(scenario.is_over());
    CHECK(bench.log.count("loop_late") == 0);
  }
  SECTION("it stalls for longer than the deadline, and then runs") {
    scenario.begin();
    bench.pass(3s);
    bench.clock.stall(1h);
    bench.settle();
    CHECK_FALSE(scenario.is_over());
    bench.pass(2s - 1ns);
    CHECK_FALSE(scenario.is_over());
    bench.pass(1ns);
    CHECK(scenario.is_over());
    CHECK(bench.log.count(Severity::warning, "loop_late") == 1);
    CHECK(contains(bench.log.last("loop_late"), "ms=\"3600000\""));
  }
  SECTION("an event that was waited for is there when the waiter wakes") {
    scenario.begin();
    bench.clock.stall(1h);
    scenario.comes();
    bench.settle();
    CHECK(scenario.is_in_time());
  }
  SECTION("an event in the turn of the deadline is in time") {
    scenario.begin();
    bench.clock.advance(5s);
    boost::asio::post(bench.context, [&] { scenario.comes(); });
    bench.settle();
    CHECK(scenario.is_in_time() == TestType::is_done_by_that);
  }
  scenario.end();
}

TEST_CASE("lateness: a socket with an outbox of its own, which goes by the clock", "[lateness]") {
  Bench<FrameFake> bench;
  const auto alice = bench.connect("alice");
  alice->stall();
  const int bytes_before = GENERATE(0, 1);  // taken before the stall
  bench.manager.post_text("news");
  bench.settle();
  bench.pass(3s);
  alice->drain(static_cast<std::size_t>(bytes_before));
  bench.clock.stall(1h);
  bench.settle();
  bench.pass(1999ms);
  CHECK(bench.manager.total_connections() == 1);
  bench.pass(10s);
  CHECK(bench.manager.total_connections() == 0);
}

TEST_CASE("lateness: a heartbeat gives the time of a stall back, and its stats tell it",
          "[lateness][heartbeat]") {
  Bench<FakeWebSocket> bench;
  HeartbeatMonitor<FakeWebSocket> monitor(bench.manager, {.interval = 10s, .timeout = 30s});
  monitor.start();
  const auto alice = bench.connect("alice");
  const auto live = [&](Clock::duration time) {
    for (; time > 0s; time -= 50ms) bench.pass(50ms);
  };
  alice->ignore_pings();
  live(20s);
  bench.clock.stall(1h);
  bench.settle();
  CHECK(monitor.is_alive("alice"));
  live(9900ms);
  CHECK(bench.manager.total_connections() == 1);
  CHECK(monitor.is_alive("alice"));
  live(200ms);
  CHECK(bench.manager.total_connections() == 0);
  CHECK(monitor.stats().late == 1h);
  CHECK(bench.log.count("loop_late") == 1);
}

TEST_CASE("lateness: applications see times of their own clock", "[lateness]") {
  Bench<FakeWebSocket> bench;
  bench.connect("early");
  const auto early = bench.manager.find("early");
  bench.pass(1s);
  const auto socket = bench.connect("alice");
  const auto alice = bench.manager.find("alice");
  const auto connected = bench.clock.now();
  bench.pass(1s);
  socket->peer_pongs("");
  const auto seen = bench.clock.now();
  for (const auto stall : {10s, 20s, 1s, 0s}) {
    bench.clock.stall(stall);
    CHECK(alice->connected_at() == connected);
    CHECK(alice->last_activity() == seen);
    bench.pass(3s);
  }
  socket->peer_pongs("");
  CHECK(alice->last_activity() == bench.clock.now());
  const auto last = bench.clock.now();
  socket->peer_vanishes();
  bench.settle();
  bench.clock.stall(10s);
  CHECK(alice->last_activity() == last);
  CHECK(early->last_activity() == early->connected_at());
}

// --- the time of a real loop ---

/// Nothing runs the loop meanwhile: its process is stopped, or a handler blocks it.
void block(Clock::duration time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

struct Loop {
  boost::asio::io_context context;
  std::shared_ptr<LoopClock> time = LoopClock::of(context.get_executor(), Clock::system());
  /// Completes when @p delay of the loop's time is over.
  std::shared_ptr<detail::Child<void>> sleep(Clock::duration delay) {
    return detail::Child<void>::start(
        context.get_executor(),
        detail::sleep_until(context.get_executor(), *time, time->now() + delay));
  }
  template <class Predicate>
  void until(Predicate predicate) {
    testing::run_until(context, std::move(predicate));
  }
};

TEST_CASE("loop clock: one for all who share an executor and a clock", "[lateness]") {
  Loop loop;
  ManualClock other;
  const auto executor = loop.context.get_executor();
  CHECK(LoopClock::of(executor, Clock::system()) == loop.time);
  CHECK(LoopClock::of(executor, *loop.time) == loop.time);  // not the time of its time
  CHECK(LoopClock::of(executor, other) != loop.time);
  CHECK(LoopClock::of(boost::asio::make_strand(loop.context), Clock::system()) != loop.time);
}

TEST_CASE("loop clock: a blocked turn takes no longer than the longest gap", "[lateness]") {
  Loop loop;
  const bool is_ticking = GENERATE(false, true);
  const auto sleeping = is_ticking ? loop.sleep(10s) : nullptr;
  const auto before = loop.time->now();
  for (int i = 0; i < 10; ++i) {  // a handler blocks, and looks at the time now and then
    block(50ms);
    CHECK(loop.time->now() - before <= LoopClock::max_gap + 10ms);
  }
  const auto during = loop.time->now();
  CHECK(loop.time->now() == during);
  testing::run_ready(loop.context);
  CHECK(loop.time->now() >= during);
  CHECK(loop.time->stalled() >= 500ms - LoopClock::max_gap);
  if (is_ticking) sleeping->cancel();
  testing::run_ready(loop.context);
}

TEST_CASE("loop clock: a process that was stopped while it waited loses nothing of its deadlines",
          "[lateness]") {
  Loop loop;
  const auto sleeping = loop.sleep(700ms);
  const auto begun = std::chrono::steady_clock::now();
  testing::run_ready(loop.context);
  const auto ran = std::chrono::steady_clock::now() - begun;
  block(1s);
  const auto woken = std::chrono::steady_clock::now();
  loop.until([&] { return sleeping->is_done(); });
  CHECK(std::chrono::steady_clock::now() - woken >= 700ms - LoopClock::max_gap - ran);
  CHECK(loop.time->stalled() >= 1s - LoopClock::max_gap);
}

TEST_CASE("loop clock: where the deadline came in the stall, the loop catches up first",
          "[lateness]") {
  Loop loop;
  const auto sleeping = loop.sleep(50ms);
  block(300ms);
  const auto woken = std::chrono::steady_clock::now();
  loop.until([&] { return sleeping->is_done(); });
  CHECK(std::chrono::steady_clock::now() - woken >= LoopClock::catching_up - 1ms);
}

TEST_CASE("loop clock: a loop that is late again and again still gets to its deadlines",
          "[lateness]") {
  Loop loop;
  const auto sleeping = loop.sleep(500ms);
  loop.until([&] {
    block(150ms);
    return sleeping->is_done();
  });
  CHECK(sleeping->is_done());
}

TEST_CASE("loop clock: with no deadline pending the context has nothing to run for", "[lateness]") {
  Loop loop;
  detail::WaitList list;
  bool is_notified = false;
  detail::when_notified(list, loop.context.get_executor(), *loop.time, loop.time->now() + 1h,
                        [&](bool notified) { is_notified = notified; });
  testing::run_ready(loop.context);
  CHECK_FALSE(loop.context.stopped());
  list.notify_all();
  testing::run_ready(loop.context);
  CHECK(is_notified);
  CHECK(loop.context.stopped());
  // A wait without a deadline does not tick.
  detail::when_notified(list, loop.context.get_executor(), *loop.time, detail::Timer::never(),
                        [&](bool) {});
  loop.context.restart();
  CHECK(loop.context.run_for(3 * LoopClock::tick) <= 1);
  list.notify_all();
  testing::run_ready(loop.context);
}

TEST_CASE("loop clock: may outlive its context", "[lateness]") {
  std::shared_ptr<LoopClock> time;
  {
    boost::asio::io_context context;
    const auto strand = boost::asio::make_strand(context);
    time = LoopClock::of(strand, Clock::system());
    const auto now = time->now();
    detail::Child<void>::start(strand, detail::sleep_until(strand, *time, now + 1h));
    testing::run_ready(context);
  }
  const auto now = time->now();
  CHECK(time->now() >= now);
}

TEST_CASE("loop clock: on a strand of several threads, read from others", "[lateness]") {
  boost::asio::thread_pool pool(2);
  const auto strand = boost::asio::make_strand(pool);
  const auto time = LoopClock::of(strand, Clock::system());
  std::vector<std::future<void>> sleeps;
  const auto nap = [time](boost::asio::any_io_executor executor, int ms) -> awaitable<> {
    co_await detail::sleep_until(executor, *time, time->now() + std::chrono::milliseconds(ms));
  };
  for (int i = 0; i < 20; ++i) {
    sleeps.push_back(boost::asio::co_spawn(strand, nap(strand, 10 * i), boost::asio::use_future));
  }
  bool is_behind = true;
  for (auto& sleep : sleeps) {
    while (sleep.wait_for(0s) != std::future_status::ready) {
      const Clock::time_point now = time->now();
      is_behind = is_behind && now <= Clock::system().now();
    }
  }
  CHECK(is_behind);
  pool.join();
}

}  // namespace
}  // namespace roost
