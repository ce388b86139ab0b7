// SPDX-License-Identifier: MIT
// What is special about the backplane inside one process: its hub, its queues, other executors.
#include <roost/backplane/local_backplane.hpp>
#include <roost/testing.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/log.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using Numbers = std::vector<int>;

TEST_CASE("options out of range are refused by name", "[local]") {
  boost::asio::io_context context;
  const auto error = [&](LocalBackplaneOptions options) {
    return message_of([&] { LocalBackplane unused(context.get_executor(), {}, options); });
  };
  CHECK(contains(error({.channel = ""}), "channel"));
  CHECK(contains(error({.max_message_bytes = 0}), "max_message_bytes"));
  CHECK(contains(error({.max_queued_messages = 0}), "max_queued_messages"));
  CHECK(contains(error({.max_message_bytes = 10, .max_queued_bytes = 9}), "max_queued_bytes"));
  CHECK_NOTHROW(LocalBackplane(context.get_executor(), {},
                               {.max_message_bytes = 10, .max_queued_bytes = 10}));
}

TEST_CASE("backplanes meet at their hub only", "[local]") {
  boost::asio::io_context context;
  LocalHub hub;
  const LocalHub same = hub;
  LocalBackplane a(context.get_executor(), hub);
  LocalBackplane b(context.get_executor(), same);
  LocalBackplane alone(context.get_executor());
  Recorder at_a, at_b, at_alone;
  a.on(at_a.handler());
  b.on(at_b.handler());
  alone.on(at_alone.handler());
  for (auto* backplane : {&a, &b, &alone}) run(context, backplane->start());
  CHECK(run(context, a.publish(numbered(1))).receivers == 2U);
  CHECK(run(context, alone.publish(numbered(2))).receivers == 1U);
  CHECK(at_a.numbers() == Numbers{1});
  CHECK(at_b.numbers() == Numbers{1});
  CHECK(at_alone.numbers() == Numbers{2});
}

struct Queue {
  Log log;
  Gate gate;
  boost::asio::io_context context;
  LocalHub hub;
  LocalBackplane backplane;
  Numbers slow;
  Recorder fast;

  explicit Queue(LocalBackplaneOptions options)
      : backplane(context.get_executor(), hub, with_logger(std::move(options))) {
    const auto handler = [this](const json& message) -> awaitable<> {
      slow.push_back(message["n"]);
      co_await gate.pass();
    };
    backplane.on(handler);
    backplane.on(fast.handler());
    run(context, backplane.start());
  }
  LocalBackplaneOptions with_logger(LocalBackplaneOptions options) {
    options.logger = log.logger();
    return options;
  }
  void publish(int from, int to) {
    for (int n = from; n <= to; ++n) run(context, backplane.publish(numbered(n)));
  }
};

TEST_CASE("messages for a handler that does not keep up are dropped beyond a count", "[local]") {
  Queue queue({.max_queued_messages = 3});
  queue.publish(1, 4);  // one is under way, three wait
  CHECK(queue.log.lines().empty());
  CHECK(queue.backplane.stats().dropped == 0);
  queue.publish(5, 9);
  CHECK(queue.fast.numbers() == Numbers{1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(queue.backplane.stats().dropped == 5);
  // One line when it begins, one when it is over.
  CHECK(queue.log.lines().size() == 1);
  CHECK(queue.log.last("backplane_overflow") ==
        R"(backplane_overflow max_messages="3" max_bytes="67108864")");
  queue.gate.open();
  run_ready(queue.context);
  CHECK(queue.slow == Numbers{1, 2, 3, 4});
  CHECK(queue.log.lines().size() == 2);
  CHECK(queue.log.last("backplane_caught_up") == R"(backplane_caught_up dropped="5")");
  CHECK(queue.log.count(Severity::warning, "backplane_caught_up") == 1);
  queue.publish(10, 10);
  CHECK(queue.slow == Numbers{1, 2, 3, 4, 10});
  CHECK(queue.log.lines().size() == 2);
}

TEST_CASE("messages for a handler that does not keep up are dropped beyond a size", "[local]") {
  Queue queue({.max_message_bytes = 14, .max_queued_bytes = 14});  // {"n":1} has 7
  queue.publish(1, 4);
  CHECK(queue.backplane.stats().dropped == 1);
  queue.gate.open();
  run_ready(queue.context);
  CHECK(queue.slow == Numbers{1, 2, 3});
  queue.publish(5, 6);
  CHECK(queue.slow == Numbers{1, 2, 3, 5, 6});
}

TEST_CASE("a message larger than a whole queue comes to a handler that keeps up", "[local]") {
  Queue queue({.max_message_bytes = 100, .max_queued_bytes = 100});
  LocalBackplane small(queue.context.get_executor(), queue.hub,
                       {.max_message_bytes = 10, .max_queued_bytes = 10});
  Recorder got;
  small.on(got.handler());
  run(queue.context, small.start());
  run(queue.context, queue.backplane.publish({{"n", 1}, {"text", "too long"}}));
  run(queue.context, queue.backplane.publish(numbered(2)));
  CHECK(got.numbers() == Numbers{1, 2});
}

TEST_CASE("messages of one turn are not dropped, whatever their size", "[local]") {
  Queue queue({.max_message_bytes = 100, .max_queued_messages = 3, .max_queued_bytes = 100});
  queue.gate.open();
  Numbers later;
  const auto coroutine = [&](const json& message) -> awaitable<> {
    co_await boost::asio::post(boost::asio::use_awaitable);
    co_await boost::asio::post(boost::asio::use_awaitable);
    later.push_back(message["n"]);
  };
  queue.backplane.on(coroutine);
  for (int round = 0; round < 2; ++round) {
    const auto burst = [&]() -> awaitable<> {
      for (int n = 0; n < 1000; ++n) {
        const Published published = co_await queue.backplane.publish(numbered(n));
        if (!published || published.local != 3) FAIL("not taken: " << n);
      }
    };
    run(queue.context, burst());
  }
  CHECK(queue.slow.size() == 2000);
  CHECK(queue.fast.numbers().size() == 2000);
  CHECK(later.size() == 2000);
  CHECK(queue.backplane.stats().dropped == 0);
  CHECK(queue.log.lines().empty());
}

TEST_CASE("messages from another loop are bounded while this loop is blocked", "[local]") {
  Queue queue({.max_queued_messages = 10});
  boost::asio::io_context elsewhere;
  LocalBackplane publisher(elsewhere.get_executor(), queue.hub);
  std::size_t missed = 0;
  for (int n = 0; n < 100; ++n) {
    const Published published = run(elsewhere, publisher.publish(numbered(n)));
    missed += published.missed;
    CHECK(published.error == (published.missed > 0 ? make_error_code(errc::backplane_full)
                                                   : boost::system::error_code()));
    CHECK(published.local == 0);
  }
  CHECK(missed == 2 * 60);  // of two handlers, four times the limit each
  run_ready(queue.context);
  CHECK(queue.fast.numbers().size() == 40);
  // The one that hangs is behind by then, the other is not.
  const Published published = run(queue.context, queue.backplane.publish(numbered(1)));
  CHECK(published.local == 1);
  CHECK(published.missed == 1);
  CHECK(published.error == errc::backplane_full);
  CHECK(queue.fast.numbers().size() == 41);
}

TEST_CASE("a backplane counts", "[local]") {
  boost::asio::io_context context;
  LocalHub hub;
  LocalBackplane a(context.get_executor(), hub);
  LocalBackplane b(context.get_executor(), hub);
  b.on([](const json&) { throw 1; });
  run(context, b.start());
  run(context, a.publish(numbered(1)));
  run(context, a.publish(numbered(2)));
  CHECK(a.stats().published == 2);
  CHECK(a.stats().received == 0);
  CHECK(b.stats().published == 0);
  CHECK(b.stats().received == 2);
  CHECK(b.stats().failed == 2);
}

TEST_CASE("others on the executor have their turn while much is delivered", "[local]") {
  boost::asio::io_context context;
  LocalHub hub;
  LocalBackplane backplane(context.get_executor(), hub);
  Recorder got;
  backplane.on(got.handler());
  run(context, backplane.start());
  boost::asio::io_context elsewhere;
  LocalBackplane publisher(elsewhere.get_executor(), hub);
  for (int n = 0; n < 1000; ++n) run(elsewhere, publisher.publish(numbered(n)));
  std::size_t before_its_turn = 0;
  boost::asio::post(context, [&] { before_its_turn = got.got().size(); });
  run_ready(context);
  CHECK(got.got().size() == 1000);
  CHECK(before_its_turn > 0);
  CHECK(before_its_turn < 100);
}

TEST_CASE("a backplane may be awaited from another executor, its handlers run on its own",
          "[local]") {
  boost::asio::io_context mine;
  boost::asio::io_context theirs;
  LocalBackplane backplane(theirs.get_executor());
  const auto settle = [&] {
    while (run_ready(mine) + run_ready(theirs) > 0) {
    }
  };
  bool was_there = false;
  int calls = 0;
  backplane.on([&](const json&) {
    ++calls;
    was_there = theirs.get_executor().running_in_this_thread();
  });
  const auto work = [&]() -> awaitable<int> {
    co_await backplane.start();
    const json message = numbered(1);
    co_await backplane.publish(message);
    co_await boost::asio::post(boost::asio::use_awaitable);
    co_return 1;
  };
  const auto task = detail::Child<int>::start(mine.get_executor(), work());
  settle();
  CHECK(task->is_done());
  CHECK(calls == 1);
  CHECK(was_there);
}

TEST_CASE("a handler may destroy its backplane", "[local]") {
  boost::asio::io_context context;
  auto backplane = std::make_unique<LocalBackplane>(boost::asio::make_strand(context));
  Recorder first, second;
  backplane->on([&, record = first.handler()](const json& message) {
    record.call(message);
    backplane.reset();
    record.call(message);  // what it holds is still there
  });
  backplane->on(second.handler());
  run(context, backplane->start());
  const auto publish = [&]() -> awaitable<> {
    auto one = backplane->publish(numbered(1));
    auto two = backplane->publish(numbered(2));
    co_await std::move(one);
    co_await std::move(two);
  };
  run(context, publish());
  CHECK(backplane == nullptr);
  CHECK(first.numbers() == Numbers{1, 1});
  CHECK(second.numbers().empty());
}

TEST_CASE("nothing is logged once the backplane is gone", "[local]") {
  Log log;
  Gate gate;
  LocalHub hub;
  boost::asio::io_context context;
  boost::asio::io_context elsewhere;
  LocalBackplane publisher(elsewhere.get_executor(), hub);
  std::optional<LocalBackplane> backplane(
      std::in_place, context.get_executor(), hub,
      LocalBackplaneOptions{.max_queued_messages = 1, .logger = log.logger()});
  const auto fails = [&](const json&) -> awaitable<> {
    co_await gate.pass();
    throw 1;
  };
  backplane->on(fails);
  run(context, backplane->start());
  run(elsewhere, publisher.publish(numbered(1)));
  run_ready(context);
  for (int n = 2; n <= 3; ++n) run(elsewhere, publisher.publish(numbered(n)));  // one is dropped
  backplane.reset();
  gate.open();
  run_ready(context);
  CHECK(log.lines().empty());
}

TEST_CASE("where the io_context is gone a backplane only publishes", "[local]") {
  boost::asio::io_context another;
  auto context = std::make_unique<boost::asio::io_context>();
  LocalHub hub;
  LocalBackplane backplane(context->get_executor(), hub);
  run(*context, backplane.start());
  context.reset();
  CHECK(error_of([&] { run(another, backplane.start()); }) == errc::backplane_unavailable);
  CHECK_NOTHROW(run(another, backplane.stop()));
  CHECK_FALSE(backplane.on([](const json&) {}).is_active());
  LocalBackplane listener(another.get_executor(), hub);
  Recorder got;
  listener.on(got.handler());
  run(another, listener.start());
  CHECK(run(another, backplane.publish(numbered(1))).receivers == 1U);
  CHECK(got.numbers() == Numbers{1});
}

TEST_CASE("a handler that waits for ever goes with the io_context", "[local]") {
  const auto held = std::make_shared<int>();
  {
    boost::asio::io_context context;
    LocalBackplane backplane(context.get_executor());
    const auto waits = [held](const json&) -> awaitable<> { co_await wait_for_ever(); };
    backplane.on(waits);
    run(context, backplane.start());
    run(context, backplane.publish(numbered(1)));
    run(context, backplane.publish(numbered(2)));
  }
  CHECK(held.use_count() == 1);
}

}  // namespace
}  // namespace roost
