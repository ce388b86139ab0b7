// SPDX-License-Identifier: MIT
// Histories in a Redis that refuses, forgets, evicts, is demoted or does not answer.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"
#include "redis/history_world.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace test;
using Link = Proxy::Link;
using Way = Proxy::Way;

struct Keys {
  explicit Keys(const RedisWorld& world, std::string_view room = "chat/a")
      : meta(world.prefix + "channel:meta:" + std::string(room)),
        log(world.prefix + "channel:log:" + std::string(room)) {}
  const std::string meta;
  const std::string log;
};

long long length(const RedisServer& server, const std::string& key) {
  return server.ask({"LLEN", key}).integer;
}
bool exists(const RedisServer& server, const std::string& key) {
  return server.ask({"EXISTS", key}).integer == 1;
}

/// A user that may do what the guide says, and no more.
const std::vector<std::string> allowed_commands = {
    "+publish", "+subscribe", "+unsubscribe", "+role",   "+evalsha", "+script|load", "+hmget",
    "+hset",    "+rpush",     "+lpop",        "+lrange", "+llen",    "+pexpire",     "+del"};

std::string url_of_user(const RedisServer& server, const std::string& prefix,
                        std::string_view without = "") {
  std::vector<std::string> words = {"ACL",
                                    "SETUSER",
                                    "chat",
                                    "reset",
                                    "on",
                                    ">secret",
                                    "resetchannels",
                                    "-@all",
                                    "~" + prefix + "channel:meta:*",
                                    "~" + prefix + "channel:log:*",
                                    "&" + prefix + "channel*"};
  for (const std::string& command : allowed_commands) {
    if (command != without) words.push_back(command);
  }
  std::vector<std::string> line = {"redis-cli", "-s", server.socket()};
  line.insert(line.end(), words.begin(), words.end());
  REQUIRE(output_of(line) == "OK\n");
  return "unix://chat:secret@" + server.socket();
}

}  // namespace

TEST_CASE("the permissions that the guide names suffice for a history", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  const Routing routing = GENERATE(Routing::shared_channel, Routing::per_room);
  Replica one(world, histories({.rooms = "*", .max_messages = 2}),
              {.url = url_of_user(server, world.prefix), .routing = routing});
  one.start();
  const auto alice = one.come("alice", "r");
  for (const char* text : {"one", "two", "three"}) CHECK(one.say(text, "r").at);
  world.until([&] { return alice->texts.size() == 4; });
  world.run(one.cluster.forget("r"));
  world.until([&] { return alice->texts.size() == 5; });
  server.ask({"DEL", Keys(world, "r").meta});
  CHECK(one.say("four", "r").at);
  world.until([&] { return alice->texts.size() == 6; });
  CHECK(shown(alice->texts).back() == "r lost=epoch");
  CHECK(world.log.lines().empty());
}

TEST_CASE("start fails where a permission of the scripts is missing, and nothing is stored",
          "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  for (const std::string& missing : allowed_commands) {
    // Without a role roost goes on; without a subscription it does not start, but may record.
    const bool is_no_script = missing == "+role" || contains(missing, "subscribe");
    if (is_no_script) continue;
    INFO(missing);
    Replica one(world, histories(), {.url = url_of_user(server, world.prefix, missing)});
    CHECK(error_of([&] { one.start(); }) == errc::backplane_unavailable);
    const auto saying = one.begin_to_say("one", "chat/a");
    run_ready(world.context);
    world.run(one.backplane->stop());
    world.until([&] { return saying->is_done(); });
    CHECK(saying->take().error == errc::backplane_unavailable);
    CHECK_FALSE(exists(server, Keys(world).meta));
    CHECK_FALSE(exists(server, Keys(world).log));
  }
  // Once it may, it starts.
  Replica one(world, histories(), {.url = url_of_user(server, world.prefix)});
  one.start();
}

TEST_CASE("a start that failed may be tried again", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  server.kill();
  CHECK(error_of([&] { one.start(); }) == errc::backplane_unavailable);
  server.start();
  one.start();
  CHECK(one.say("one", "chat/a").at);
}

TEST_CASE("a Redis without memory records nothing, and says so", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  one.start();
  const auto alice = one.come("alice", "chat/a");
  const std::string first = one.say("one", "chat/a").at.value();
  server.ask({"CONFIG", "SET", "maxmemory", "1"});
  CHECK(one.say("two", "chat/a").error == errc::backplane_unavailable);
  CHECK(one.say("two", "chat/new").error == errc::backplane_unavailable);
  CHECK(length(server, Keys(world).log) == 1);
  CHECK_FALSE(exists(server, Keys(world, "chat/new").log));
  CHECK(world.log.count("redis_history_refused") > 0);
  // Messages that are there can be read, also by a connection that is made meanwhile.
  server.ask({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  world.until([&] { return world.log.count("redis_lost") >= 2; });
  world.run(one.manager.disconnect("alice"));
  const auto again = one.come("alice", "chat/a", "", 5);
  CHECK(shown(again->texts) == Strings{"chat/a joined", "chat/a: one"});
  server.ask({"CONFIG", "SET", "maxmemory", "0"});
  CHECK(one.say("three", "chat/a").at);
  world.until([&] { return again->texts.size() == 3; });
  CHECK(shown(again->texts).back() == "chat/a: three");
}

TEST_CASE("clients are told when Redis has evicted a history", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, {.rules = {{.rooms = "chat/*"}}, .max_cached_bytes = 0});
  one.start();
  const auto alice = one.come("alice", "chat/a");
  const std::string first = one.say("one", "chat/a").at.value();
  const std::string second = one.say("two", "chat/a").at.value();
  const Keys keys(world);
  CHECK(server.ask({"PTTL", keys.log}).integer > 200'000);
  CHECK(server.ask({"PTTL", keys.meta}).integer > 86'000'000);
  SECTION("its messages: a position at the end is valid, others are not") {
    server.ask({"DEL", keys.log});
    const auto bob = one.come("bob", "chat/a", "chat/a:" + second);
    CHECK(shown(bob->texts) == Strings{"chat/a joined recovered"});
    const auto carol = one.come("carol", "chat/a", "chat/a:" + first);
    CHECK(shown(carol->texts) == Strings{"chat/a joined lost=gone"});
    CHECK(one.say("three", "chat/a").at);
    world.until([&] { return alice->texts.size() == 4 && carol->texts.size() == 2; });
    CHECK(shown(alice->texts).back() == "chat/a: three");
  }
  SECTION("its position: the log begins anew") {
    server.ask({"DEL", keys.meta});
    const auto bob = one.come("bob", "chat/a", "chat/a:" + first);
    world.until([&] { return alice->texts.size() == 4; });
    CHECK(shown(alice->texts).back() == "chat/a lost=epoch");
    CHECK(shown(bob->texts).front() == "chat/a joined lost=epoch");
    CHECK(length(server, keys.log) == 0);
    CHECK(one.say("three", "chat/a").at);
    world.until([&] { return alice->texts.size() == 5; });
    CHECK(length(server, keys.log) == 1);
  }
}

TEST_CASE("once Redis is back a start succeeds, also if a message waits since the outage",
          "[redis]") {
  RedisServer server;
  testing::ManualClock clock;
  RedisWorld world(server);
  Replica one(world, histories(), {.clock = &clock});
  server.kill();
  const auto saying = one.begin_to_say("one", "chat/a");
  world.until([&] { return world.log.count("redis_lost") == 1; });
  const bool has_failed = GENERATE(false, true);  // a start before this one
  CAPTURE(has_failed);
  if (has_failed) CHECK_THROWS_AS(one.start(), Error);
  CHECK_FALSE(saying->is_done());
  server.start();
  const auto starting =
      detail::Child<void>::start(world.context.get_executor(), one.backplane->start());
  world.until(
      [&] { return starting->is_done() || one.backplane->state() == RedisState::subscribed; });
  run_ready(world.context);
  clock.advance(10ms);  // the next attempt
  world.until([&] { return starting->is_done() && saying->is_done(); });
  CHECK_NOTHROW(starting->take());
  CHECK(saying->take().at);
}

TEST_CASE("members of a quiet room keep its position alive in Redis", "[redis]") {
  RedisServer server;
  testing::ManualClock clock;
  RedisWorld world(server);
  const bool is_empty = GENERATE(false, true);  // nothing was ever said there
  const bool is_short = GENERATE(false, true);  // shorter than the time between two looks
  CAPTURE(is_empty, is_short);
  const auto max_age = is_short ? 2s : 300s;
  const auto position_age = is_short ? 3s : 3'600s;
  Replica one(world,
              {.rules = {{.rooms = "chat/*", .max_age = max_age}}, .position_age = position_age},
              {.clock = &clock});
  one.start();
  const auto alice = one.come("alice", "chat/a");
  if (!is_empty) CHECK(one.say("one", "chat/a").at);
  const Clock::duration stays = is_short ? 30s : is_empty ? 300s : 3'600s;
  const auto stays_ms = std::chrono::duration_cast<std::chrono::milliseconds>(stays).count();
  const Keys keys(world);
  const auto ttl = [&] { return server.ask({"PTTL", keys.meta}).integer; };
  CHECK(ttl() > stays_ms - 25'000);
  CHECK(ttl() <= stays_ms);
  // As if half of the time had passed in Redis too.
  server.ask({"PEXPIRE", keys.meta, "25000"});
  clock.advance(stays / 2 + 5s);
  run_ready(world.context);
  world.until([&] { return ttl() > std::max(25'000LL, stays_ms - 25'000LL); });
}

TEST_CASE("a key of another kind is refused until it is gone, and the room goes on then",
          "[redis]") {
  RedisServer server;
  testing::ManualClock clock;
  RedisWorld world(server);
  Replica one(world, histories(), {.clock = &clock});
  const Keys keys(world);
  server.ask({"SET", keys.meta, "something"});
  one.start();
  const auto alice = one.come("alice", "chat/a");
  CHECK(shown(alice->texts) == Strings{"chat/a joined lost=unavailable"});
  CHECK(one.say("one", "chat/a").error == errc::backplane_unavailable);
  CHECK_FALSE(exists(server, keys.log));
  server.ask({"DEL", keys.meta});
  clock.advance(5s);
  run_ready(world.context);
  world.until([&] { return exists(server, keys.meta); });
  CHECK(one.say("two", "chat/a").at);
  world.until([&] { return alice->texts.size() == 2; });
  CHECK(shown(alice->texts).back() == "chat/a: two");
}

TEST_CASE("numbers up to 2^53 are counted, then a new epoch begins", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  one.start();
  const auto alice = one.come("alice", "chat/a");
  one.say("one", "chat/a");
  world.until([&] { return alice->texts.size() == 2; });
  world.run(one.manager.disconnect("alice"));
  run_ready(world.context);
  server.ask({"HSET", Keys(world).meta, "n", "9007199254740989"});
  const auto bob = one.come("bob", "chat/a");
  CHECK(contains(one.say("two", "chat/a").at.value(), ".9007199254740990."));
  CHECK(contains(one.say("three", "chat/a").at.value(), ".9007199254740991."));
  CHECK(contains(one.say("four", "chat/a").at.value(), ".1."));
  world.until([&] { return bob->texts.size() == 4; });
  CHECK(shown(bob->texts) ==
        Strings{"chat/a joined", "chat/a: two", "chat/a: three", "chat/a lost=epoch"});
  CHECK(length(server, Keys(world).log) == 1);
}

TEST_CASE("a room may have any name", "[redis]") {
  RedisWorld world;
  const Routing routing = GENERATE(Routing::shared_channel, Routing::per_room);
  const std::string room =
      GENERATE(as<std::string>(), "a,b:c%{d}\"\\", "\xC3\xA4 \xF0\x9F\x98\x80", "*");
  Replica one(world, histories({.rooms = "*"}), {.routing = routing});
  one.start();
  const auto alice = one.come("alice", room);
  one.say("one", room);
  world.until([&] { return alice->texts.size() == 2; });
  world.run(one.manager.disconnect("alice"));
  const std::string token = alice->texts[1].substr(0, alice->texts[1].find('\n'));
  one.say("two", room);
  const auto again = one.come("alice", room, token);
  world.until([&] { return again->texts.size() == 2; });
  CHECK(contains(again->texts[0], " joined recovered"));
  CHECK(contains(again->texts[1], "\ntwo"));
  world.run(one.cluster.forget(room));
  world.until([&] { return again->texts.size() == 3; });
  CHECK(contains(again->texts[2], " lost=epoch"));
}

TEST_CASE("an answer that is cut off leaves a message once or not at all in the log", "[redis]") {
  RedisServer server;
  std::size_t cut = 0;
  bool was_cut = true;
  for (; was_cut; ++cut) {
    INFO(cut);
    RedisWorld world(server);
    Proxy way(world.context, server);
    Replica one(world, histories(), {.url = way.url()});
    one.start();
    CHECK(one.say("one", "chat/a").at);
    way.cut_after(Link::history, Way::down, cut);
    const Published published = one.say("two", "chat/a");
    was_cut = way.has_cut();
    CHECK(published.error ==
          (was_cut ? make_error_code(errc::outcome_unknown) : boost::system::error_code()));
    CHECK(published.at.has_value() != was_cut);
    way.cut_no_more();
    // It is not sent again.
    CHECK(one.say("three", "chat/a").at);
    CHECK(length(server, Keys(world).log) == 3);
  }
  CHECK(cut > 40);
}

TEST_CASE("a message that is cut off on its way to Redis is recorded once or not at all",
          "[redis]") {
  RedisServer server;
  bool was_cut = true;
  for (std::size_t cut = 0; was_cut; cut += 13) {
    INFO(cut);
    RedisWorld world(server);
    Proxy way(world.context, server);
    Replica one(world, histories(), {.url = way.url()});
    one.start();
    CHECK(one.say("one", "chat/a").at);
    way.cut_after(Link::history, Way::up, cut);
    const Published published = one.say("two", "chat/a");
    was_cut = way.has_cut();
    CHECK(published.at.has_value() != was_cut);
    way.cut_no_more();
    CHECK(one.say("three", "chat/a").at);
    CHECK(length(server, Keys(world).log) == (was_cut ? 2 : 3));
  }
}

TEST_CASE("messages that Redis did not run keep their order", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  one.start();
  const auto alice = one.come("alice", "chat/a");
  server.ask({"SCRIPT", "FLUSH"});
  std::vector<std::shared_ptr<detail::Child<Published>>> said;
  Strings expected = {"chat/a joined"};
  for (int n = 0; n < 600; ++n) {  // more than the window
    said.push_back(one.begin_to_say(std::to_string(n), "chat/a"));
    expected.push_back("chat/a: " + std::to_string(n));
  }
  world.until([&] { return alice->texts.size() == 601; });
  CHECK(shown(alice->texts) == expected);
  for (const auto& saying : said) CHECK(saying->take().at);
}

TEST_CASE("scripts that may not be loaded any more end the connection, and messages wait",
          "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories(), {.url = url_of_user(server, world.prefix)});
  one.start();
  CHECK(one.say("one", "chat/a").at);
  server.ask({"ACL", "SETUSER", "chat", "-script|load"});
  server.ask({"SCRIPT", "FLUSH"});
  const auto saying = one.begin_to_say("two", "chat/a");
  world.until([&] { return world.log.count("redis_lost") == 1; });
  CHECK(contains(world.log.last("redis_lost"), "SCRIPT LOAD"));
  CHECK_FALSE(saying->is_done());
  server.ask({"ACL", "SETUSER", "chat", "+script|load"});
  world.until([&] { return saying->is_done(); });
  CHECK(saying->take().at);
  CHECK(length(server, Keys(world).log) == 2);
}

TEST_CASE("a message that may not be published any more is recorded all the same", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories(), {.url = url_of_user(server, world.prefix)});
  one.start();
  server.ask({"ACL", "SETUSER", "chat", "-publish"});
  const Published published = one.say("one", "chat/a");
  CHECK(published.at);
  CHECK_FALSE(published.receivers);
  CHECK(length(server, Keys(world).log) == 1);
}

TEST_CASE("a recorded message waits for Redis until it is too old, and its outcome is told",
          "[redis]") {
  RedisServer server;
  testing::ManualClock clock;
  RedisWorld world(server);
  Replica one(world, histories(), {.clock = &clock});
  one.start();
  server.kill();
  world.until([&] { return world.log.count("redis_lost") == 3; });
  const auto saying = one.begin_to_say("one", "chat/a");
  const auto forgetting =
      detail::Child<void>::start(world.context.get_executor(), one.cluster.forget("chat/a"));
  run_ready(world.context);
  for (int i = 0; i < 29; ++i) {
    clock.advance(1s);
    run_ready(world.context);
  }
  CHECK_FALSE(saying->is_done());
  clock.advance(1s);
  world.until([&] { return saying->is_done() && forgetting->is_done(); });
  CHECK(saying->take().error == errc::backplane_unavailable);
  CHECK(error_of([&] { forgetting->take(); }) == errc::backplane_unavailable);
}

TEST_CASE("a message that is not answered is unknown when it is too old", "[redis]") {
  RedisServer server;
  testing::ManualClock clock;
  RedisWorld world(server);
  Proxy way(world.context, server);
  Replica one(world, histories(),
              {.url = way.url(), .command_timeout = 60s, .max_spool_age = 10s, .clock = &clock});
  one.start();
  way.hold(Link::history, Way::down);
  const auto saying = one.begin_to_say("one", "chat/a");
  world.until([&] { return way.holds(); });
  clock.advance(9s);
  run_ready(world.context);
  CHECK_FALSE(saying->is_done());
  clock.advance(1s);
  world.until([&] { return saying->is_done(); });
  CHECK(saying->take().error == errc::outcome_unknown);
  CHECK(length(server, Keys(world).log) == 1);
  way.release();
  CHECK(one.say("two", "chat/a").at);
}

TEST_CASE("messages that wait for Redis are bounded by max_spool_bytes", "[redis]") {
  RedisServer server;
  testing::ManualClock clock;
  RedisWorld world(server);
  Replica one(world, histories(),
              {.max_message_bytes = 6'300'000, .max_spool_bytes = 6'400'000, .clock = &clock});
  one.start();
  server.kill();
  world.until([&] { return world.log.count("redis_lost") == 3; });
  std::vector<std::shared_ptr<detail::Child<Published>>> said;
  const std::string text(200'000, 'x');
  for (int n = 0; n < 40; ++n) said.push_back(one.begin_to_say(text, "chat/a"));
  run_ready(world.context);
  const auto full = std::count_if(said.begin(), said.end(), [](const auto& saying) {
    return saying->is_done() && saying->take().error == errc::backplane_full;
  });
  CHECK(full == 9);
  clock.advance(30s);
  run_ready(world.context);
}

TEST_CASE("a primary that has become a replica is left within two beats", "[redis]") {
  RedisServer server;
  testing::ManualClock clock;
  RedisWorld world(server);
  // It may not ask for the role: only the beat can tell.
  Replica one(world, histories(),
              {.url = url_of_user(server, world.prefix, "+role"), .clock = &clock});
  one.start();
  const auto alice = one.come("alice", "chat/a");
  server.ask({"REPLICAOF", "127.0.0.1", "1"});
  bool is_left = false;
  for (int i = 0; i < 10 && !is_left; ++i) {
    clock.advance(1s);
    run_ready(world.context);
    server.ask({"PING"});
    run_ready(world.context);
    is_left = one.backplane->state() == RedisState::down;
  }
  world.until([&] { return one.backplane->state() == RedisState::down; });
  server.ask({"REPLICAOF", "NO", "ONE"});
  const auto saying = one.begin_to_say("one", "chat/a");
  world.until([&] {
    clock.advance(10ms);
    return saying->is_done();
  });
  CHECK(saying->take().at);
}

TEST_CASE("messages that a replica of Redis refuses wait for a primary, and all links are dropped",
          "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  one.start();
  const auto alice = one.come("alice", "chat/a");
  server.ask({"REPLICAOF", "127.0.0.1", "1"});
  std::vector<std::shared_ptr<detail::Child<Published>>> said;
  for (int n = 0; n < 5; ++n) said.push_back(one.begin_to_say(std::to_string(n), "chat/a"));
  world.until([&] { return one.backplane->state() == RedisState::down; });
  const auto& lines = world.log.lines();
  CHECK(std::any_of(lines.begin(), lines.end(), [](const Log::Line& line) {
    return line.event == "redis_lost" && contains(line.text, "READONLY");
  }));
  server.ask({"REPLICAOF", "NO", "ONE"});
  world.until([&] { return alice->texts.size() == 6; });
  CHECK(shown(alice->texts) ==
        Strings{"chat/a joined", "chat/a: 0", "chat/a: 1", "chat/a: 2", "chat/a: 3", "chat/a: 4"});
  for (const auto& saying : said) {
    world.until([&] { return saying->is_done(); });
    CHECK(saying->take().at);
  }
}

TEST_CASE("members of a backplane that is stopped and started get what they missed", "[redis]") {
  RedisWorld world;
  Replica one(world, histories());
  Replica two(world, histories());
  one.start();
  two.start();
  const auto alice = one.come("alice", "chat/a");
  for (int n = 0; n < 50; ++n) two.say(std::to_string(n), "chat/a");
  world.run(one.backplane->stop());
  two.say("missed", "chat/a");
  one.start();
  two.say("last", "chat/a");
  world.until([&] { return shown(alice->texts).back() == "chat/a: last"; });
  CHECK(alice->texts.size() == 53);
  CHECK(std::set<std::string>(alice->texts.begin(), alice->texts.end()).size() == 53);
}

TEST_CASE("messages on their way are recorded before a backplane stops", "[redis]") {
  testing::ManualClock clock;  // a stop has all the time that it needs
  RedisWorld world;
  Replica one(world, histories(), {.clock = &clock});
  one.start();
  std::vector<std::shared_ptr<detail::Child<Published>>> said;
  for (int n = 0; n < 400; ++n) said.push_back(one.begin_to_say(std::to_string(n), "chat/a"));
  world.run(one.backplane->stop());
  std::size_t recorded = 0;
  for (const auto& saying : said) {
    world.until([&] { return saying->is_done(); });
    recorded += saying->take().at ? 1 : 0;
  }
  CHECK(recorded == 400);
}

TEST_CASE("handlers of a backplane get recorded messages of rooms without members here",
          "[redis]") {
  RedisWorld world;
  Replica one(world, histories());
  Replica two(world, histories());
  Recorder got;
  two.backplane->on(got.handler());
  one.start();
  two.start();
  one.say("one", "chat/a");
  world.until([&] { return got.got().size() == 1; });
  CHECK(got.got()[0]["payload"] == "one");
  CHECK_FALSE(got.got()[0].contains("at"));
}

TEST_CASE("several managers of one backplane have a history together", "[redis]") {
  RedisWorld world;
  auto one = std::make_unique<Replica>(world, histories());
  one->start();
  ConnectionManager<FrameFake> other(world.context.get_executor());
  std::optional<Cluster> cluster = bind_manager(*one->backplane, other);
  const auto alice = one->come("alice", "chat/a");
  const auto bob = std::make_shared<FrameFake>();
  world.run(other.connect(bob, {.connection_id = "bob", .rooms = "chat/a", .resume = ""}));
  one->say("one", "chat/a");
  world.until([&] { return alice->texts.size() == 2 && bob->texts.size() == 2; });
  CHECK(alice->texts[1] == bob->texts[1]);
  world.run(one->manager.disconnect("alice"));
  one->say("two", "chat/a");
  world.until([&] { return bob->texts.size() == 3; });
  SECTION("the other is unbound first") { cluster.reset(); }
  SECTION("the backplane goes first") {}
  one.reset();
  world.run(other.close_all());
}

TEST_CASE("a room that is left while it is asked about is forgotten", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Proxy way(world.context, server);
  Replica one(world, histories(), {.url = way.url()});
  one.start();
  const std::string first = one.say("one", "chat/a").at.value();
  way.hold(Link::history, Way::down);
  auto ws = std::make_shared<FrameFake>();
  const std::string token = "chat/a:" + first;
  const auto coming = detail::Child<ConnectionManager<FrameFake>::ConnectionPtr>::start(
      world.context.get_executor(),
      one.manager.connect(ws, {.connection_id = "a", .rooms = "chat/a", .resume = token}));
  world.until([&] { return way.holds(); });
  ws->peer_closes(1001);
  run_ready(world.context);
  auto again = std::make_shared<FrameFake>();
  const auto coming_back = detail::Child<ConnectionManager<FrameFake>::ConnectionPtr>::start(
      world.context.get_executor(),
      one.manager.connect(again, {.connection_id = "b", .rooms = "chat/a", .resume = token}));
  run_ready(world.context);
  way.release();
  world.until([&] { return coming->is_done() && coming_back->is_done(); });
  CHECK(shown(again->texts) == Strings{"chat/a joined recovered"});
}

TEST_CASE("rooms are asked about at a pace, those where somebody talks first", "[redis]") {
  RedisServer server;
  testing::ManualClock clock;
  RedisWorld world(server);
  Replica one(world, histories({.rooms = "*"}), {.clock = &clock});
  Replica two(world, histories({.rooms = "*"}));
  one.start();
  two.start();
  std::vector<std::shared_ptr<FrameFake>> members;
  constexpr int count = 1'000;
  for (int n = 0; n < count; ++n) {
    auto ws = std::make_shared<FrameFake>();
    const std::string name = "room " + std::to_string(n);
    world.run(one.manager.connect(ws, {.connection_id = name, .rooms = name}));
    members.push_back(std::move(ws));
    clock.advance(1ms);
  }
  run_ready(world.context);
  const auto reads = [&] {
    const std::string text = server.ask({"INFO", "commandstats"}).text;
    const std::size_t at = text.find("cmdstat_hmget:calls=");
    return std::stoi(text.substr(at + 20));
  };
  world.until([&] { return reads() >= count; });
  clock.advance(20s);
  const int before = reads();
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  world.until([&] {
    clock.advance(20us);
    return reads() > before;
  });
  for (int i = 0; i < 20; ++i) run_ready(world.context);
  CHECK(reads() - before < 400);  // the clock has nearly stood still
  two.say("here", "room 777");
  world.until([&] {
    clock.advance(20us);
    return members[777]->texts.size() == 1;
  });
  CHECK(reads() - before < count / 2);
  world.until([&] {
    clock.advance(1ms);
    return reads() - before >= count;
  });
}

TEST_CASE("a replica in the manner of hawkapi-websockets delivers recorded messages", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  one.start();
  const auto alice = one.come("alice", "chat/a");
  Pipe pipe;
  const Process replica({"/usr/bin/python3", ROOST_TESTS_FOLDER "/redis/replica.py",
                         server.socket(), world.prefix + "channel"},
                        pipe.writer());
  pipe.close_writer();
  pipe.read_until("ready\n");
  const std::string first = one.say("one", "chat/a").at.value();
  CHECK(contains(pipe.read_until("\n"), "text chat/a \"one\""));
  world.until([&] { return alice->texts.size() == 3; });
  CHECK(shown(alice->texts) == Strings{"chat/a joined", "chat/a: one", "chat/a: python: one"});
  CHECK(alice->texts[2] == "chat/a\npython: one");
  // News of a history are nothing that it sees.
  world.run(one.cluster.forget("chat/a"));
  one.say("two", "chat/a");
  CHECK(contains(pipe.read_until("\n"), "text chat/a \"two\""));
  // A member that learns of the new epoch late is told `lost` at a position behind the message,
  // maybe after what the other replica says.
  world.until([&] {
    const Strings texts = shown(alice->texts);
    return std::ranges::count(texts, "chat/a: python: two") == 1;
  });
}

}  // namespace roost
