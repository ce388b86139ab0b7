// SPDX-License-Identifier: MIT
// A replica of an earlier release beside one that has a registry.
#include <string>

#include "catch.hpp"
#include "redis/registry_world.hpp"

namespace roost {
namespace {

using namespace test;

TEST_CASE("clients of an earlier release see nothing of what replicas ask each other",
          "[redis][registry]") {
  RegistryWorld world;
  auto backplane = world.make_control(world.context, "new");
  ConnectionManager<FakeWebSocket> manager(world.context.get_executor());
  const Cluster cluster = bind_manager(*backplane, manager, {.allow_global = true});
  world.run(backplane->start());
  auto other = world.make_control(world.context, "newer");  // who is asked
  world.run(other->start());
  Pipe pipe;
  const Process old({ROOST_PREVIOUS_RELEASE, world.server.url(), world.prefix + "channel", "lobby",
                     "shared_channel"},
                    pipe.writer());
  pipe.close_writer();
  pipe.read_until("ready\n");
  constexpr std::chrono::minutes long_{1};  // no test waits for it
  const Survey survey = world.run(cluster.ask("anything", nlohmann::json(), {.timeout = long_}));
  CHECK(survey.answers.size() == 2);
  CHECK(survey.missing.empty());
  const Target lobby = Target::room("lobby");
  CHECK(world.run(cluster.disconnect(lobby, {.timeout = long_})).count == 0);
  CHECK(world.run(cluster.room_size("lobby", {.timeout = long_})).count == 0);
  world.run(cluster.broadcast_text("end", {.room = "lobby"}));
  CHECK(pipe.read_until("end\n") == "end\n");
  world.run(other->stop());
  world.run(backplane->stop());
}

}  // namespace
}  // namespace roost
