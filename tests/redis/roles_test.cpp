// SPDX-License-Identifier: MIT
// A Redis that is no primary, or is one no more; and a connection that only seems to work.
#include <memory>
#include <roost/runtime/running.hpp>
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

// Two redis-servers, of which one can be made a replica of the other.
struct TwoServers {
  const std::string port = std::to_string(free_port());
  RedisServer primary{{"--port", port, "--bind", "127.0.0.1"}};
  RedisServer server;

  void demote() const { server.ask({"REPLICAOF", "127.0.0.1", port}); }
  void promote() const { server.ask({"REPLICAOF", "NO", "ONE"}); }
  [[nodiscard]] std::string why() const { return "it is a replica of 127.0.0.1:" + port; }
};

TEST_CASE("a Redis that becomes a replica is not subscribed any more, until it is a primary again",
          "[redis]") {
  TwoServers servers;
  ManualClock clock;
  RedisWorld world(servers.server);
  const auto backplane = world.make({.clock = &clock});
  std::vector<RedisState> states;
  world.run(backplane->start());
  world.run(backplane->publish(numbered(1)));  // both connections are there
  backplane->on_state([&](RedisState state) { states.push_back(state); });
  servers.demote();
  clock.advance(30s);
  world.until([&] { return backplane->state() == RedisState::down; });
  world.until([&] { return world.log.count("redis_lost") == 2; });
  CHECK(contains(world.log.last("redis_lost"), servers.why()));
  // Nor is it when it is tried again; now and then that is logged.
  for (int i = 0; i < 40; ++i) {
    clock.advance(3s);
    run_ready(world.context);
  }
  world.until([&] {
    clock.advance(10ms);
    return world.log.count("redis_not_connected") > 0;
  });
  CHECK(contains(world.log.last("redis_not_connected"), servers.why()));
  CHECK(states == std::vector{RedisState::down});
  CHECK(world.run(backplane->publish(numbered(2))).error == errc::backplane_unavailable);
  servers.promote();
  world.until([&] {
    clock.advance(10ms);
    return backplane->state() == RedisState::subscribed;
  });
}

TEST_CASE("start fails where Redis is a replica, and says of which", "[redis]") {
  TwoServers servers;
  servers.demote();
  RedisWorld world(servers.server);
  const auto backplane = world.make(RedisOptions{});
  const auto start = [&] { world.run(backplane->start()); };
  CHECK(error_of(start) == errc::backplane_unavailable);
  CHECK(contains(message_of(start), servers.why()));
  CHECK(backplane->state() == RedisState::stopped);
}

std::string replica_of_nobody() {
  return "*5\r\n$5\r\nslave\r\n$4\r\nhost\r\n:6379\r\n$9\r\nconnected\r\n:1\r\n";
}

TEST_CASE("a replica of a Redis Cluster is used: its nodes tell each other", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.role = replica_of_nobody();
  const auto backplane = world.make({.url = fake.url()});
  SECTION("of a cluster") {
    fake.info = "# Server\r\nredis_version:7.0.0\r\nredis_mode:cluster\r\n";
    world.run(backplane->start());
    CHECK(backplane->state() == RedisState::subscribed);
  }
  SECTION("of none") {
    fake.info = "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n";
    const std::string message = message_of([&] { world.run(backplane->start()); });
    CHECK(contains(message, "it is a replica of host:6379"));
  }
  SECTION("a Sentinel") {
    fake.role = "*2\r\n$8\r\nsentinel\r\n*1\r\n$8\r\nmymaster\r\n";
    const std::string message = message_of([&] { world.run(backplane->start()); });
    CHECK(contains(message, "it is a Sentinel"));
  }
}

TEST_CASE("a Redis that may not be asked for its role is used, and that is said once", "[redis]") {
  RedisServer server({"--user", "ann", "on", ">secret", "resetchannels", "&chat*", "-@all",
                      "+publish", "+subscribe"});
  ManualClock clock;
  RedisWorld world(server);
  const auto backplane = world.make({.url = "unix://ann:secret@" + server.socket(),
                                     .channel = "chat",
                                     .min_retry_delay = 1ms,
                                     .max_retry_delay = 1ms,
                                     .clock = &clock});
  world.run(backplane->start());
  CHECK(world.run(backplane->publish(numbered(1))));
  clock.advance(30s);  // it is asked nevertheless, to see whether the connection works
  world.until([&] { return backplane->stats().in_flight > 0; });
  world.until([&] { return backplane->stats().in_flight == 0; });
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  world.until([&] { return backplane->state() == RedisState::down; });
  world.until([&] {
    clock.advance(1ms);
    return backplane->state() == RedisState::subscribed;
  });
  CHECK(world.log.count("redis_role_unknown") == 1);
  CHECK(contains(world.log.last("redis_role_unknown"), "NOPERM"));
}

TEST_CASE("an idle connection that publishes is asked whether it works", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto backplane = world.make({.url = fake.url(), .min_retry_delay = 1ms, .clock = &clock});
  CHECK(world.run(backplane->publish(numbered(1))));
  clock.advance(5s);  // the announcement
  world.until([&] { return fake.published.size() == 2 && backplane->stats().in_flight == 0; });
  fake.is_silent = true;  // as if what is on the way had forgotten the connection
  clock.advance(25s);
  world.until([&] { return backplane->stats().in_flight == 1; });
  clock.advance(5s);
  world.until([&] { return world.log.count("redis_lost") == 1; });
  fake.is_silent = false;
  world.until([&] {
    clock.advance(1ms);
    return backplane->stats().connects == 2;
  });
  // The next message need not find that out.
  const Published published = world.run(backplane->publish(numbered(2)));
  CHECK_FALSE(published.error);
  CHECK(backplane->stats().unknown == 0);
}

}  // namespace
}  // namespace roost
