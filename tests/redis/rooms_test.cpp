// SPDX-License-Identifier: MIT
// One channel for each room: a replica hears of the rooms in which it has members, and of no other.
#include <memory>
#include <optional>
#include <roost/backplane/cluster.hpp>
#include <roost/manager/connection_manager.hpp>
#include <roost/runtime/running.hpp>
#include <roost/service/service.hpp>
#include <string>
#include <string_view>
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
using Strings = std::vector<std::string>;

// A backplane that routes by room, and a manager bound to it.
struct RoomsReplica {
  RedisWorld& world;
  std::unique_ptr<RedisBackplane> backplane;
  std::unique_ptr<Manager> manager;
  Cluster cluster;
  std::vector<RedisLoss> losses;

  explicit RoomsReplica(RedisWorld& its_world, RedisOptions options = {}) : world(its_world) {
    options.routing = Routing::per_room;
    backplane = world.make(std::move(options));
    backplane->on_loss([this](const RedisLoss& loss) { losses.push_back(loss); });
    manager = std::make_unique<Manager>(world.context.get_executor());
    cluster = bind_manager(*backplane, *manager, {.allow_global = true});
  }

  std::shared_ptr<FakeWebSocket> connect(std::string_view id, Names rooms) {
    auto socket = std::make_shared<FakeWebSocket>();
    world.run(manager->connect(socket, {.connection_id = id, .rooms = rooms}));
    return socket;
  }
  Published send(std::string_view text, std::string_view room) {
    return world.run(cluster.broadcast_text(text, {.room = room}));
  }
  /// How many replicas Redis would give a message of the room to.
  long long subscribers(std::string_view room) const {
    const std::string channel = backplane->options().channel + ":room:" + std::string(room);
    return world.server.ask({"PUBSUB", "NUMSUB", channel}).elements.at(1).integer;
  }
  void until_subscribers(std::string_view room, long long count) {
    world.until([&] { return subscribers(room) == count; });
  }
};

TEST_CASE("a message goes to the replicas with members in its room", "[redis]") {
  RedisWorld world;
  RoomsReplica a(world), b(world);
  world.run(a.backplane->start());
  world.run(b.backplane->start());
  const auto alice = a.connect("alice", "lobby");
  CHECK(a.subscribers("lobby") == 1);  // when `connect` returns
  CHECK(b.send("1", "lobby").receivers == 1U);
  world.until([&] { return alice->sent().size() == 1; });
  const auto bob = b.connect("bob", {});
  CHECK(a.send("2", "lobby").receivers == 1U);
  world.run(b.manager->join("bob", "lobby"));
  CHECK(a.subscribers("lobby") == 2);  // when `join` returns
  CHECK(a.send("3", "lobby").receivers == 2U);
  world.until([&] { return bob->sent().size() == 1; });
  const auto carol = b.connect("carol", "lobby");
  world.run(b.manager->leave("bob", "lobby"));
  CHECK(a.send("4", "lobby").receivers == 2U);
  world.until([&] { return carol->sent().size() == 1; });
  world.run(b.manager->disconnect("carol"));
  a.until_subscribers("lobby", 1);
  CHECK(a.send("5", "lobby").receivers == 1U);
  world.until([&] { return alice->sent().size() == 5 && carol->sent().size() == 1; });
  CHECK(alice->sent_texts() == Strings{"1", "2", "3", "4", "5"});
  CHECK(bob->sent_texts() == Strings{"3"});
  CHECK(carol->sent_texts() == Strings{"4"});
  CHECK(a.losses.empty());
  CHECK(b.losses.empty());
}

TEST_CASE("messages to everyone and to unions of rooms reach all, once", "[redis]") {
  RedisWorld world;
  RoomsReplica a(world), b(world);
  world.run(a.backplane->start());
  world.run(b.backplane->start());
  const auto alice = a.connect("alice", {"lobby", "attic"});
  const auto bob = b.connect("bob", "attic");
  CHECK(world.run(a.cluster.broadcast_text("union", {.rooms = {"lobby", "attic"}})).receivers ==
        2U);
  CHECK(world.run(a.cluster.broadcast_text("all")).receivers == 2U);
  CHECK(a.send("end", "attic").receivers == 2U);
  world.until([&] { return bob->sent().size() == 3; });
  CHECK(bob->sent_texts() == Strings{"union", "all", "end"});
  CHECK(alice->sent_texts() == Strings{"union", "all", "end"});
}

TEST_CASE("connect and join wait for Redis to acknowledge, within a bound", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  RoomsReplica a(world, {.url = fake.url(), .clock = &clock});
  world.run(a.backplane->start());
  fake.ignores_subscribe = true;
  const auto executor = world.context.get_executor();
  const auto socket = std::make_shared<FakeWebSocket>();
  const auto connecting = detail::Child<Manager::ConnectionPtr>::start(
      executor, a.manager->connect(socket, {.connection_id = "alice", .rooms = {"lobby"}}));
  world.until([&] { return fake.subscriptions == 2; });
  const auto joining = detail::Child<bool>::start(executor, a.manager->join("alice", "attic"));
  world.until([&] { return fake.subscriptions == 3; });
  CHECK_FALSE(connecting->is_done());
  CHECK_FALSE(joining->is_done());
  clock.advance(5s);
  world.until([&] { return a.backplane->state() == RedisState::down; });
  world.until([&] { return connecting->is_done() && joining->is_done(); });
  CHECK(joining->take());
  CHECK(a.manager->members("attic").size() == 1);
  CHECK(contains(world.log.last("redis_lost"), "SUBSCRIBE is not answered"));
}

TEST_CASE("a connect that is cancelled while it waits for Redis leaves nothing", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  RoomsReplica a(world, {.url = fake.url()});
  world.run(a.backplane->start());
  fake.ignores_subscribe = true;
  const auto socket = std::make_shared<FakeWebSocket>();
  const auto connecting = detail::Child<Manager::ConnectionPtr>::start(
      world.context.get_executor(), a.manager->connect(socket, {.rooms = {"lobby"}}));
  world.until([&] { return fake.subscriptions == 2; });
  connecting->cancel();
  world.until([&] { return connecting->is_done(); });
  CHECK_THROWS(connecting->take());
  CHECK(a.manager->total_connections() == 0);
}

// Redis does not acknowledge any more: who joins a new room waits.
struct WaitingJoins {
  using Join = std::shared_ptr<detail::Child<bool>>;

  RedisWorld world;
  FakeRedis fake;
  RoomsReplica a;
  std::shared_ptr<FakeWebSocket> alice;
  std::size_t before = 0;

  WaitingJoins() : fake(world.context), a(world, {.url = fake.url()}) {
    world.run(a.backplane->start());
    alice = a.connect("alice", "lobby");
    before = fake.subscriptions;
    fake.ignores_subscribe = true;
  }
  Join join(std::string_view room) {
    return detail::Child<bool>::start(world.context.get_executor(), a.manager->join("alice", room));
  }
  void until_subscribing() {
    world.until([&] { return fake.subscriptions == before + 1; });
  }
  void give_up(const Join& joining) {
    joining->cancel();
    world.until([&] { return joining->is_done(); });
    CHECK_THROWS(joining->take());
  }
};

TEST_CASE("a join that is cancelled while it waits for Redis is undone", "[redis]") {
  WaitingJoins joins;
  RoomsReplica& a = joins.a;
  const auto joining = joins.join("attic");
  joins.until_subscribing();
  CHECK(a.manager->members("attic").size() == 1);
  // A second join to the room waits too, and giving it up does not undo the first.
  const auto again = joins.join("attic");
  run_ready(joins.world.context);
  CHECK_FALSE(again->is_done());
  joins.give_up(again);
  CHECK(a.manager->members("attic").size() == 1);
  joins.give_up(joining);
  CHECK(a.manager->members("attic").empty());
  CHECK(a.manager->members("lobby").size() == 1);
}

TEST_CASE("a cancelled join leaves the room to others that asked for it", "[redis]") {
  WaitingJoins joins;
  RoomsReplica& a = joins.a;
  const auto first = joins.join("attic");
  joins.until_subscribing();
  const auto second = joins.join("attic");
  run_ready(joins.world.context);
  SECTION("while they wait") {
    joins.give_up(first);
    CHECK(a.manager->members("attic").size() == 1);
    joins.give_up(second);  // nobody wants it any more
    CHECK(a.manager->members("attic").empty());
  }
  SECTION("a member that was there before stays") {
    const auto third = joins.join("lobby");
    run_ready(joins.world.context);
    joins.give_up(third);
    CHECK(a.manager->members("lobby").size() == 1);
    joins.give_up(second);
    joins.give_up(first);
  }
  SECTION("a member that has left and joined again stays by the last join") {
    joins.world.run(a.manager->leave("alice", "attic"));
    const auto third = joins.join("attic");
    run_ready(joins.world.context);
    joins.give_up(first);
    joins.give_up(second);
    CHECK(a.manager->members("attic").size() == 1);
    joins.give_up(third);
    CHECK(a.manager->members("attic").empty());
  }
}

TEST_CASE("without Redis nobody waits, and rooms are subscribed when it comes", "[redis]") {
  RedisServer server;
  server.kill();
  RedisWorld world(server);
  RoomsReplica a(world, {.min_retry_delay = 1ms, .max_retry_delay = 10ms});
  const auto early = a.connect("early", "lobby");  // not even started
  world.run(a.backplane->start_anyway());
  const auto alice = a.connect("alice", "attic");
  CHECK(a.send("local", "attic").error == errc::backplane_unavailable);
  server.start();
  world.run(a.backplane->ready());
  CHECK(a.subscribers("lobby") == 1);
  CHECK(a.subscribers("attic") == 1);
  server.kill();
  world.until([&] { return a.backplane->state() == RedisState::down; });
  world.run(a.manager->leave("early", "lobby"));
  world.run(a.manager->join("alice", "cellar"));
  server.start();
  world.run(a.backplane->ready());
  CHECK(a.subscribers("lobby") == 0);
  CHECK(a.subscribers("cellar") == 1);
  CHECK(alice->sent_texts().at(0) == "local");
}

TEST_CASE("the rooms of a manager go with it, and with its binding", "[redis]") {
  RedisWorld world;
  RoomsReplica a(world);
  world.run(a.backplane->start());
  Manager other(world.context.get_executor());
  const auto socket = std::make_shared<FakeWebSocket>();
  world.run(other.connect(socket, {.rooms = {"lobby", "attic"}}));
  Cluster cluster = bind_manager(*a.backplane, other);  // rooms that are there already
  a.until_subscribers("attic", 1);
  const auto alice = a.connect("alice", "lobby");
  CHECK(a.subscribers("lobby") == 1);
  const bool is_unbound = GENERATE(true, false);
  if (is_unbound) {
    cluster.unbind();
    a.until_subscribers("attic", 0);
    CHECK(a.subscribers("lobby") == 1);
    a.manager.reset();
    a.until_subscribers("lobby", 0);
  } else {
    a.cluster = {};
    cluster = {};
    a.until_subscribers("lobby", 0);
    a.until_subscribers("attic", 0);
  }
}

TEST_CASE("rooms are subscribed in batches", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  RoomsReplica a(world, {.url = fake.url()});
  for (int n = 0; n < 20; ++n) {
    Strings rooms;
    for (int i = 0; i < 100; ++i) rooms.push_back(std::to_string(n * 100 + i));
    a.connect(std::to_string(n), rooms);
  }
  world.run(a.backplane->start());
  CHECK(fake.subscriptions == 4);  // 2003 channels by 512
}

TEST_CASE("a replica that comes back to a room is told of no missed message", "[redis]") {
  RedisWorld world;
  RoomsReplica a(world), b(world);
  world.run(a.backplane->start());
  world.run(b.backplane->start());
  const auto bob = b.connect("bob", "lobby");
  CHECK(a.send("1", "lobby").receivers == 1U);
  world.until([&] { return bob->sent().size() == 1; });
  world.run(b.manager->leave("bob", "lobby"));
  b.until_subscribers("lobby", 0);
  CHECK(a.send("2", "lobby").receivers == 0U);
  world.run(b.manager->join("bob", "lobby"));
  CHECK(a.send("3", "lobby").receivers == 1U);
  world.until([&] { return bob->sent().size() == 2; });
  CHECK(b.losses.empty());
}

TEST_CASE("a service ends with nothing left of its Redis backplane", "[redis]") {
  RedisWorld world;
  const Routing routing = GENERATE(Routing::shared_channel, Routing::per_room);
  const auto backplane = world.make({.routing = routing});
  auto& service = init_websockets<FakeWebSocket>(world.context, {}, {.backplane = *backplane});
  world.run(service.start());
  const auto alice = std::make_shared<FakeWebSocket>();
  world.run(service.manager().connect(alice, {.rooms = "lobby"}));
  const auto sent = world.run(service.cluster().broadcast_text("text", {.room = "lobby"}));
  CHECK(sent.receivers == 1U);
  world.until([&] { return alice->sent().size() == 1; });
  world.run(service.shutdown());
  run_ready(world.context);
  CHECK(running(world.context) == 0);
}

}  // namespace
}  // namespace roost
