// SPDX-License-Identifier: MIT
// A replica of the release before histories beside one that has them.
#include <string>

#include "catch.hpp"
#include "redis/history_world.hpp"

namespace roost {
namespace {

using namespace test;

TEST_CASE("clients of a replica without histories see messages, each once, and nothing else",
          "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  const Routing routing = GENERATE(Routing::shared_channel, Routing::per_room);
  Replica one(world, histories(), {.routing = routing});
  one.start();
  const auto alice = one.come("alice", "chat/a");
  Pipe pipe;
  const Process old({ROOST_PREVIOUS_RELEASE, server.url(), world.prefix + "channel", "chat/a",
                     routing == Routing::per_room ? "per_room" : "shared_channel"},
                    pipe.writer());
  pipe.close_writer();
  pipe.read_until("ready\n");
  one.say("one", "chat/a");
  world.run(one.cluster.forget("chat/a"));
  // A message that is sent before the members are told may be part of what they have lost.
  world.until([&] { return shown(alice->texts).back() == "chat/a lost=epoch"; });
  one.say("two", "chat/a");
  // Its copy may come later than the answer, and must not be lost with the connections.
  world.until([&] { return shown(alice->texts).back() == "chat/a: two"; });
  // The log goes back, so that the replica gives it another epoch.
  server.ask({"HSET", world.prefix + "channel:meta:chat/a", "n", "1", "k", "abcdef"});
  server.ask({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  world.until([&] {
    return shown(alice->texts).back() == "chat/a lost=epoch" && alice->texts.size() == 5;
  });
  CHECK(world.run(one.cluster.broadcast_text("plain", {.room = "chat/a", .record = false})));
  one.say("end", "chat/a");
  const std::string got = pipe.read_until("end\n");
  CHECK(got == "one\ntwo\nplain\nend\n");
}

}  // namespace
}  // namespace roost
