// SPDX-License-Identifier: MIT
// Histories of rooms in a real Redis: clients that come back, to whichever replica.
#include <algorithm>
#include <memory>
#include <string>

#include "catch.hpp"
#include "redis/history_world.hpp"

namespace roost {
namespace {

using namespace test;

}  // namespace

TEMPLATE_TEST_CASE_SIG("a client resumes at another replica what it missed", "",
                       ((Routing routing), routing), Routing::shared_channel, Routing::per_room) {
  RedisWorld world;
  Replica one(world, histories(), {.routing = routing});
  Replica two(world, histories(), {.routing = routing});
  world.run(one.backplane->start());
  world.run(two.backplane->start());

  const auto alice = one.come("alice", "chat/a");
  const auto bob = two.come("bob", "chat/a");
  const std::string first = one.say("one", "chat/a").at.value();
  world.until([&] { return alice->texts.size() == 2 && bob->texts.size() == 2; });
  CHECK(shown(alice->texts) == Strings{"chat/a joined", "chat/a: one"});
  CHECK(alice->texts[1] == "chat/a:" + first + "\none");
  CHECK(alice->texts[1] == bob->texts[1]);

  world.run(one.manager.disconnect("alice"));
  two.say("two", "chat/a");
  two.say("three", "chat/a");
  const auto again = two.come("alice", "chat/a", "chat/a:" + first);
  world.until([&] { return again->texts.size() == 3; });
  CHECK(shown(again->texts) == Strings{"chat/a joined recovered", "chat/a: two", "chat/a: three"});
  // A replica that never had a member of the room knows no less.
  Replica three(world, histories(), {.routing = routing});
  world.run(three.backplane->start());
  const auto carol = three.come("carol", "chat/a", "chat/a:" + first);
  world.until([&] { return carol->texts.size() == 3; });
  CHECK(shown(carol->texts) == shown(again->texts));
  const auto dave = three.come("dave", "chat/a", "", 1);
  world.until([&] { return dave->texts.size() == 2; });
  CHECK(shown(dave->texts) == Strings{"chat/a joined", "chat/a: three"});
  one.say("four", "chat/a");
  world.until([&] { return dave->texts.size() == 3 && carol->texts.size() == 4; });
  CHECK(world.log.lines().empty());
}

TEST_CASE("a history in Redis says what it does not have any more") {
  RedisWorld world;
  Replica one(world, histories({.rooms = "*", .max_messages = 2}));
  world.run(one.backplane->start());
  const std::string first = one.say("one", "r").at.value();
  for (const char* text : {"two", "three", "four"}) one.say(text, "r");
  const auto alice = one.come("alice", "r", "r:" + first);
  CHECK(shown(alice->texts) == Strings{"r joined lost=gone"});
  const auto bob = one.come("bob", "r", "r:malformed");
  CHECK(shown(bob->texts) == Strings{"r joined lost=malformed"});
  std::string other = first;
  other[0] = other[0] == 'x' ? 'y' : 'x';
  const auto carol = one.come("carol", "r", "r:" + other);
  CHECK(shown(carol->texts) == Strings{"r joined lost=epoch"});
}

TEST_CASE("forgetting a history in Redis tells the members at every replica") {
  RedisWorld world;
  Replica one(world, histories());
  Replica two(world, histories());
  world.run(one.backplane->start());
  world.run(two.backplane->start());
  const auto alice = one.come("alice", "chat/a");
  const auto bob = two.come("bob", "chat/a");
  const std::string first = one.say("one", "chat/a").at.value();
  world.until([&] { return alice->texts.size() == 2 && bob->texts.size() == 2; });
  world.run(one.cluster.forget("chat/a"));
  world.until([&] { return alice->texts.size() == 3 && bob->texts.size() == 3; });
  CHECK(shown(alice->texts).back() == "chat/a lost=epoch");
  CHECK(shown(bob->texts).back() == "chat/a lost=epoch");
  two.say("two", "chat/a");
  world.until([&] { return alice->texts.size() == 4 && bob->texts.size() == 4; });
  const auto carol = one.come("carol", "chat/a", "chat/a:" + first);
  CHECK(shown(carol->texts) == Strings{"chat/a joined lost=epoch"});
}

TEST_CASE("a Redis that has lost everything tells each member once") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  world.run(one.backplane->start());
  const auto alice = one.come("alice", "chat/a");
  const std::string first = one.say("one", "chat/a").at.value();
  world.until([&] { return alice->texts.size() == 2; });
  server.ask({"FLUSHALL"});
  one.say("two", "chat/a");
  world.until([&] { return alice->texts.size() == 3; });
  CHECK(shown(alice->texts).back() == "chat/a lost=epoch");
  one.say("three", "chat/a");
  world.until([&] { return alice->texts.size() == 4; });
  CHECK(shown(alice->texts).back() == "chat/a: three");
}

TEST_CASE("scripts that Redis has forgotten are loaded again") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  world.run(one.backplane->start());
  const auto alice = one.come("alice", "chat/a");
  server.ask({"SCRIPT", "FLUSH"});
  CHECK(one.say("one", "chat/a").at.has_value());
  CHECK(one.say("two", "chat/a").at.has_value());
  world.until([&] { return alice->texts.size() == 3; });
  CHECK(shown(alice->texts) == Strings{"chat/a joined", "chat/a: one", "chat/a: two"});
}

TEST_CASE("a Redis that was away and has come back is caught up with") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  Replica two(world, histories());
  world.run(one.backplane->start());
  world.run(two.backplane->start());
  const auto alice = one.come("alice", "chat/a");
  const auto bob = two.come("bob", "chat/a");
  one.say("one", "chat/a");
  world.until([&] { return bob->texts.size() == 2; });
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  two.say("two", "chat/a");
  world.until([&] { return alice->texts.size() == 3 && bob->texts.size() == 3; });
  server.ask({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  world.until([&] {
    const Published published = two.say("three", "chat/a");
    return published.at.has_value();
  });
  world.until([&] {
    return shown(alice->texts).back() == "chat/a: three" &&
           shown(bob->texts).back() == "chat/a: three";
  });
  CHECK(std::count(alice->texts.begin(), alice->texts.end(), alice->texts[2]) == 1);
}

}  // namespace roost
