// SPDX-License-Identifier: MIT
// Sentinels that tell where the primary is, and make another server one.
#include <roost/redis.hpp>
#include <roost/redis/connection/sentinel.hpp>

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "catch.hpp"
#include "redis/redis_world.hpp"
#include "redis/sentinels.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace test;
using namespace std::chrono_literals;

RedisOptions quick(std::string url) {
  return {.url = std::move(url),
          .connect_timeout = 2s,
          .command_timeout = 1s,
          .min_retry_delay = 20ms,
          .max_retry_delay = 100ms,
          .probe_interval = 300ms};
}

/// Until the replica is the primary. The Sentinels need some seconds, and more on a busy machine:
/// an election that fails is repeated after twice the `failover-timeout`.
void until_promoted(RedisWorld& world, const Sentinels& sentinels) {
  testing::run_until(
      world.context, [&] { return sentinels.replica->role() == "master"; }, 120s);
}

/// Publishes until a message has reached @p subscribers of the channel without an error.
void until_published(RedisWorld& world, RedisBackplane& backplane, std::size_t subscribers) {
  std::optional<Published> last;
  world.until([&] {
    last = world.run(backplane.publish({{"n", 1}}));
    return *last && last->receivers == subscribers;
  });
}
void until_replicated(RedisWorld& world, const PortServer& replica) {
  world.until([&] {
    const auto role = replica.server.ask({"ROLE"});
    return role.elements.size() > 3 && role.elements[3].text == "connected";
  });
}
/// Until @p sentinel knows @p count others, which a failover needs.
void until_acquainted(RedisWorld& world, const Sentinels& sentinels) {
  const auto target =
      std::make_shared<const detail::RedisTarget>(detail::validated({.url = sentinels.url(1)}));
  world.until([&] {
    const auto answer = world.run(
        detail::ask_sentinel(world.context.get_executor(), target, target->url.sentinels[0]));
    return answer.others.size() == 2;
  });
}

TEST_CASE("a URL names Sentinels, the primary that they know, and how to log in", "[redis]") {
  const auto url = detail::parse_redis_url(
      "redis+sentinel://user:p%40ss@one:1,two,[::1]:3/main/2?sentinel_user=s&sentinel_password=t");
  REQUIRE(url.sentinels.size() == 3);
  CHECK(url.sentinels[0] == detail::RedisPlace{"one", 1});
  CHECK(url.sentinels[1] == detail::RedisPlace{"two", 26379});
  CHECK(url.sentinels[2] == detail::RedisPlace{"::1", 3});
  CHECK(url.primary == "main");
  CHECK(url.database == 2);
  CHECK(url.user == "user");
  CHECK(url.password == "p@ss");
  CHECK(url.sentinel_user == "s");
  CHECK(url.sentinel_password == "t");
  CHECK(url.where() == "\"main\", by the Sentinels one:1, two:26379, [::1]:3");
  CHECK(detail::parse_redis_url("rediss+sentinel://a/b").transport ==
        detail::RedisUrl::Transport::tls);
  CHECK(detail::parse_redis_url("valkey+sentinel://a/b").sentinels.size() == 1);

  const auto why = [](std::string_view text) {
    return message_of([&] { (void)detail::parse_redis_url(text); });
  };
  CHECK(contains(why("redis+sentinel://a:1"), "the name of the primary is missing"));
  CHECK(contains(why("redis+sentinel://a:1,/main"), "there is no host"));
  CHECK(contains(why("redis+sentinel://a:x/main"), "the port"));
  CHECK(contains(why("redis+sentinel://a/main/x"), "the database"));
  CHECK(contains(why("redis+sentinel://a/main?name=x"), "sentinel_user"));
  CHECK(contains(why("unix+sentinel://a/main"), "it must begin with"));
  CHECK(contains(why("redis://a/0?sentinel_user=x"), "unknown parameter"));
}

TEST_CASE("the primary is found by any Sentinel that answers, and the others become known",
          "[redis]") {
  Sentinels sentinels;
  RedisWorld world;
  until_acquainted(world, sentinels);
  sentinels.all[0]->freeze();  // it does not answer
  const auto backplane = world.make(quick(sentinels.url(2)));
  world.run(backplane->start());
  until_published(world, *backplane, 1);
  // The third one was not named, and is asked once the two others are gone.
  sentinels.all[0]->thaw();
  sentinels.all[0]->kill();
  sentinels.all[1]->kill();
  sentinels.primary->server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  sentinels.primary->server.ask({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  until_published(world, *backplane, 1);
  world.run(backplane->stop());
}

TEST_CASE("start says what each Sentinel answered", "[redis]") {
  Sentinels sentinels;
  RedisWorld world;
  std::string url = sentinels.url(1);
  url.replace(url.find("/main"), 5, "/other");
  const auto backplane = world.make(quick(url));
  const std::string why = message_of([&] { world.run(backplane->start()); });
  CHECK(contains(why, "no Sentinel tells where \"other\" is"));
  CHECK(contains(why, sentinels.all[0]->port));
  CHECK(contains(why, "it does not know \"other\""));
}

TEST_CASE("a failover by command and by kill is followed", "[redis]") {
  Sentinels sentinels;
  RedisWorld world;
  until_acquainted(world, sentinels);
  until_replicated(world, *sentinels.replica);
  const auto one = world.make(quick(sentinels.url()));
  const auto two = world.make(quick(sentinels.url()));
  world.run(one->start());
  world.run(two->start());
  until_published(world, *one, 2);

  SECTION("by kill") { sentinels.primary->server.kill(); }
  SECTION("by kill, with a Sentinel that still tells of the old primary") {
    sentinels.all[0]->freeze();
    sentinels.primary->server.kill();
    until_promoted(world, sentinels);
    sentinels.all[0]->thaw();
  }
  SECTION("by a primary that hangs") { sentinels.primary->server.freeze(); }
  until_promoted(world, sentinels);
  until_published(world, *one, 2);
  until_published(world, *two, 2);
  CHECK(sentinels.replica->role() == "master");
  world.run(one->stop());
  world.run(two->stop());
}

TEST_CASE("Sentinels that ask for a password get theirs, not that of the primary", "[redis]") {
  Sentinels sentinels("requirepass secret\n");
  RedisWorld world;
  const auto without = world.make(quick(sentinels.url()));
  CHECK(contains(message_of([&] { world.run(without->start()); }), "NOAUTH"));
  const auto with = world.make(quick(sentinels.url() + "?sentinel_password=secret"));
  world.run(with->start());
  until_published(world, *with, 1);
  world.run(with->stop());
}

}  // namespace
}  // namespace roost
