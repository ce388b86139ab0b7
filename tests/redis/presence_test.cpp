// SPDX-License-Identifier: MIT
// What presence promises, over a real Redis.
#include <roost/redis/presence.hpp>
#include <roost/redis/registry.hpp>

#include <memory>
#include <utility>

#include "redis/redis_world.hpp"

namespace roost::test {

/// Before the `io_context`, which it outlives.
struct HasManualClock {
  ManualClock clock;
};

struct RedisPresenceWorld : HasManualClock, RedisWorld {
  RedisPresenceWorld() = default;
  explicit RedisPresenceWorld(RedisServer& its_server) : RedisWorld(its_server) {}

  std::string channel = "channel";
  Clock::duration lease = 5s;
  PresenceOptions options{
      .rules = {{.rooms = "chat/*", .max_listed = 4, .tell_interval = Clock::duration::zero()}}};

  std::unique_ptr<RedisBackplane> make() {
    RedisOptions its;
    its.channel = prefix + channel;
    its.registry = redis_registry({.lease = lease, .beat_interval = 500ms});
    its.presence = rules_for(options);
    its.clock = &clock;
    return RedisWorld::make(std::move(its));
  }
  static std::shared_ptr<const detail::RedisPresenceFactory> rules_for(PresenceOptions rules) {
    return redis_presence(std::move(rules));
  }
  /// Leases end by the clock of Redis, which no test can move.
  template <class Predicate>
  void pass_until(Predicate predicate) {
    const auto late = std::chrono::steady_clock::now() + 60s;
    while (!predicate()) {
      REQUIRE(std::chrono::steady_clock::now() < late);
      pass(500ms);
    }
  }
  /// Lets time pass in steps, so that what is asked of Redis is answered meanwhile.
  void pass(Clock::duration time) {
    for (Clock::duration passed{}; passed < time; passed += 500ms) {
      clock.advance(500ms);
      round_trip();
    }
  }
  void round_trip() {
    if (!other_) {
      other_ = RedisWorld::make(RedisOptions{.channel = prefix + "other"});
      run(other_->start());
    }
    const nlohmann::json message = nlohmann::json::object();
    for (int i = 0; i < 2; ++i) run(other_->publish(message));
  }

 private:
  std::unique_ptr<RedisBackplane> other_;
};

}  // namespace roost::test

#define ROOST_PRESENCE_WORLD test::RedisPresenceWorld
#include "support/presence_contract.hpp"

namespace roost {
namespace {

struct OwnRedis {
  RedisServer own_server;
};
/// With a Redis that no other test uses.
struct LonelyPresenceWorld : OwnRedis, RedisPresenceWorld {
  LonelyPresenceWorld() : RedisPresenceWorld(own_server) {}

  std::string key(const std::string& rest) const { return prefix + channel + ':' + rest; }
  bool exists(const std::string& rest) { return server.ask({"EXISTS", key(rest)}).integer == 1; }
};
using LonelyReplica = PresentReplica<LonelyPresenceWorld>;

TEST_CASE(
    "presence: nothing is left in Redis when everybody is gone, and nothing counts as a "
    "message",
    "[presence]") {
  LonelyPresenceWorld world;
  LonelyReplica a(world), b(world);
  a.join("1", "chat/x", "ann");
  b.join("2", "chat/x", "ann");
  b.join("3", "chat/y", "bob");
  a.until_told("chat/x", {"ann"});
  b.until_told("chat/y", {"bob"});
  CHECK(world.exists("who:chat/x"));
  for (const char* id : {"1", "2", "3"}) (id[0] == '1' ? a : b).leave(id);
  world.pass(16s);
  world.until([&] { return !world.exists("who:chat/x") && !world.exists("who:chat/y"); });
  const auto sets = world.server.ask({"KEYS", world.key("in:*")});
  CHECK(sets.elements.empty());
  CHECK(a.backplane->stats().published == 0);
  CHECK(a.backplane->stats().received == 0);
  CHECK(a.backplane->stats().skipped == 0);
}

TEST_CASE("presence: users are there again when Redis has lost everything", "[presence]") {
  LonelyPresenceWorld world;
  LonelyReplica a(world), b(world);
  a.join("1", "chat/x", "ann");
  b.join("2", "chat/x", "bob");
  a.until_told("chat/x", {"ann", "bob"});
  world.server.kill();
  world.until([&] { return a.backplane->state() == RedisState::down; });
  world.server.start();
  world.pass_until([&] {
    return world.exists("who:chat/x") &&
           world.server.ask({"HLEN", world.key("who:chat/x")}).integer == 3;
  });
  world.pass_until([&] {
    return a.told["chat/x"] == Users{"ann", "bob"} && b.told["chat/x"] == Users{"ann", "bob"};
  });
}

TEST_CASE("presence: a user whom a failover has brought back goes again", "[presence]") {
  LonelyPresenceWorld world;
  LonelyReplica a(world), b(world);
  a.join("1", "chat/x", "ann");
  b.join("2", "chat/z", "bob");
  a.until_told("chat/x", {"ann"});
  b.until_told("chat/z", {"bob"});
  const std::string held = world.server.ask({"HGET", world.key("who:chat/x"), ":ann"}).text;
  const std::string name = held.substr(0, held.find('\n'));
  // As of a time at which `a` had members in that room.
  world.server.ask({"HSET", world.key("who:chat/z"), ":eve", name + "\n"});
  world.server.ask({"SADD", world.key("in:" + name), "chat/z"});
  world.server.ask({"CLIENT", "KILL", "TYPE", "normal"});
  world.pass_until([&] {
    return world.server.ask({"HEXISTS", world.key("who:chat/z"), ":eve"}).integer == 0;
  });
  world.pass_until([&] { return b.users("chat/z") == Users{"bob"}; });
}

TEST_CASE("presence: a replica that was buried by mistake enters its users under its new name",
          "[presence]") {
  LonelyPresenceWorld world;
  LonelyReplica a(world), b(world);
  a.join("1", "chat/x", "ann");
  b.join("2", "chat/x", "bob");
  b.until_told("chat/x", {"ann", "bob"});
  const auto holder = [&world] {
    const std::string held = world.server.ask({"HGET", world.key("who:chat/x"), ":ann"}).text;
    return held.substr(0, held.find('\n'));
  };
  const std::string before = holder();
  // As if its lease had ended, and another replica had noticed.
  const detail::RedisReply time = world.server.ask({"TIME"});
  const std::string now = time.elements[0].text + "000";
  world.server.ask({"HDEL", world.key("replicas"), '+' + before});
  world.server.ask({"HSET", world.key("replicas"), '-' + before, now + ' ' + now + " 5000"});
  world.pass(10s);  // less than the interval of the checks, which would find it too
  CHECK_FALSE(holder().empty());
  CHECK(holder() != before);
  CHECK(b.users("chat/x") == Users{"ann", "bob"});
}

TEST_CASE("presence: the users of a replica that is stopped go after linger, not after a lease",
          "[presence]") {
  test::RedisPresenceWorld world;
  world.lease = 5min;
  world.options.rules.front().linger = Clock::duration::zero();
  PresentReplica<test::RedisPresenceWorld> a(world), b(world);
  a.join("witness", "chat/x", "witness");
  b.join("1", "chat/x", "ann");
  a.until_told("chat/x", {"ann", "witness"});
  world.run(b.backplane->stop());
  world.pass_until([&] { return a.told["chat/x"] == Users{"witness"}; });
}

TEST_CASE("presence: a room that is damaged in Redis is told in the log", "[presence]") {
  LonelyPresenceWorld world;
  LonelyReplica a(world), b(world);
  a.join("1", "chat/x", "ann");
  a.until_told("chat/x", {"ann"});
  world.server.ask({"HSET", world.key("who:chat/x"), "#", "not a position"});
  CHECK(error_of([&] { b.present("chat/x"); }) == errc::backplane_unavailable);
  CHECK(world.log.count("redis_presence_refused") == 1);
}

TEST_CASE("presence: needs a registry", "[presence]") {
  test::RedisPresenceWorld world;
  RedisOptions options;
  options.presence = redis_presence({.rules = {{.rooms = "*"}}});
  CHECK(error_of([&] { world.RedisWorld::make(options); }) == errc::invalid_option);
}

}  // namespace
}  // namespace roost
