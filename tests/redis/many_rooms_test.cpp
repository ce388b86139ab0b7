// SPDX-License-Identifier: MIT
// So many rooms that asking Redis for all of them takes a while.
#include <memory>
#include <roost/backplane/cluster.hpp>
#include <roost/manager/connection_manager.hpp>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "redis/fake_redis.hpp"
#include "redis/redis_world.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using namespace std::chrono_literals;
using Manager = ConnectionManager<FakeWebSocket>;

// Members in many rooms, a thousand each.
struct ManyRooms {
  RedisWorld& world;
  std::unique_ptr<RedisBackplane> backplane;
  Manager manager;
  Cluster cluster;

  ManyRooms(RedisWorld& its_world, RedisOptions options)
      : world(its_world),
        manager(world.context.get_executor(), {.max_rooms_per_connection = 1000}) {
    options.routing = Routing::per_room;
    options.min_retry_delay = options.max_retry_delay = 1ms;
    backplane = world.make(std::move(options));
    cluster = bind_manager(*backplane, manager);
  }
  void connect(int first, int last) {
    for (int member = first; member < last; ++member) {
      std::vector<std::string> rooms;
      for (int i = 0; i < 1000; ++i) rooms.push_back(std::to_string(member * 1000 + i));
      world.run(manager.connect(std::make_shared<FakeWebSocket>(),
                                {.connection_id = std::to_string(member), .rooms = rooms}));
    }
  }
  [[nodiscard]] long long subscribers(int room) const {
    const std::string channel = backplane->options().channel + ":room:" + std::to_string(room);
    return world.server.ask({"PUBSUB", "NUMSUB", channel}).elements.at(1).integer;
  }
};

TEST_CASE("60,000 rooms are subscribed within what Redis keeps for a client", "[redis]") {
  // All answers together are several times as long; with the usual 32 MiB that takes 300,000 rooms.
  RedisServer server({"--client-output-buffer-limit", "pubsub 1mb 0 0"});
  RedisWorld world(server);
  ManyRooms many(world, {});
  many.connect(0, 50);
  world.run(many.backplane->start());
  CHECK(many.subscribers(0) == 1);
  CHECK(many.subscribers(49'999) == 1);
  many.connect(50, 60);  // while it hears
  CHECK(many.subscribers(59'999) == 1);
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  world.until([&] { return many.backplane->state() == RedisState::down; });
  world.until([&] { return many.backplane->state() == RedisState::subscribed; });
  CHECK(many.subscribers(59'999) == 1);
  for (int member = 0; member < 60; ++member) {
    world.run(many.manager.disconnect(std::to_string(member)));
  }
  int calls = 0;
  world.until([&] {  // to ask takes longer than an answer
    return ++calls % 100 == 0 && many.subscribers(0) == 0 && many.subscribers(59'999) == 0;
  });
  CHECK(many.backplane->state() == RedisState::subscribed);
  CHECK(world.log.count("redis_lost") == 1);
}

TEST_CASE("subscribing may take longer than command_timeout, while answers come", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  ManyRooms many(world, {.url = fake.url(), .clock = &clock});
  many.connect(0, 10);
  const auto starting =
      detail::Child<void>::start(world.context.get_executor(), many.backplane->start());
  std::size_t seen = 0;
  world.until([&] {
    if (fake.subscriptions >= seen + 4) {  // what is asked for at a time
      seen = fake.subscriptions;
      clock.advance(4s);
    }
    return starting->is_done();
  });
  CHECK_NOTHROW(starting->take());
  CHECK(seen == 20);  // 10,003 channels by 512: 20 s
}

TEST_CASE("subscribing ends when answers cease to come", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  ManyRooms many(world, {.url = fake.url(), .clock = &clock});
  many.connect(0, 10);
  const auto starting =
      detail::Child<void>::start(world.context.get_executor(), many.backplane->start());
  world.until([&] { return fake.subscriptions >= 8; });
  fake.ignores_subscribe = true;
  world.until([&] { return fake.subscriptions >= 12; });
  run_ready(world.context);
  CHECK_FALSE(starting->is_done());
  clock.advance(5s);
  world.until([&] { return starting->is_done(); });
  CHECK(contains(message_of([&] { starting->take(); }), "no answer within 5000 ms"));
}

}  // namespace
}  // namespace roost
