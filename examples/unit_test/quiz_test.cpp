// Shows: a unit test of your own logic, without a socket, a port or real time.
// Run:   cmake --preset dev && cmake --build --preset dev --target quiz_test &&
//        build/dev/examples/quiz_test
// Try:   Remove `is_won_ = true;` in quiz.hpp: the first test then fails.
//
// A timeout of five seconds passes immediately, and everything happens in the same order each time.
// The test uses Catch2; any other test framework works too.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <roost/testing.hpp>
#include <string>
#include <vector>

#if __has_include(<catch2/catch_all.hpp>)  // version 3
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include "quiz.hpp"

using namespace std::chrono_literals;
using roost::testing::FakeWebSocket, roost::testing::ManualClock, roost::testing::run_ready;
using Texts = std::vector<std::string>;

struct Fixture {
  ManualClock clock;
  boost::asio::io_context context;
  roost::ConnectionManager<FakeWebSocket> manager{context.get_executor(), options()};
  Quiz<roost::ConnectionManager<FakeWebSocket>> quiz{manager, "42"};

  roost::ManagerOptions<FakeWebSocket> options() { return {.clock = &clock}; }

  std::shared_ptr<FakeWebSocket> join(std::string name) {
    auto socket = std::make_shared<FakeWebSocket>();
    co_spawn(context, quiz.play(socket, std::move(name)), boost::asio::detached);
    run_ready(context);  // all that needs no time to pass
    return socket;
  }
  void say(FakeWebSocket& who, std::string text) {
    who.peer_sends(std::move(text));
    run_ready(context);
  }
};

TEST_CASE_METHOD(Fixture, "the first right answer wins, and everybody learns who gave it") {
  const auto alice = join("alice"), bob = join("bob");
  say(*alice, "41");
  say(*bob, "42");
  say(*alice, "42");
  CHECK(alice->sent_texts() == Texts{"no", R"({"winner":"bob"})", "too late"});
  CHECK(bob->sent_texts() == Texts{R"({"winner":"bob"})"});
}

TEST_CASE_METHOD(Fixture, "the others see who leaves") {
  const auto alice = join("alice"), bob = join("bob");
  alice->peer_closes();
  run_ready(context);
  CHECK(bob->sent_texts() == Texts{R"({"left":"alice"})"});
}

TEST_CASE_METHOD(Fixture, "a player who stops reading is dropped, and holds nobody up") {
  const auto alice = join("alice"), bob = join("bob");
  alice->stall_sends();
  say(*bob, "42");
  CHECK(bob->sent_texts() == Texts{R"({"winner":"bob"})"});
  clock.advance(5s);  // send_timeout
  run_ready(context);
  CHECK(alice->is_aborted());
  CHECK(bob->sent_texts().back() == R"({"left":"alice"})");
}
