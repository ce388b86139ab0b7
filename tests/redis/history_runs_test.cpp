// SPDX-License-Identifier: MIT
// Messages that wait for one room are recorded by one run of the script.
#include <roost/redis/history/history_scripts.hpp>

#include <charconv>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "redis/history_world.hpp"

namespace roost {
namespace {

using namespace test;
using detail::RedisReply;

std::uint64_t runs_of_scripts(const RedisServer& server) {
  const std::string text = server.ask({"INFO", "commandstats"}).text;
  constexpr std::string_view name = "cmdstat_evalsha:calls=";
  const std::size_t at = text.find(name);
  std::uint64_t calls = 0;
  if (at == std::string::npos) return calls;
  std::from_chars(text.data() + at + name.size(), text.data() + text.size(), calls);
  return calls;
}

using Saying = std::shared_ptr<detail::Child<Published>>;

std::vector<Saying> say_together(Replica& replica, int count, const std::string& room) {
  std::vector<Saying> said;
  for (int n = 0; n < count; ++n) said.push_back(replica.begin_to_say(std::to_string(n), room));
  return said;
}

std::vector<Published> outcomes_of(RedisWorld& world, const std::vector<Saying>& said) {
  std::vector<Published> outcomes;
  for (const Saying& saying : said) {
    world.until([&] { return saying->is_done(); });
    outcomes.push_back(saying->take());
  }
  return outcomes;
}

std::string key_of(const RedisWorld& world, std::string_view kind, std::string_view room) {
  return world.prefix + "channel:" + std::string(kind) + ":" + std::string(room);
}

/// The numbers that the log of a room keeps, and that its meta has the bytes of what is kept.
Strings kept_in(const RedisWorld& world, std::string_view room) {
  const RedisReply log = world.server.ask({"LRANGE", key_of(world, "log", room), "0", "60"});
  Strings numbers;
  std::size_t bytes = 0;
  for (const RedisReply& entry : log.elements) {
    bytes += entry.text.size();
    std::string text = entry.text;
    const auto stamp = detail::cut_record_stamp(text);
    REQUIRE(stamp);
    numbers.push_back(std::to_string(stamp->at.number));
  }
  CHECK(world.server.ask({"HGET", key_of(world, "meta", room), "b"}).text == std::to_string(bytes));
  return numbers;
}

/// Records messages as another program does: runs the script, with @p more arguments at its end.
std::string run_record_script(const RedisWorld& world, std::string_view room, int count,
                              const Strings& more = {}) {
  const auto script = static_cast<std::size_t>(detail::HistoryScript::record);
  Strings words = {"redis-cli", "-s", world.server.socket(), "EVAL"};
  words.emplace_back(detail::history_script_texts[script]);
  words.insert(words.end(), {"2", key_of(world, "meta", room), key_of(world, "log", room),
                             world.prefix + "channel", "{\"n\":1}", "mark-1", "epoch--1", "3",
                             "65536", "60000", "60000"});
  for (int n = 1; n < count; ++n) words.insert(words.end(), {"{\"n\":2}", "mark-2"});
  words.insert(words.end(), more.begin(), more.end());
  return output_of(words);
}

}  // namespace

TEST_CASE("messages that wait for one room are recorded by few runs of the script", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  one.start();
  const auto alice = one.come("alice", "chat/a");
  const auto bob = one.come("bob", "chat/b");
  const std::uint64_t before = runs_of_scripts(server);
  const auto to_alice = say_together(one, 90, "chat/a");
  const auto to_bob = say_together(one, 10, "chat/b");
  const auto outcomes = outcomes_of(world, to_alice);
  outcomes_of(world, to_bob);
  CHECK(runs_of_scripts(server) - before <= 10);
  world.until([&] { return alice->texts.size() == 91 && bob->texts.size() == 11; });
  for (std::size_t n = 0; n < outcomes.size(); ++n) {
    INFO(n);
    CHECK(outcomes[n].receivers == 1);
    CHECK(alice->texts[n + 1] == "chat/a:" + outcomes[n].at.value() + "\n" + std::to_string(n));
    CHECK(contains(outcomes[n].at.value(), "." + std::to_string(n + 1) + "."));
  }
}

TEST_CASE("messages that are recorded together keep the limits of their room", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories({.rooms = "*", .max_messages = 3}));
  one.start();
  outcomes_of(world, say_together(one, 40, "a"));
  CHECK(kept_in(world, "a") == Strings{"38", "39", "40"});
  outcomes_of(world, say_together(one, 2, "a"));
  CHECK(kept_in(world, "a") == Strings{"40", "41", "42"});
  SECTION("also in a log that begins anew") {
    server.ask({"DEL", key_of(world, "meta", "a")});
    outcomes_of(world, say_together(one, 2, "a"));
    CHECK(kept_in(world, "a") == Strings{"1", "2"});
  }
  SECTION("also where the numbers end") {
    server.ask({"HSET", key_of(world, "meta", "a"), "n", "9007199254740990"});
    outcomes_of(world, say_together(one, 2, "a"));
    CHECK(kept_in(world, "a").back() == "2");
  }
}

TEST_CASE("messages that another program records together keep the limits of their room",
          "[redis]") {
  const RedisWorld world;
  const std::string answer = run_record_script(world, "a", 300);
  CHECK(contains(answer, "epoch--1\n1\n------\n"));
  CHECK(kept_in(world, "a") == Strings{"298", "299", "300"});
  // A message without a mark is not recorded.
  run_record_script(world, "a", 3, {"{\"n\":3}"});
  CHECK(kept_in(world, "a") == Strings{"301", "302", "303"});
  CHECK(world.server.ask({"HGET", key_of(world, "meta", "a"), "n"}).text == "303");
}

TEST_CASE("messages that are refused together are each told so", "[redis]") {
  RedisServer server;
  RedisWorld world(server);
  Replica one(world, histories());
  one.start();
  server.ask({"CONFIG", "SET", "maxmemory", "1"});
  for (const Published& outcome : outcomes_of(world, say_together(one, 5, "chat/a"))) {
    CHECK(outcome.error == errc::backplane_unavailable);
  }
  CHECK(server.ask({"EXISTS", key_of(world, "log", "chat/a")}).integer == 0);
}

TEST_CASE("an answer to several messages that is cut off leaves each once or not at all in the log",
          "[redis]") {
  RedisServer server;
  bool was_cut = true;
  std::size_t cuts = 0;
  for (std::size_t cut = 0; was_cut; cut += 3, ++cuts) {
    INFO(cut);
    RedisWorld world(server);
    Proxy way(world.context, server);
    Replica one(world, histories(), {.url = way.url()});
    one.start();
    way.cut_after(Proxy::Link::history, Proxy::Way::down, cut);
    const auto outcomes = outcomes_of(world, say_together(one, 4, "chat/a"));
    was_cut = way.has_cut();
    for (const Published& outcome : outcomes) {
      CHECK((outcome.at || outcome.error == errc::outcome_unknown));
    }
    CHECK(outcomes.back().at.has_value() != was_cut);
    way.cut_no_more();
    CHECK(one.say("last", "chat/a").at);  // nothing was sent again
    CHECK(kept_in(world, "chat/a").size() == 5);
  }
  CHECK(cuts > 10);
}

}  // namespace roost
