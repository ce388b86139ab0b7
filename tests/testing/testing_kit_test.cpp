// SPDX-License-Identifier: MIT
// The test kit itself.
#include <roost/testing.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/members.hpp"

namespace roost {
namespace {

using namespace test;
using testing::run_until;
using Strings = std::vector<std::string>;

// FakeWebSocket has every capability that needs no outbox.
static_assert(WebSocketLike<FakeWebSocket> && ReceivesMessages<FakeWebSocket> &&
              HasHeaders<FakeWebSocket> && Aborts<FakeWebSocket> &&
              ClosesWithReason<FakeWebSocket> && Pings<FakeWebSocket> &&
              KnowsItsEnd<FakeWebSocket> && !TakesFrames<FakeWebSocket>);

struct Kit {
  ManualClock clock;
  boost::asio::io_context context;
  FakeWebSocket socket;

  template <class T>
  auto start(awaitable<T> coroutine) {
    auto task = detail::Child<T>::start(context.get_executor(), std::move(coroutine));
    run_ready(context);
    return task;
  }
};

// --- run, run_ready, run_until ---

TEST_CASE("run_ready runs all that is ready, and what becomes ready by that", "[kit]") {
  boost::asio::io_context context;
  int ran = 0;
  boost::asio::post(context, [&] {
    ++ran;
    boost::asio::post(context, [&] { ++ran; });
  });
  CHECK(run_ready(context) == 2);
  CHECK(ran == 2);
  CHECK(run_ready(context) == 0);
  boost::asio::post(context, [&] { ++ran; });
  CHECK(run_ready(context) == 1);  // although the context had run out of work
}

TEST_CASE("run returns the result of a coroutine, and throws what it throws", "[kit]") {
  boost::asio::io_context context;
  const auto answer = []() -> awaitable<int> {
    co_await boost::asio::post(boost::asio::use_awaitable);
    co_return 42;
  };
  const auto nothing = []() -> awaitable<> { co_return; };
  const auto failure = []() -> awaitable<int> {
    throw std::runtime_error("no");
    co_return 0;
  };
  CHECK(run(context, answer()) == 42);
  run(context, nothing());
  CHECK_THROWS_WITH(run(context, failure()), "no");
}

TEST_CASE("run refuses a coroutine that waits, and cancels it", "[kit]") {
  boost::asio::io_context context;
  bool is_cancelled = false;
  const auto waits = [&]() -> awaitable<> {
    try {
      co_await wait_for_ever();
    } catch (const boost::system::system_error&) {
      is_cancelled = true;
    }
  };
  CHECK_THROWS_AS(run(context, waits()), std::logic_error);
  CHECK(is_cancelled);
}

TEST_CASE("run_until runs until its condition, or its watchdog", "[kit]") {
  boost::asio::io_context context;
  int ran = 0;
  for (int i = 0; i < 5; ++i) boost::asio::post(context, [&] { ++ran; });
  run_until(context, [&] { return ran == 3; });
  CHECK(ran == 3);
  run_until(context, [] { return true; });
  CHECK(ran == 3);
  CHECK_THROWS_AS(run_until(
                      context, [] { return false; }, 0s),
                  std::runtime_error);
}

// --- ManualClock ---

TEST_CASE("a manual clock moves only when told to", "[kit]") {
  Kit kit;
  const auto begin = kit.clock.now();
  const auto sleeping =
      kit.start(detail::sleep_until(kit.context.get_executor(), kit.clock, begin + 10s));
  CHECK(kit.clock.now() == begin);
  CHECK(kit.clock.armed() == 1);
  kit.clock.advance(10s - 1ns);
  run_ready(kit.context);
  CHECK_FALSE(sleeping->is_done());
  kit.clock.advance(1ns);
  CHECK(kit.clock.armed() == 0);
  CHECK_FALSE(sleeping->is_done());  // it runs with the next run_ready
  run_ready(kit.context);
  CHECK(sleeping->is_done());
  CHECK(kit.clock.now() == begin + 10s);
}

TEST_CASE("a deadline that has passed is due, however far the manual clock is ahead", "[kit]") {
  Kit kit;
  kit.clock.advance(std::chrono::hours(24 * 365 * 100));  // of any computer's uptime
  const auto executor = kit.context.get_executor();
  run(kit.context, detail::sleep_until(executor, kit.clock, kit.clock.now()));
  run(kit.context, detail::sleep_until(executor, kit.clock, kit.clock.now() - 1s));
  run(kit.context, detail::sleep_until(executor, kit.clock, Clock::time_point::min()));
  CHECK(kit.clock.armed() == 0);
}

TEST_CASE("waits that end in one step all end, each with its reason", "[kit]") {
  Kit kit;
  const auto executor = kit.context.get_executor();
  const auto begin = kit.clock.now();
  detail::WaitList list;
  std::vector<decltype(kit.start(detail::wait(list, executor, kit.clock)))> waits;
  for (int i = 1; i <= 5; ++i) {
    waits.push_back(kit.start(detail::wait(list, executor, kit.clock, begin + i * 1s)));
  }
  CHECK(kit.clock.armed() == 5);
  kit.clock.advance(3s);
  run_ready(kit.context);
  for (std::size_t i = 0; i < 5; ++i) CHECK(waits[i]->is_done() == (i < 3));
  CHECK_FALSE(waits[0]->take());
  list.notify_all();
  run_ready(kit.context);
  CHECK(waits[3]->take());
  CHECK(waits[4]->take());
  CHECK(kit.clock.armed() == 0);
  CHECK(list.empty());
}

TEST_CASE("a wait that is cancelled says so, and is forgotten", "[kit]") {
  Kit kit;
  detail::WaitList list;
  const auto waiting = kit.start(detail::wait(list, kit.context.get_executor(), kit.clock));
  waiting->cancel();
  run_ready(kit.context);
  CHECK_THROWS_AS(waiting->take(), boost::system::system_error);
  CHECK(list.empty());
  CHECK(kit.clock.armed() == 0);
}

TEST_CASE("the system's clock wakes too", "[kit]") {
  boost::asio::io_context context;
  const auto sleeping = detail::Child<void>::start(
      context.get_executor(),
      detail::sleep_until(context.get_executor(), Clock::system(), Clock::system().now()));
  run_until(context, [&] { return sleeping->is_done(); });
  CHECK(sleeping->is_done());
}

// --- FakeWebSocket ---

TEST_CASE("a fake remembers what was sent, and can forget", "[kit]") {
  Kit kit;
  run(kit.context, kit.socket.send_text(R"({"a":1})"));
  const std::string bytes("\0b", 2);
  run(kit.context, kit.socket.send_bytes(std::as_bytes(std::span(bytes))));
  REQUIRE(kit.socket.sent().size() == 2);
  CHECK(kit.socket.sent()[0].is_text);
  CHECK_FALSE(kit.socket.sent()[1].is_text);
  CHECK(kit.socket.sent()[1].payload == bytes);
  CHECK(kit.socket.sent_texts() == Strings{R"({"a":1})"});
  CHECK(kit.socket.sent_json()[0]["a"] == 1);
  kit.socket.forget_sent();
  CHECK(kit.socket.sent().empty());
  run(kit.context, kit.socket.send_text("no json"));
  CHECK_THROWS(kit.socket.sent_json());
}

TEST_CASE("a fake's messages do not depend on the views they were sent from", "[kit]") {
  Kit kit;
  std::optional<std::string> text = "a text that is longer than any small buffer";
  auto sending = kit.socket.send_text(*text);
  text.reset();
  run(kit.context, std::move(sending));
  CHECK(kit.socket.sent_texts() == Strings{"a text that is longer than any small buffer"});
}

TEST_CASE("a fake plays its peer: messages, then the end", "[kit]") {
  Kit kit;
  const auto waiting = kit.start(kit.socket.receive());
  kit.socket.peer_sends("one");
  kit.socket.peer_sends_json({{"n", 2}});
  run_ready(kit.context);
  CHECK(waiting->take().payload == "one");
  CHECK_FALSE(kit.socket.ended());
  kit.socket.peer_closes(4000, "bye");
  kit.socket.peer_vanishes();  // only the first end counts
  CHECK(run(kit.context, kit.socket.receive()).payload == R"({"n":2})");
  CHECK(error_of([&] { run(kit.context, kit.socket.receive()); }) == errc::connection_closed);
  REQUIRE(kit.socket.ended());
  CHECK(kit.socket.ended()->reason == DisconnectReason::peer_closed);
  CHECK(kit.socket.ended()->code == 4000);
  CHECK(kit.socket.ended()->text == "bye");
  CHECK_FALSE(kit.socket.close_code());  // that is the server's
  CHECK_THROWS(run(kit.context, kit.socket.send_text("x")));
}

TEST_CASE("a fake fails, stalls and delays sends on demand", "[kit]") {
  Kit kit;
  SECTION("fails") {
    kit.socket.fail_sends(boost::asio::error::connection_reset);
    try {
      run(kit.context, kit.socket.send_text("x"));
      FAIL("it was sent");
    } catch (const boost::system::system_error& error) {
      CHECK(error.code() == boost::asio::error::connection_reset);
    }
    CHECK(kit.socket.sent().empty());
  }
  SECTION("stalls") {
    kit.socket.stall_sends();
    const auto first = kit.start(kit.socket.send_text("1"));
    const auto second = kit.start(kit.socket.send_text("2"));
    CHECK(kit.socket.most_sends_at_once() == 2);
    kit.socket.resume_sends();
    run_ready(kit.context);
    CHECK(first->is_done());
    CHECK(second->is_done());
    CHECK(kit.socket.sent().size() == 2);
  }
  SECTION("stalls until it is closed") {
    kit.socket.stall_sends();
    const auto sending = kit.start(kit.socket.send_text("1"));
    run(kit.context, kit.socket.close(1000));
    CHECK_THROWS_AS(sending->take(), boost::system::system_error);
  }
  SECTION("delays") {
    kit.socket.delay_sends(kit.clock, 2s);
    const auto sending = kit.start(kit.socket.send_text("1"));
    kit.clock.advance(1999ms);
    run_ready(kit.context);
    CHECK(kit.socket.sent().empty());
    kit.clock.advance(1ms);
    run_ready(kit.context);
    CHECK(sending->is_done());
    CHECK(kit.socket.sent().size() == 1);
    CHECK(kit.socket.most_sends_at_once() == 1);
  }
}

TEST_CASE("a fake keeps the first close, and can leave closes unanswered", "[kit]") {
  Kit kit;
  SECTION("answered") {
    run(kit.context, kit.socket.close(1001, "away"));
    run(kit.context, kit.socket.close(1011));
    CHECK(kit.socket.close_code() == 1001);
    CHECK(kit.socket.close_reason() == "away");
    CHECK(kit.socket.ended()->reason == DisconnectReason::disconnected);
  }
  SECTION("unanswered") {
    kit.socket.stall_close();
    const auto closing = kit.start(kit.socket.close(1001));
    CHECK_FALSE(closing->is_done());
    CHECK_FALSE(kit.socket.is_aborted());
    kit.socket.abort();
    run_ready(kit.context);
    CHECK(closing->is_done());
    CHECK(kit.socket.is_aborted());
  }
}

TEST_CASE("a fake has headers in any case, and counts pings", "[kit]") {
  FakeWebSocket socket;
  socket.set_header("Origin", "https://a.example");
  CHECK(socket.header("oRIGIN") == "https://a.example");
  CHECK_FALSE(socket.header("Host"));
  CHECK_FALSE(socket.header("Origi"));
  CHECK(socket.pings() == 0);
  socket.ping("x");
  CHECK(socket.pings() == 1);
}

}  // namespace
}  // namespace roost
