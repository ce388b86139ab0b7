// SPDX-License-Identifier: MIT
// What clients get of histories in a real Redis while connections, replicas and servers fail: each
// message once, in order, or they are told what they have lost.
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "redis/history_world.hpp"

namespace roost {
namespace {

using namespace test;
using Link = Proxy::Link;
using Way = Proxy::Way;

/// Clients of one room that come and go, and the ledger of what they get.
struct Crowd {
  struct One {
    Ledger::Client client;
    std::shared_ptr<FrameFake> ws;
    std::size_t read = 0;
    Replica* replica = nullptr;
    std::shared_ptr<detail::Child<ConnectionManager<FrameFake>::ConnectionPtr>> coming;
    std::string id;
  };

  explicit Crowd(RedisWorld& its_world, std::string its_room = "chat/a")
      : world(its_world), room(std::move(its_room)) {}

  One& add() {
    all.push_back(std::make_unique<One>());
    all.back()->client.name = "client " + std::to_string(all.size());
    return *all.back();
  }
  void come(One& one, Replica& replica) {
    one.id = room + " " + std::to_string(++ids);
    one.ws = std::make_shared<FrameFake>();
    one.read = 0;
    one.replica = &replica;
    one.coming = detail::Child<ConnectionManager<FrameFake>::ConnectionPtr>::start(
        world.context.get_executor(),
        connect(replica.manager, one.ws, one.id, room, one.client.token));
  }
  static awaitable<ConnectionManager<FrameFake>::ConnectionPtr> connect(
      ConnectionManager<FrameFake>& manager, std::shared_ptr<FrameFake> ws, std::string id,
      std::string room, std::string token) {
    co_return co_await manager.connect(
        ws, {.connection_id = id, .rooms = room, .resume = std::string_view(token)});
  }
  bool is_there(const One& one) const { return one.coming && one.coming->is_done(); }
  void look(One& one) {
    if (one.ws) ledger.read(one.client, one.ws->texts, one.read);
  }
  /// All that come are there.
  void arrive() {
    world.until([&] {
      return std::all_of(all.begin(), all.end(),
                         [&](const auto& one) { return !one->ws || is_there(*one); });
    });
  }
  /// Its connection is lost; what it had got counts.
  void go(One& one) {
    world.until([&] { return is_there(one); });
    look(one);
    one.ws->peer_closes(1006);
    run_ready(world.context);
    one.ws.reset();
    one.coming.reset();
  }
  /// Until all that are there have got @p last.
  void settle(const std::string& last) {
    world.until([&] {
      return std::all_of(all.begin(), all.end(), [&](auto& one) {
        look(*one);
        return !one->ws || (!one->client.payloads.empty() && one->client.payloads.back() == last);
      });
    });
  }

  RedisWorld& world;
  const std::string room;
  Ledger ledger;
  std::vector<std::unique_ptr<One>> all;
  int ids = 0;
};

/// Says until it is recorded.
void say_surely(RedisWorld& world, Replica& replica, std::string_view text) {
  world.until([&] { return replica.say(text, "chat/a").at.has_value(); });
}

void wait_until_synced(const RedisServer& replica) {
  while (!contains(replica.ask({"INFO", "replication"}).text, "master_link_status:up")) {
  }
}

/// A primary and a copy of it, and a way that leads to one of them.
struct Failover {
  std::string primary_port = std::to_string(free_port());
  RedisServer primary{{"--port", primary_port, "--repl-diskless-sync-delay", "0"}};
  RedisServer copy{{"--port", "0", "--replicaof", "127.0.0.1", primary_port}};
  RedisWorld world{primary};
  Proxy way{world.context, primary};

  Failover() { wait_until_synced(copy); }
  void wait_for_copy() const {
    const auto offset = [](const RedisServer& server) {
      const std::string text = server.ask({"INFO", "replication"}).text;
      const std::size_t at = text.find("master_repl_offset:");
      return text.substr(at, text.find('\r', at) - at);
    };
    while (offset(primary) != offset(copy)) {
    }
  }
  void promote() const { copy.ask({"REPLICAOF", "NO", "ONE"}); }
};

void check_all_were_told(const Crowd& crowd) {
  for (const auto& member : crowd.all) {
    INFO(member->client.name);
    CHECK(member->client.lost == 1);
    CHECK(member->client.recovered == 0);
  }
}

}  // namespace

TEST_CASE("clients that are cut and come back to any replica get every message once", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  const Routing routing = GENERATE(Routing::shared_channel, Routing::per_room);
  std::vector<std::unique_ptr<Replica>> replicas;
  for (int i = 0; i < 3; ++i) {
    replicas.push_back(std::make_unique<Replica>(
        world,
        HistoryOptions{.rules = {{.rooms = "*", .max_messages = 10'000}},
                       .max_cached_bytes = i == 0 ? std::size_t{0} : std::size_t{40'000}},
        RedisOptions{.routing = routing}));
    replicas.back()->start();
  }
  Crowd crowd(world);
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return random() % n; };
  for (int i = 0; i < 200; ++i) crowd.come(crowd.add(), *replicas[below(3)]);

  std::vector<std::pair<std::string, std::shared_ptr<detail::Child<Published>>>> said;
  for (int step = 0; step < 300; ++step) {
    for (int publisher = 0; publisher < 4; ++publisher) {
      const std::string text = std::to_string(publisher) + "." + std::to_string(step);
      said.emplace_back(text, replicas[below(3)]->begin_to_say(text, "chat/a"));
    }
    run_ready(world.context);
    for (int i = 0; i < 4; ++i) {
      Crowd::One& one = *crowd.all[below(crowd.all.size())];
      if (!one.ws) {
        crowd.come(one, *replicas[below(3)]);
      } else if (crowd.is_there(one)) {
        crowd.go(one);
      }
    }
    if (step % 60 == 30) server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  }
  for (const auto& one : crowd.all) {
    if (!one->ws) crowd.come(*one, *replicas[below(3)]);
  }
  for (const auto& [text, saying] : said) {
    world.until([&, &it = saying] { return it->is_done(); });
    crowd.ledger.acknowledged(saying->take(), text);
  }
  crowd.arrive();
  replicas[0]->say("end", "chat/a");
  crowd.settle("end");
  for (const auto& one : crowd.all) {
    INFO(one->client.name);
    CHECK(one->client.lost == 0);
  }
  CHECK(crowd.ledger.acknowledgements().size() == 1200);
}

TEST_CASE("a Redis that is emptied under load tells every member once", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  Replica two(world, histories());
  one.start();
  two.start();
  Crowd crowd(world);
  for (int i = 0; i < 20; ++i) crowd.come(crowd.add(), i % 2 == 0 ? one : two);
  crowd.arrive();
  std::vector<std::shared_ptr<detail::Child<Published>>> said;
  for (int n = 0; n < 200; ++n) {
    said.push_back((n % 3 == 0 ? one : two).begin_to_say(std::to_string(n), "chat/a"));
    if (n == 100) server.ask({"FLUSHALL"});
    if (n % 10 == 0) run_ready(world.context);
    if (n == 40) {
      world.until([&] { return crowd.is_there(*crowd.all[0]); });
      crowd.go(*crowd.all[0]);
    }
  }
  for (const auto& saying : said) {
    world.until([&] { return saying->is_done(); });
  }
  crowd.come(*crowd.all[0], two);
  crowd.arrive();
  one.say("end", "chat/a");
  crowd.settle("end");
  check_all_were_told(crowd);
}

TEST_CASE("a Redis that is killed and comes back empty tells every member once", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  Replica two(world, histories());
  one.start();
  two.start();
  Crowd crowd(world);
  for (int i = 0; i < 6; ++i) crowd.come(crowd.add(), i % 2 == 0 ? one : two);
  crowd.arrive();
  say_surely(world, one, "first");
  crowd.settle("first");
  crowd.go(*crowd.all[0]);
  server.kill();
  const auto waiting = one.begin_to_say("meanwhile", "chat/a");
  server.start();
  say_surely(world, two, "last");
  world.until([&] { return waiting->is_done(); });
  crowd.come(*crowd.all[0], two);
  crowd.arrive();
  say_surely(world, two, "end");
  crowd.settle("end");
  check_all_were_told(crowd);
}

TEST_CASE("a Redis that comes back from an older file tells those that have what it forgot",
          "[redis]") {
  // So many are recorded again, before the replicas look: their numbers are used twice.
  const int again = GENERATE(0, 1, 2, 3);
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  one.start();
  Crowd crowd(world);
  Crowd::One& member = crowd.add();
  Crowd::One& away = crowd.add();
  Crowd::One& early = crowd.add();
  for (Crowd::One* const each : {&member, &away, &early}) crowd.come(*each, one);
  crowd.arrive();
  say_surely(world, one, "one");
  crowd.settle("one");
  crowd.go(early);
  server.ask({"SAVE"});
  say_surely(world, one, "two");
  say_surely(world, one, "three");
  crowd.settle("three");
  crowd.go(away);
  server.kill();
  world.until([&] { return world.log.count("redis_lost") == 3; });
  std::vector<std::shared_ptr<detail::Child<Published>>> said;
  for (int i = 0; i < again; ++i) {
    said.push_back(one.begin_to_say("again " + std::to_string(i), "chat/a"));
  }
  run_ready(world.context);
  server.start();
  for (const auto& saying : said) {
    world.until([&] { return saying->is_done(); });
    crowd.ledger.acknowledged(saying->take(), "again " + std::to_string(&saying - &said[0]));
  }
  world.until([&] {
    crowd.look(member);
    return member.client.lost == 1;
  });
  crowd.come(away, one);
  crowd.come(early, one);
  crowd.arrive();
  say_surely(world, one, "end");
  crowd.settle("end");
  CHECK(member.client.lost == 1);
  CHECK(away.client.lost == 1);
  // It has nothing that was forgotten; but the log has another epoch, so it is told all the same.
  CHECK(early.client.lost + early.client.recovered == 1);
}

TEST_CASE("nobody is told of a failover that loses nothing", "[redis]") {
  Failover redis;
  RedisWorld& world = redis.world;
  Replica one(world, histories(), {.url = redis.way.url()});
  Replica two(world, histories(), {.url = redis.way.url()});
  one.start();
  two.start();
  Crowd crowd(world);
  for (int i = 0; i < 6; ++i) crowd.come(crowd.add(), i % 2 == 0 ? one : two);
  crowd.arrive();
  say_surely(world, one, "one");
  say_surely(world, two, "two");
  crowd.settle("two");
  crowd.go(*crowd.all[0]);
  redis.wait_for_copy();
  redis.primary.kill();
  redis.promote();
  redis.way.lead_to(redis.copy);
  say_surely(world, one, "three");
  crowd.come(*crowd.all[0], two);
  crowd.arrive();
  say_surely(world, two, "end");
  crowd.settle("end");
  for (const auto& member : crowd.all) {
    INFO(member->client.name);
    CHECK(member->client.lost == 0);
    CHECK(member->client.payloads == Strings{"one", "two", "three", "end"});
  }
}

TEST_CASE("everybody is told of a failover that takes messages back", "[redis]") {
  const int again = GENERATE(0, 1, 2, 3);
  Failover redis;
  RedisWorld& world = redis.world;
  Replica one(world, histories(), {.url = redis.way.url()});
  one.start();
  Crowd crowd(world);
  Crowd::One& member = crowd.add();
  Crowd::One& away = crowd.add();
  for (Crowd::One* const each : {&member, &away}) crowd.come(*each, one);
  crowd.arrive();
  say_surely(world, one, "one");
  crowd.settle("one");
  redis.wait_for_copy();
  redis.promote();  // the primary does not know
  say_surely(world, one, "two");
  say_surely(world, one, "three");
  crowd.settle("three");
  crowd.go(away);
  {  // Others are at the new primary already, and use the numbers again.
    RedisWorld elsewhere(redis.copy);
    Replica other(elsewhere, histories(), {.channel = world.prefix + "channel"});
    for (int i = 0; i < again; ++i) {
      const std::string text = "again " + std::to_string(i);
      crowd.ledger.acknowledged(other.say(text, "chat/a"), text);
    }
  }
  redis.primary.kill();
  redis.way.lead_to(redis.copy);
  say_surely(world, one, "four");
  crowd.come(away, one);
  crowd.arrive();
  say_surely(world, one, "end");
  crowd.settle("end");
  check_all_were_told(crowd);
}

TEST_CASE("a subscriber that Redis cuts off in a burst is repaired by one read per room",
          "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Proxy way(world.context, server);
  Replica one(world, histories(), {.url = way.url()});
  Replica two(world, histories());
  one.start();
  two.start();
  std::vector<std::unique_ptr<Crowd>> rooms;
  for (const char* room : {"chat/a", "chat/b", "chat/c"}) {
    rooms.push_back(std::make_unique<Crowd>(world, room));
    for (int i = 0; i < 3; ++i) rooms.back()->come(rooms.back()->add(), one);
    for (const auto& member : rooms.back()->all) {
      world.until([&] { return rooms.back()->is_there(*member); });
    }
  }
  const auto calls = [&] {
    const std::string text = server.ask({"INFO", "commandstats"}).text;
    const std::size_t at = text.find("cmdstat_hmget:calls=");
    return at == std::string::npos ? 0 : std::stoi(text.substr(at + 20));
  };
  way.hold(Link::subscriber, Way::down);
  const int before = calls();
  constexpr int count = 20;
  for (int n = 0; n < count; ++n) {
    for (const auto& room : rooms) two.say(std::to_string(n), room->room);
  }
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  way.lose();
  for (const auto& room : rooms) room->settle(std::to_string(count - 1));
  const int reads = calls() - before - count * static_cast<int>(rooms.size());
  CHECK(reads == static_cast<int>(rooms.size()));
  for (const auto& room : rooms) {
    for (const auto& member : room->all) {
      CHECK(member->client.lost == 0);
      CHECK(member->client.payloads.size() == count);
      CHECK_FALSE(member->ws->close_code);
    }
  }
}

TEST_CASE("a client that comes back gets each message once, whichever step is late", "[redis]") {
  struct Late {
    Link link;
    Way way;
    const char* needle;
  };
  const Late late =
      GENERATE(Late{Link::subscriber, Way::down, "subscribe\r\n"}, Late{Link::history, Way::up, ""},
               Late{Link::history, Way::down, ""}, Late{Link::subscriber, Way::down, "live one"},
               Late{Link::subscriber, Way::down, "live two"});
  const Routing routing = GENERATE(Routing::shared_channel, Routing::per_room);
  const int before_release = GENERATE(0, 1, 2);
  RedisServer server;
  RedisWorld world(server);
  Proxy way(world.context, server);
  Replica one(world, histories(), {.url = way.url(), .routing = routing});
  Replica two(world, histories(), {.routing = routing});
  one.start();
  two.start();
  Crowd crowd(world);
  Crowd::One& member = crowd.add();
  Crowd::One& fresh = crowd.add();
  crowd.come(member, two);
  crowd.arrive();
  say_surely(world, two, "seen");
  crowd.settle("seen");
  crowd.go(member);
  say_surely(world, two, "missed");

  way.hold(late.link, late.way, late.needle);
  crowd.come(member, one);
  crowd.come(fresh, one);
  run_ready(world.context);
  const auto say = [&](int i, const char* text) {
    say_surely(world, two, text);
    if (before_release == i) way.release();
  };
  if (before_release == 0) way.release();
  say(1, "live one");
  say(2, "live two");
  way.release();
  world.until([&] { return crowd.is_there(member) && crowd.is_there(fresh); });
  say_surely(world, two, "end");
  crowd.settle("end");
  CHECK(member.client.recovered == 1);
  CHECK(member.client.payloads == Strings{"seen", "missed", "live one", "live two", "end"});
}

}  // namespace roost
