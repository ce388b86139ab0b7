// SPDX-License-Identifier: MIT
// The logs as the store keeps them.
#include <roost/backplane/history/log_store.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"

namespace roost::detail {
namespace {

using namespace std::chrono_literals;

struct Shop {
  explicit Shop(HistoryRule rule = {.rooms = "*"}, std::size_t max_rooms = 100'000)
      : store({.rules = {std::move(rule)}, .position_age = 24h, .max_rooms = max_rooms}) {}

  auto record(int message, std::uint32_t bytes = 10, const std::string& room = "lobby") {
    return store.record(room, {.mark = Mark::random(random), .bytes = bytes, .payload = message},
                        Epoch::random(random), now);
  }
  auto read(std::optional<std::uint64_t> since, const std::string& room = "lobby") {
    return store.read(room, since, Epoch::random(random), Mark::random(random), now);
  }
  Position fork(const Epoch& expected) {
    return store.fork("lobby", expected, Epoch::random(random), Mark::random(random), now);
  }
  std::vector<int> kept() {
    std::vector<int> messages;
    for (const auto& entry : read(0).entries) messages.push_back(entry.payload);
    return messages;
  }

  std::mt19937_64 random{1};
  Clock::time_point now{1h};
  LogStore<int> store;
};

TEST_CASE("messages are numbered from 1 and name the one before", "[history]") {
  Shop shop;
  const auto first = shop.record(1);
  const auto second = shop.record(2);
  CHECK(first.at.number == 1);
  CHECK(second.at == Position{first.at.epoch, 2, second.entry.mark});
  CHECK(second.entry.before == first.at.mark);
  const auto answer = shop.read(1);
  CHECK(answer.top == second.at);
  REQUIRE(answer.entries.size() == 1);
  CHECK(answer.entries[0].payload == 2);
  CHECK(shop.read(0).is_sound());
  CHECK(shop.read({}).entries.empty());
  CHECK(shop.read(2).entries.empty());
  CHECK(shop.read(Position::max_number).entries.empty());
}

TEST_CASE("a log begins with the first read, at a mark of its own", "[history]") {
  Shop shop;
  const Position begin = shop.read({}).top;
  CHECK(begin.number == 0);
  CHECK(begin.mark != Mark{});
  CHECK(shop.read({}).top == begin);
  CHECK(shop.record(1).entry.before == begin.mark);
}

TEST_CASE("a long answer comes in parts, oldest first", "[history]") {
  Shop shop;
  for (int i = 1; i <= 100; ++i) shop.record(i);
  const auto part = shop.read(10);
  CHECK(part.entries.size() == LogStore<int>::max_read);
  CHECK(part.entries.front().number == 11);
  CHECK(part.top.number == 100);
  CHECK(shop.read(part.entries.back().number).entries.back().number == 100);
}

TEST_CASE("a log keeps no more than its rule allows", "[history]") {
  SECTION("by count") {
    Shop shop({.rooms = "*", .max_messages = 3});
    for (int i = 1; i <= 5; ++i) shop.record(i);
    CHECK(shop.kept() == std::vector{3, 4, 5});
  }
  SECTION("by bytes") {
    Shop shop({.rooms = "*", .max_bytes = 4096});
    for (int i = 1; i <= 5; ++i) shop.record(i, 1500);
    CHECK(shop.kept() == std::vector{4, 5});
    shop.record(6, 4096);
    CHECK(shop.kept() == std::vector{6});
  }
  SECTION("by age, when something is recorded") {
    Shop shop({.rooms = "*", .max_age = 60s});
    shop.record(1);
    shop.now += 40s;
    shop.record(2);
    shop.now += 40s;
    CHECK(shop.kept() == std::vector{1, 2});  // age bounds memory and nothing else
    shop.record(3);
    CHECK(shop.kept() == std::vector{2, 3});
  }
  SECTION("so much at once and no more") {
    Shop shop({.rooms = "*", .max_messages = 10'000, .max_bytes = 4096});
    for (int i = 1; i <= 1000; ++i) shop.record(i, 1);
    shop.record(1001, 4000);
    CHECK(shop.read(0).entries.front().number == 257);
  }
}

TEST_CASE("a position outlives the messages", "[history]") {
  Shop shop({.rooms = "*", .max_age = 60s});
  const Position last = shop.record(1).at;
  shop.now += 61s;
  CHECK(shop.kept().empty());
  CHECK(shop.read({}).top == last);
  shop.now += 24h - 1s;
  CHECK(shop.read({}).top == last);  // each read is a new beginning
  shop.now += 24h;
  CHECK(shop.read({}).top.epoch != last.epoch);
}

TEST_CASE("a log without messages is soon forgotten", "[history]") {
  Shop shop({.rooms = "*", .max_age = 60s});
  const Position begin = shop.read({}).top;
  shop.now += 59s;
  CHECK(shop.read({}).top == begin);
  shop.now += 60s;
  CHECK(shop.read({}).top.epoch != begin.epoch);
}

TEST_CASE("a fork gives another epoch to a log that has the expected one", "[history]") {
  Shop shop;
  const Position before = shop.record(1).at;
  const Position forked = shop.fork(before.epoch);
  CHECK(forked.epoch != before.epoch);
  CHECK(forked.number == 1);
  CHECK(forked.mark == before.mark);
  CHECK(shop.fork(before.epoch) == forked);
  CHECK(shop.kept() == std::vector{1});
  CHECK(shop.record(2).entry.before == before.mark);
}

TEST_CASE("a log that is forgotten is gone, and another epoch begins", "[history]") {
  Shop shop;
  const Position before = shop.record(1).at;
  const Position after =
      shop.store.forget("lobby", Epoch::random(shop.random), Mark::random(shop.random), shop.now);
  CHECK(after.epoch != before.epoch);
  CHECK(shop.kept().empty());
  CHECK(shop.record(2).at.number == 2);
}

TEST_CASE("entries without an epoch belong to nothing", "[history]") {
  std::mt19937_64 random(1);
  const HistoryRule rule{.rooms = "*"};
  const StoredLog<int>::Limits limits{rule, 24h};
  const Clock::time_point now{1h};
  StoredLog<int> log;
  log.record({.bytes = 5, .payload = 1}, Epoch::random(random), limits, now);
  log.drop_position();
  log.record({.bytes = 7, .payload = 2}, Epoch::random(random), limits, now);
  CHECK(log.size() == 1);
  CHECK(log.bytes() == 7);
  CHECK(log.position().number == 1);
  log.drop_position();
  CHECK(log.read(0, Epoch::random(random), {}, 64, limits, now).entries.empty());
}

TEST_CASE("rooms that are over leave nothing behind", "[history]") {
  Shop shop({.rooms = "*", .max_age = 60s});
  for (int i = 0; i < 100; ++i) shop.record(i, 10, "room" + std::to_string(i));
  for (int i = 0; i < 100; ++i) shop.read({}, "empty" + std::to_string(i));
  CHECK(shop.store.rooms() == 200);
  shop.now += 61s;
  shop.store.expire(shop.now, 1000);
  CHECK(shop.store.rooms() == 100);
  shop.now += 24h;
  for (int i = 0; i < 60; ++i) shop.record(i);  // each call does some of it
  CHECK(shop.store.rooms() == 1);
}

TEST_CASE("a room with members keeps its position, and leaves nothing behind", "[history]") {
  Shop shop({.rooms = "*", .max_age = 60s});
  shop.store.enter("lobby", shop.now);
  shop.store.enter("lobby", shop.now);
  CHECK(shop.store.rooms() == 0);
  const Position begin = shop.read({}).top;
  shop.now += 100h;
  shop.store.leave("lobby", shop.now);
  CHECK(shop.read({}).top == begin);
  const Position last = shop.record(1).at;
  shop.now += 100h;
  CHECK(shop.read({}).top == last);
  CHECK(shop.kept().empty());
  shop.now += 100h;
  shop.store.leave("lobby", shop.now);
  shop.now += 24h - 1s;
  shop.store.expire(shop.now, 1);
  CHECK(shop.store.rooms() == 1);
  shop.now += 1s;
  shop.store.expire(shop.now, 1);
  CHECK(shop.store.rooms() == 0);
  shop.store.leave("lobby", shop.now);
  // A position that is too old is so for those too who come before anybody has looked.
  const Position old = shop.record(1).at;
  shop.now += 24h;
  shop.store.enter("lobby", shop.now);
  CHECK(shop.read({}).top.epoch != old.epoch);
  CHECK(shop.store.totals().messages == 0);
}

TEST_CASE("a store with max_rooms rooms drops the one that was not used for the longest time",
          "[history]") {
  Shop shop({.rooms = "*"}, 3);
  shop.store.enter("a", shop.now);
  for (const char* room : {"a", "b", "c"}) shop.record(1, 10, room);
  shop.read({}, "b");
  const auto is_there = [&](const char* room) { return shop.read(0, room).top.number == 1; };
  shop.record(1, 10, "d");
  CHECK(shop.store.totals().rooms == 3);
  CHECK(shop.store.totals().messages == 3);
  CHECK(shop.store.totals().bytes == 30);
  CHECK(is_there("a"));
  CHECK(is_there("b"));
  CHECK(is_there("d"));
  // Rooms with members go last.
  for (const char* room : {"b", "d"}) shop.store.enter(room, shop.now);
  shop.record(1, 10, "e");
  CHECK_FALSE(is_there("a"));  // which takes the place of e
  CHECK(is_there("b"));
  CHECK(is_there("d"));
  CHECK(shop.store.rooms() == 3);
  for (const char* room : {"a", "b", "d"}) shop.store.leave(room, shop.now);
  for (int i = 0; i < 10; ++i) shop.record(1, 10, "room" + std::to_string(i));
  CHECK(shop.store.rooms() == 3);
  CHECK(shop.store.totals().bytes == 30);
}

TEST_CASE("a store keeps what its rules name, and refuses those that are illegal", "[history]") {
  const HistoryOptions options{.rules = {{.rooms = "chat/*"}}};
  CHECK(find_rule(options, "chat/1"));
  CHECK_FALSE(find_rule(options, "lobby"));
  CHECK_NOTHROW(LogStore<int>(options));
  CHECK_THROWS(LogStore<int>({.rules = {{.rooms = ""}}}));
}

}  // namespace
}  // namespace roost::detail
