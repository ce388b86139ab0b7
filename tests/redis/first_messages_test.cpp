// SPDX-License-Identifier: MIT
// Messages of a publisher that had not been heard before: were they lost, or sent before?
#include <boost/asio/io_context.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/backplane/cluster.hpp>
#include <roost/manager/connection_manager.hpp>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "redis/fake_redis.hpp"
#include "redis/redis_world.hpp"
#include "support/bench.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace test;
using namespace std::chrono_literals;
using nlohmann::json;
using Strings = std::vector<std::string>;

struct OwnClock {
  ManualClock clock;  // must outlive the io_context
};

// A backplane with an io_context and a clock of its own.
struct OwnReplica : OwnClock, RedisWorld {
  std::unique_ptr<RedisBackplane> backplane;
  Recorder got;
  Strings losses;

  explicit OwnReplica(RedisServer& its_server, Routing routing = Routing::shared_channel)
      : RedisWorld(its_server) {
    backplane = make({.channel = "replicas",
                      .routing = routing,
                      .min_retry_delay = 1ms,
                      .max_retry_delay = 1ms,
                      .clock = &clock});
    backplane->on(got.handler());
    backplane->on_loss([this](const RedisLoss& loss) {
      std::string what = loss.is_duplicate ? "again " : loss.is_uncertain ? "perhaps " : "lost ";
      losses.push_back(what + std::to_string(loss.first) + "-" + std::to_string(loss.last) +
                       " on " + loss.channel);
    });
  }
  void start() {
    run(backplane->start());
    until([&] { return backplane->stats().connects == 2; });
  }
  void publish(int n) { run(backplane->publish(numbered(n))); }
  void until_state(RedisState state) {
    until([&] {
      clock.advance(1ms);
      return backplane->state() == state;
    });
  }
  void reconnect() {
    until_state(RedisState::down);
    until_state(RedisState::subscribed);
  }
};

// How many messages Redis was given.
int publishes(const RedisServer& server) {
  const std::string info = server.ask({"INFO", "commandstats"}).text;
  const std::string name = "cmdstat_publish:calls=";
  const std::size_t at = info.find(name);
  return at == std::string::npos ? 0 : std::stoi(info.substr(at + name.size()));
}

// Lets both run, and some time pass, until the predicate holds.
template <class Predicate>
void until(OwnReplica& a, OwnReplica& b, Predicate predicate) {
  a.until([&] {
    a.clock.advance(1ms);
    b.clock.advance(1ms);
    run_ready(b.context);
    return predicate();
  });
}

TEST_CASE("the first messages of a publisher are missed though nobody had heard it", "[redis]") {
  RedisServer server;
  OwnReplica a(server);
  OwnReplica b(server);
  a.start();
  b.start();
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  a.reconnect();
  for (int n = 1; n <= 3; ++n) a.publish(n);  // b does not run
  const bool is_followed = GENERATE(true, false);
  b.reconnect();
  if (is_followed) a.publish(4);
  until(a, b, [&] { return !b.losses.empty(); });
  CHECK(b.losses == Strings{"lost 1-3 on replicas"});
  CHECK(b.backplane->stats().lost == 3);
  CHECK(b.backplane->stats().uncertain == 0);
  a.publish(5);
  until(a, b, [&] { return b.got.numbers().size() == (is_followed ? 2U : 1U); });
  CHECK(b.losses.size() == 1);
}

TEST_CASE("one that joins late has missed nothing", "[redis]") {
  RedisServer server;
  OwnReplica a(server);
  a.start();
  for (int n = 1; n <= 3; ++n) a.publish(n);
  OwnReplica b(server);
  b.start();
  a.publish(4);
  until(a, b, [&] { return b.got.numbers().size() == 1; });
  a.clock.advance(5s);
  a.publish(5);
  until(a, b, [&] { return b.got.numbers().size() == 2; });
  a.clock.advance(5s);
  until(a, b, [&] { return publishes(server) > 5; });  // what it has sent is announced
  a.publish(6);
  until(a, b, [&] { return b.got.numbers().size() == 3; });
  CHECK(b.losses.empty());
  CHECK(b.backplane->stats().uncertain == 0);
}

TEST_CASE("a loss that cannot be known is told as uncertain", "[redis]") {
  RedisServer server;
  OwnReplica a(server);
  a.start();
  a.publish(1);  // before b
  a.clock.advance(1min);
  OwnReplica b(server);
  b.start();
  b.clock.advance(10s);  // since then it hears
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  a.reconnect();
  for (int n = 2; n <= 3; ++n) a.publish(n);
  b.reconnect();
  a.publish(4);
  until(a, b, [&] { return !b.losses.empty(); });
  CHECK(b.losses == Strings{"perhaps 1-3 on replicas"});
  CHECK(b.backplane->stats().lost == 0);
  CHECK(b.backplane->stats().uncertain == 1);
  CHECK(b.log.count("redis_uncertain_messages") == 1);
}

TEST_CASE("a publisher that tells nothing of itself leaves an uncertainty", "[redis]") {
  RedisServer server;
  OwnReplica b(server);
  b.start();
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  b.reconnect();
  server.ask({"PUBLISH", "replicas", R"({"v":1,"node":"old","epoch":5,"seq":4,"n":4})"});
  b.until([&] { return !b.got.got().empty(); });
  run_ready(b.context);
  CHECK(b.losses.empty());
  b.clock.advance(10s);  // the announcement should have come
  b.until([&] { return !b.losses.empty(); });
  CHECK(b.losses == Strings{"perhaps 1-3 on replicas"});
}

TEST_CASE("a tail that was lost, and announced meanwhile, is asked for", "[redis]") {
  RedisServer server;
  OwnReplica a(server);
  OwnReplica b(server);
  a.start();
  b.start();
  a.publish(1);
  until(a, b, [&] { return b.got.numbers().size() == 1; });
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  a.reconnect();
  a.publish(2);
  a.publish(3);
  a.clock.advance(5s);
  a.until([&] { return a.backplane->stats().in_flight > 0; });
  a.until([&] { return a.backplane->stats().in_flight == 0; });  // b has not heard that
  b.clock.advance(6s);
  b.reconnect();
  until(a, b, [&] { return !b.losses.empty(); });
  CHECK(b.losses == Strings{"lost 2-3 on replicas"});
}

TEST_CASE("numbers of a room are announced in its channel, and are no message", "[redis]") {
  RedisServer server;
  OwnReplica a(server, Routing::per_room);
  OwnReplica b(server, Routing::per_room);
  ConnectionManager<FakeWebSocket> manager(b.context.get_executor());
  const Cluster cluster = bind_manager(*b.backplane, manager);
  a.start();
  b.start();
  const auto alice = std::make_shared<FakeWebSocket>();
  b.run(manager.connect(alice, {.connection_id = "alice", .rooms = {"lobby"}}));
  const auto send = [&](std::string_view text) {
    a.run(a.backplane->publish({{"kind", "text"}, {"room", "lobby"}, {"payload", text}}));
  };
  send("1");
  until(a, b, [&] { return alice->sent().size() == 1; });
  const std::size_t heard = b.got.got().size();
  // Nobody listens to the control channel for it.
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  a.reconnect();
  send("2");
  b.reconnect();
  a.clock.advance(5s);
  until(a, b, [&] { return !b.losses.empty(); });
  CHECK(b.losses == Strings{"lost 2-2 on replicas:room:lobby"});
  send("3");
  until(a, b, [&] { return alice->sent().size() == 2; });
  CHECK(alice->sent_texts() == Strings{"1", "3"});
  CHECK(b.got.got().size() == heard + 1);
  CHECK(b.backplane->stats().skipped == 0);
}

TEST_CASE("an announcement goes to those who hear the channel", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto a = world.make(
      {.url = fake.url(), .channel = "c", .routing = Routing::per_room, .clock = &clock});
  const auto to_room = [&](const char* room) {
    world.run(a->publish({{"kind", "text"}, {"room", room}, {"payload", "x"}}));
  };
  to_room("r");
  to_room("s");
  to_room("r");
  world.run(a->publish(numbered(1)));
  clock.advance(5s);
  world.until([&] { return fake.channels.size() == 7; });
  CHECK(fake.channels ==
        Strings{"c:room:r", "c:room:s", "c:room:r", "c", "c:room:r", "c:room:s", "c:control"});
  CHECK(json::parse(fake.published[4])["last"] == json{{"c:room:r", 2}});
  CHECK(json::parse(fake.published[4])["sent"] == json{{"c:room:r", {1, 5000, 5000}}});
  CHECK(json::parse(fake.published[5])["last"] == json{{"c:room:s", 1}});
}

}  // namespace
}  // namespace roost
