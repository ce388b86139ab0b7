// SPDX-License-Identifier: MIT
// What becomes of messages when Redis or the way to it fails: nothing twice, nothing lost in
// silence, nobody deaf.
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "redis/fake_redis.hpp"
#include "redis/redis_world.hpp"
#include "roost/redis/connection/shared.hpp"
#include "support/bench.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace test;
using namespace std::chrono_literals;
using nlohmann::json;
using Numbers = std::vector<int>;
using Strings = std::vector<std::string>;

// A backplane with an io_context of its own, so that it can be slower than others.
struct FaultyReplica : RedisWorld {
  std::unique_ptr<RedisBackplane> backplane;
  Recorder got;
  std::vector<RedisLoss> losses;

  FaultyReplica(RedisServer& its_server, RedisOptions options) : RedisWorld(its_server) {
    if (options.channel == RedisOptions().channel) options.channel = "replicas";
    if (options.min_retry_delay == RedisOptions().min_retry_delay) options.min_retry_delay = 1ms;
    options.max_retry_delay = 10ms;
    backplane = make(std::move(options));
    backplane->on(got.handler());
    backplane->on_loss([this](const RedisLoss& loss) { losses.push_back(loss); });
    run(backplane->start());
  }

  Published publish(int n) { return run(backplane->publish(numbered(n))); }
  void until_got(int n) {
    until([&] { return !got.got().empty() && got.got().back()["n"] == n; });
  }
  void until_state(RedisState state) {
    until([&] { return backplane->state() == state; });
  }
};

std::string text(const RedisLoss& loss) {
  return (loss.is_duplicate ? "again " : "lost ") + std::to_string(loss.first) + "-" +
         std::to_string(loss.last) + " on " + loss.channel;
}

TEST_CASE("own handlers have a message once, also while Redis is down", "[redis]") {
  RedisServer server;
  FaultyReplica a(server, {});
  CHECK(a.publish(1).receivers == 1U);
  a.until([&] { return a.backplane->stats().echoes == 1; });
  CHECK(a.got.numbers() == Numbers{1});
  server.kill();
  a.until_state(RedisState::down);
  const Published published = a.publish(2);  // at once
  CHECK(published.error == errc::backplane_unavailable);
  CHECK_FALSE(published.receivers);
  CHECK(published.local == 1);
  a.until_got(2);
  server.start();
  a.until([&] { return a.backplane->stats().spooled == 0; });
  a.until_state(RedisState::subscribed);
  CHECK(a.publish(3).receivers == 1U);
  a.until([&] { return a.backplane->stats().echoes >= 2; });
  CHECK(a.got.numbers() == Numbers{1, 2, 3});
}

TEST_CASE("messages published while Redis is down reach the others when it is back", "[redis]") {
  RedisServer server;
  FaultyReplica a(server, {});
  FaultyReplica b(server, {});
  a.publish(1);
  b.until_got(1);
  server.kill();
  a.until_state(RedisState::down);
  a.until([&] { return a.log.count("redis_lost") == 2; });
  a.publish(2);
  a.publish(3);
  CHECK(a.backplane->stats().spooled == 2);
  server.start();
  b.until_state(RedisState::down);
  b.until_state(RedisState::subscribed);
  a.until([&] { return a.backplane->stats().spooled == 0; });
  b.until_got(3);
  CHECK(b.got.numbers() == Numbers{1, 2, 3});
  CHECK(b.losses.empty());
}

TEST_CASE("messages that wait for Redis are bounded, and dropped ones are missed by their numbers",
          "[redis]") {
  RedisServer server;
  FaultyReplica a(server, {.max_message_bytes = 2000, .max_spool_bytes = 8000});
  FaultyReplica b(server, {});
  a.publish(0);
  b.until_got(0);
  server.kill();
  a.until([&] { return a.log.count("redis_lost") == 2; });
  const std::string filling(1000, 'x');
  for (int n = 1; n <= 20; ++n) a.run(a.backplane->publish({{"n", n}, {"filling", filling}}));
  const RedisStats stats = a.backplane->stats();
  CHECK(stats.spooled > 2);
  CHECK(stats.spooled < 8);
  CHECK(stats.spool_drops == 20 - stats.spooled);
  server.start();
  b.until_state(RedisState::down);
  b.until_state(RedisState::subscribed);
  a.until([&] { return a.backplane->stats().spooled == 0; });
  b.until_got(20);
  run_ready(b.context);
  REQUIRE(b.losses.size() == 1);
  CHECK(b.losses[0].count() == stats.spool_drops);
  CHECK(b.got.numbers().size() == 1 + stats.spooled);
}

TEST_CASE("messages that wait for Redis for too long are dropped", "[redis]") {
  ManualClock clock;
  boost::asio::io_context context;
  RedisBackplane a(context.get_executor(), {.url = "unix:///no/such/socket", .clock = &clock});
  const auto publish = [&](int n) {
    const auto task =
        detail::Child<Published>::start(context.get_executor(), a.publish(numbered(n)));
    testing::run_until(context, [&] { return task->is_done(); });
    CHECK(task->take().error == errc::backplane_unavailable);
  };
  publish(0);
  publish(1);  // told at once: Redis is known to be down
  clock.advance(20s);
  publish(2);
  clock.advance(11s);
  publish(3);
  CHECK(a.stats().spooled == 2);
  CHECK(a.stats().spool_drops == 2);
}

TEST_CASE("a message that was sent and not answered is unknown, and never sent again", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto a = world.make({.url = fake.url(), .min_retry_delay = 1ms, .max_retry_delay = 1ms});
  CHECK(world.run(a->publish(numbered(1))));
  fake.closes_at_publish = true;
  const Published lost = world.run(a->publish(numbered(2)));
  CHECK(lost.error == errc::outcome_unknown);
  CHECK_FALSE(lost.receivers);
  CHECK(a->stats().unknown == 1);
  fake.closes_at_publish = false;
  // The connection may still be seen as down: then the message waits, and is sent.
  world.run(a->publish(numbered(3)));
  world.until([&] { return fake.published.size() >= 3 && contains(fake.published.back(), "3"); });
  std::size_t times = 0;
  for (const std::string& text : fake.published) times += contains(text, R"("n":2)") ? 1 : 0;
  CHECK(times == 1);
}

TEST_CASE("an answer that does not come in time is a lost connection", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.answer_to_publish = "";
  const auto a = world.make({.url = fake.url(), .clock = &clock});
  const auto task =
      detail::Child<Published>::start(world.context.get_executor(), a->publish(numbered(1)));
  world.until([&] { return fake.published.size() == 1; });
  clock.advance(4s);
  run_ready(world.context);
  CHECK_FALSE(task->is_done());
  clock.advance(1s);
  world.until([&] { return task->is_done(); });
  CHECK(task->take().error == errc::outcome_unknown);
  CHECK(contains(world.log.last("redis_lost"), "no answer within 5000 ms"));
}

TEST_CASE("a reply without a command ends the connection", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.answer_to_publish = ":0\r\n:0\r\n";
  const auto a = world.make({.url = fake.url()});
  world.run(a->publish(numbered(1)));
  world.until([&] { return world.log.count("redis_lost") == 1; });
  CHECK(contains(world.log.last("redis_lost"), "a reply without a command"));
}

TEST_CASE("the messages of a burst go out in one write", "[redis]") {
  RedisServer server;
  FaultyReplica a(server, {});
  std::vector<std::shared_ptr<detail::Child<Published>>> tasks;
  for (int n = 0; n < 100; ++n) {
    tasks.push_back(detail::Child<Published>::start(a.context.get_executor(),
                                                    a.backplane->publish(numbered(n))));
  }
  a.until([&] { return a.backplane->stats().in_flight > 0; });
  CHECK(a.backplane->stats().in_flight == 100);
  CHECK(a.backplane->stats().writes == 1);
  a.until([&] { return a.backplane->stats().in_flight == 0; });
  run_ready(a.context);
  for (const auto& task : tasks) CHECK(task->take().receivers == 1U);
}

TEST_CASE("a subscriber that Redis cuts off subscribes again, and knows what it has missed",
          "[redis]") {
  RedisServer server;
  FaultyReplica a(server, {});
  FaultyReplica b(server, {});
  a.publish(1);
  b.until_got(1);
  std::vector<RedisState> states;
  b.backplane->on_state([&](RedisState state) { states.push_back(state); });
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  a.until_state(RedisState::down);
  a.until_state(RedisState::subscribed);
  for (int n = 2; n <= 4; ++n) CHECK(a.publish(n).receivers == 1U);  // b does not run
  b.until_state(RedisState::down);
  b.until_state(RedisState::subscribed);
  CHECK(a.publish(5).receivers == 2U);
  b.until_got(5);
  run_ready(b.context);
  CHECK(b.got.numbers() == Numbers{1, 5});
  REQUIRE(b.losses.size() == 1);
  CHECK(text(b.losses[0]) == "lost 2-4 on replicas");
  CHECK(b.backplane->stats().lost == 3);
  CHECK(contains(b.log.last("redis_lost_messages"), R"(first="2" last="4")"));
  CHECK(a.losses.empty());
  CHECK(states == std::vector{RedisState::down, RedisState::subscribed});
  CHECK(a.got.numbers() == Numbers{1, 2, 3, 4, 5});
}

TEST_CASE("a lost tail is noticed when the publisher tells its last number", "[redis]") {
  ManualClock clock;
  RedisServer server;
  FaultyReplica a(server, {.clock = &clock});
  FaultyReplica b(server, {});
  a.publish(1);
  b.until_got(1);
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  a.publish(2);
  a.publish(3);
  b.until_state(RedisState::down);
  b.until_state(RedisState::subscribed);
  clock.advance(5s);
  a.until([&] {
    run_ready(b.context);
    return !b.losses.empty();
  });
  CHECK(text(b.losses[0]) == "lost 2-3 on replicas");
  CHECK(b.got.numbers() == Numbers{1});
}

TEST_CASE("a publisher tells its last number once, when it has been quiet for a while", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto a = world.make({.url = fake.url(), .channel = "c", .clock = &clock});
  world.run(a->publish(numbered(1)));
  world.run(a->publish(numbered(2)));
  clock.advance(4s);
  run_ready(world.context);
  CHECK(fake.channels == Strings{"c", "c"});
  clock.advance(1s);
  world.until([&] { return fake.channels.size() == 3; });
  CHECK(fake.channels.back() == "c:control");
  CHECK(json::parse(fake.published.back())["last"] == json{{"c", 2}});
  CHECK(json::parse(fake.published.back())["node"] == json::parse(fake.published[0])["node"]);
  world.until([&] { return a->stats().in_flight == 0; });
  clock.advance(1min);
  world.run(a->publish(numbered(3)));
  CHECK(fake.channels == Strings{"c", "c", "c:control", "c"});
  clock.advance(5s);
  world.until([&] { return fake.channels.size() == 5; });
  CHECK(json::parse(fake.published.back())["last"] == json{{"c", 3}});
}

TEST_CASE("kill -9 and restart under load: each message comes once or is reported", "[redis]") {
  RedisServer server;
  FaultyReplica a(server, {});
  FaultyReplica b(server, {});
  int next = 0;
  std::vector<std::shared_ptr<detail::Child<Published>>> tasks;
  const auto load = [&](int messages) {
    for (int i = 0; i < messages; ++i) {
      tasks.push_back(detail::Child<Published>::start(a.context.get_executor(),
                                                      a.backplane->publish(numbered(next++))));
      if (i % 10 == 0) {
        run_ready(a.context);
        run_ready(b.context);
      }
    }
  };
  load(200);
  for (int round = 0; round < 3; ++round) {
    server.kill();
    load(200);
    server.start();
    load(200);
    a.until_state(RedisState::subscribed);
    b.until_state(RedisState::subscribed);
    a.until([&] { return a.backplane->stats().spooled == 0; });
    load(50);
  }
  a.until([&] {
    return std::all_of(tasks.begin(), tasks.end(), [](const auto& t) { return t->is_done(); });
  });
  load(1);
  a.until([&] {
    run_ready(b.context);
    return !b.got.got().empty() && b.got.got().back()["n"] == next - 1;
  });
  run_ready(b.context);
  const Numbers numbers = b.got.numbers();
  for (std::size_t i = 1; i < numbers.size(); ++i) CHECK(numbers[i - 1] < numbers[i]);
  // Numbers on the wire begin at 1.
  std::vector<bool> is_lost(static_cast<std::size_t>(next) + 1);
  std::uint64_t lost = 0;
  for (const RedisLoss& loss : b.losses) {
    CHECK_FALSE(loss.is_duplicate);
    lost += loss.count();
    for (std::uint64_t n = loss.first; n <= loss.last; ++n) is_lost.at(n) = true;
  }
  for (const int n : numbers) CHECK_FALSE(is_lost[static_cast<std::size_t>(n) + 1]);
  CHECK(numbers.size() + lost == static_cast<std::size_t>(next));
  CHECK(b.backplane->stats().lost == lost);
  CHECK(a.got.numbers().size() == static_cast<std::size_t>(next));
}

TEST_CASE("a frozen Redis is found by the probe", "[redis]") {
  ManualClock clock;
  RedisServer server;
  FaultyReplica a(server, {.clock = &clock});
  std::vector<RedisState> states;
  a.backplane->on_state([&](RedisState state) { states.push_back(state); });
  const bool is_stopped = GENERATE(true, false);
  if (is_stopped) {
    server.freeze();
  } else {
    server.ask({"CLIENT", "PAUSE", "100000000", "WRITE"});
  }
  clock.advance(30s);
  run_ready(a.context);
  CHECK(a.backplane->state() == RedisState::subscribed);
  clock.advance(5s);
  a.until_state(RedisState::suspect);
  clock.advance(5s);
  a.until_state(RedisState::down);
  CHECK(a.log.count("redis_suspect") == 1);
  a.until([&] { return a.log.count("redis_lost") == 2; });
  if (is_stopped) {
    server.thaw();
  } else {
    server.ask({"CLIENT", "UNPAUSE"});
  }
  a.until([&] {
    clock.advance(10ms);  // the next attempt
    return a.backplane->state() == RedisState::subscribed;
  });
  run_ready(a.context);
  CHECK(states == std::vector{RedisState::suspect, RedisState::down, RedisState::subscribed});
}

TEST_CASE("a silent subscription that works stays", "[redis]") {
  ManualClock clock;
  RedisServer server;
  FaultyReplica a(server, {.clock = &clock});
  std::vector<RedisState> states;
  a.backplane->on_state([&](RedisState state) { states.push_back(state); });
  const auto hear = [&] {  // after the echo of a message an earlier probe is back too
    const std::uint64_t echoes = a.backplane->stats().echoes;
    a.publish(1);
    a.until([&] { return a.backplane->stats().echoes > echoes; });
  };
  for (int round = 0; round < 3; ++round) {
    clock.advance(30s);
    a.until([&] { return a.backplane->stats().in_flight > 0; });
    hear();
  }
  // One that comes late.
  server.freeze();
  clock.advance(30s);
  run_ready(a.context);
  clock.advance(4s);
  run_ready(a.context);
  server.thaw();
  hear();
  CHECK(states.empty());
  CHECK(a.backplane->stats().connects == 2);
}

TEST_CASE("a subscription that is muted is found by the probe", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);  // publishes to nobody
  const auto a = world.make({.url = fake.url(), .clock = &clock});
  world.run(a->start());
  clock.advance(30s);
  const auto until_published = [&](std::size_t count) {
    world.until([&] { return fake.published.size() == count && a->stats().in_flight == 0; });
  };
  until_published(1);
  CHECK(fake.channels[0].starts_with(a->options().channel + ":probe:"));
  clock.advance(5s);
  until_published(2);
  CHECK(a->state() == RedisState::suspect);
  clock.advance(5s);
  world.until([&] { return a->state() == RedisState::down; });
  CHECK(contains(world.log.last("redis_lost"), "no probe came back"));
  clock.advance(30s);
  world.until([&] { return fake.subscriptions == 2; });
}

TEST_CASE("a slow subscriber that Redis cuts off knows what it has missed", "[redis]") {
  RedisServer server({"--client-output-buffer-limit", "pubsub 1mb 0 0"});
  FaultyReplica a(server, {});
  FaultyReplica b(server, {});
  const std::string filling(100'000, 'x');
  for (int n = 0; n < 100; ++n) {  // b does not run
    a.run(a.backplane->publish({{"n", n}, {"filling", filling}}));
    // The publisher hears itself, and must not be cut off too.
    a.until([&] { return a.backplane->stats().echoes == static_cast<std::uint64_t>(n) + 1; });
  }
  CHECK(a.publish(100).receivers == 1U);  // it is cut off
  b.until_state(RedisState::down);
  b.until_state(RedisState::subscribed);
  CHECK(a.publish(101).receivers == 2U);
  b.until_got(101);
  run_ready(b.context);
  REQUIRE(b.losses.size() == 1);
  CHECK(b.losses[0].count() > 50);
  CHECK(b.got.numbers().size() + b.losses[0].count() == 102);
}

TEST_CASE("a message that comes again is not delivered again", "[redis]") {
  RedisServer server;
  FaultyReplica a(server, {});
  const auto publish = [&](int sequence) {
    const std::string text = R"({"v":1,"node":"somebody","epoch":5,"seq":)" +
                             std::to_string(sequence) + R"(,"n":)" + std::to_string(sequence) + "}";
    server.ask({"PUBLISH", "replicas", text});
  };
  for (const int sequence : {7, 8, 8, 7, 9}) publish(sequence);
  a.until_got(9);
  run_ready(a.context);
  CHECK(a.got.got() == std::vector<json>{numbered(7), numbered(8), numbered(9)});
  REQUIRE(a.losses.size() == 2);
  CHECK(text(a.losses[0]) == "again 8-8 on replicas");
  CHECK(text(a.losses[1]) == "again 7-7 on replicas");
  CHECK(a.losses[0].node == "somebody");
  CHECK(a.backplane->stats().duplicates == 2);
  CHECK(a.backplane->stats().lost == 0);
}

TEST_CASE("bytes that are not a message are skipped, and the next message comes", "[redis]") {
  RedisServer server;
  FaultyReplica a(server, {});
  const auto publish = [&](const std::string& text) { server.ask({"PUBLISH", "replicas", text}); };
  const std::string deep(200'000, '[');
  for (const std::string& text :
       {std::string("no JSON"), std::string(), std::string("[1]"), std::string("7"),
        std::string("{\"a\":\"\xFF\"}"), deep, "{\"a\":" + deep, std::string("{\"a\":1")}) {
    publish(text);
  }
  const std::string megabyte(1'048'576, 'x');
  publish(R"({"n":1,"text":")" + megabyte + R"("})");
  for (const char* control :
       {"nothing", "{}", R"({"v":1,"node":"a","epoch":1,"last":{"other":5,"replicas":7}})"}) {
    server.ask({"PUBLISH", "replicas:control", control});
  }
  publish(R"({"n":2})");
  a.until_got(2);
  CHECK(a.got.numbers() == Numbers{1, 2});
  CHECK(a.backplane->stats().skipped == 8);
  CHECK(a.log.count(Severity::warning, "backplane_message_skipped") == 8);
  CHECK(a.backplane->stats().connects == 2);
  CHECK(a.losses.empty());
}

TEST_CASE("the fields of a stamp are refused in a message", "[redis]") {
  RedisWorld world;
  const auto a = world.make(RedisOptions{});
  const auto refused = [&](const json& message) { auto unused = a->publish(message); };
  CHECK(error_of([&] { refused({{"seq", 1}}); }) == errc::invalid_json);
  CHECK(contains(message_of([&] { refused({{"node", 1}}); }), "\"node\""));
}

TEST_CASE("restarts are spread: each delay is random", "[redis]") {
  // The share of the bound is drawn anew each time.
  std::vector<double> shares;
  for (int i = 0; i < 100; ++i) shares.push_back(detail::RedisShared::random_share());
  CHECK(*std::min_element(shares.begin(), shares.end()) >= 0.0);
  CHECK(*std::max_element(shares.begin(), shares.end()) < 1.0);
  std::sort(shares.begin(), shares.end());
  CHECK(std::unique(shares.begin(), shares.end()) == shares.end());
}

}  // namespace
}  // namespace roost
