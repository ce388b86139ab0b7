// SPDX-License-Identifier: MIT
// What a replica knows of the log of a room, rule by rule.
#include <roost/backplane/history/room_log.hpp>

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace roost::detail {
namespace {

using TestLog = RoomLog<int>;
using Entry = TestLog::Entry;

Mark mark(int n, char branch = 'a') {
  std::string text = std::to_string(n);
  return *Mark::parse(std::string(5 - text.size(), '0') + text + branch);
}
Epoch epoch(char c) { return *Epoch::parse(std::string(8, c)); }
Position at(int n, char its_epoch = 'e', char branch = 'a') {
  return {epoch(its_epoch), static_cast<std::uint64_t>(n), mark(n, branch)};
}
Entry entry(int n, char branch = 'a', char before = 'a') {
  return {static_cast<std::uint64_t>(n), mark(n, branch), mark(n - 1, before), 10, n};
}
std::vector<Entry> entries(int first, int last) {
  std::vector<Entry> all;
  for (int n = first; n <= last; ++n) all.push_back(entry(n));
  return all;
}

// Tells what happened in short words.
struct Told final : TestLog::Sink {
  void dispatch(const Position& to, const Entry& message) override {
    CHECK(message.number == to.number);
    say(std::to_string(message.payload));
  }
  void lost(const Position& to, Lost why) override { say("lost@" + place(to) + name(why)); }
  void joined(std::uint64_t member, const TestLog::Joined& how) override {
    std::string text = "#" + std::to_string(member) + "@" + place(how.at);
    if (how.is_recovered) text += "recovered";
    if (how.lost) text += name(*how.lost);
    for (const Entry& message : how.replay) text += "," + std::to_string(message.payload);
    say(text);
  }
  void ask(const TestLog::Question& question) override {
    asked = question;
    say(question.fork    ? "fork"
        : question.since ? "read" + std::to_string(*question.since)
                         : "read");
  }

  static std::string place(const Position& to) {
    return std::string(1, to.epoch.chars[0]) + std::to_string(to.number);
  }
  static std::string name(Lost why) {
    return why == Lost::epoch ? "epoch" : why == Lost::gone ? "gone" : "unavailable";
  }
  void say(const std::string& text) { words += (words.empty() ? "" : " ") + text; }
  std::string heard() { return std::exchange(words, {}); }

  std::string words;
  TestLog::Question asked;
};

struct Fixture {
  explicit Fixture(std::size_t its_memory = 10'000, std::size_t bytes = 1000)
      : memory(its_memory), log(memory, bytes) {}

  // In step at @p n.
  Fixture& begin(int n) {
    log.subscribed(told);
    answer(at(n));
    told.heard();
    return *this;
  }
  void answer(const Position& top, std::vector<Entry> all = {}) {
    log.answered(told.asked.id, {top, std::move(all)}, told);
  }
  void message(int n, char branch = 'a', char before = 'a', char its_epoch = 'e') {
    log.received(epoch(its_epoch), entry(n, branch, before), told);
  }
  std::string heard() { return told.heard(); }

  HistoryMemory memory;
  Told told;
  TestLog log;
};

TEST_CASE("a room log asks once it is subscribed, and takes the first answer", "[history]") {
  Fixture room;
  CHECK_FALSE(room.log.is_in_step());
  room.log.ask(room.told);
  CHECK(room.heard().empty());
  room.log.subscribed(room.told);
  CHECK(room.heard() == "read");
  room.answer(at(5));
  CHECK(room.log.is_in_step());
  CHECK(room.log.position() == at(5));
}

TEST_CASE("a message that follows is dispatched, one that is known is dropped", "[history]") {
  Fixture room;
  room.begin(5).message(6);
  room.message(7);
  CHECK(room.heard() == "6 7");
  room.message(7);
  room.message(6);
  CHECK(room.heard().empty());
  CHECK(room.log.is_in_step());
}

TEST_CASE("a message that does not fit makes a question", "[history]") {
  Fixture room;
  room.begin(5).message(6);
  room.heard();
  SECTION("a gap") { room.message(8); }
  SECTION("another message before it") { room.message(7, 'b', 'b'); }
  SECTION("another one with the same number") { room.message(6, 'b'); }
  SECTION("another one with an older number") { room.message(5, 'b'); }
  SECTION("an older number that nothing is known of") { room.message(2); }
  SECTION("another epoch") { room.message(7, 'a', 'a', 'f'); }
  SECTION("news of another epoch") { room.log.told(epoch('f'), room.told); }
  CHECK(room.heard() == "read6");
  CHECK_FALSE(room.log.is_in_step());
}

TEST_CASE("news that are known are none", "[history]") {
  Fixture room;
  room.begin(5).log.told(epoch('e'), room.told);
  CHECK(room.log.is_in_step());
}

TEST_CASE("a message that comes after a question is held until it is answered", "[history]") {
  Fixture room;
  room.begin(5).message(7);
  room.message(8);
  room.message(9);
  CHECK(room.heard() == "read5");
  room.answer(at(8), entries(6, 8));
  CHECK(room.heard() == "6 7 8 9");
  CHECK(room.memory.used() == 40);  // what is cached
}

TEST_CASE("a message that came before a question is older than its answer", "[history]") {
  Fixture room;
  room.begin(5).message(7);  // from a branch that the store does not have any more
  room.message(6);
  room.heard();
  room.log.ask(room.told);
  room.answer(at(5));
  CHECK(room.heard() == "read5");
  CHECK(room.log.position() == at(5));
}

TEST_CASE("a held message that does not fit the answer makes another question", "[history]") {
  Fixture room;
  room.begin(5).message(7);
  room.message(9);
  room.heard();
  room.answer(at(7), entries(6, 7));
  CHECK(room.heard() == "6 7 read7");
  room.answer(at(9), entries(8, 9));
  CHECK(room.heard() == "8 9");
}

TEST_CASE("an answer counts for the question under way only", "[history]") {
  Fixture room;
  room.begin(5).message(7);
  const std::uint64_t earlier = room.told.asked.id;
  room.log.disconnected();
  room.log.answered(earlier, {at(7), entries(6, 7)}, room.told);
  room.log.subscribed(room.told);
  room.log.answered(earlier, {at(7), entries(6, 7)}, room.told);
  CHECK(room.heard() == "read5 read5");
  room.answer(at(7), entries(6, 7));
  room.answer(at(7), entries(6, 7));
  CHECK(room.heard() == "6 7");
}

TEST_CASE("too much that is held is forgotten and asked for", "[history]") {
  const bool by_room = GENERATE(true, false);
  Fixture room(by_room ? 10'000 : 20, by_room ? 20 : 10'000);
  room.begin(5).message(7);
  for (int n = 8; n <= 10; ++n) room.message(n);
  CHECK(room.memory.used() == 0);
  room.heard();
  room.answer(at(8), entries(6, 8));
  CHECK(room.heard() == "6 7 8 read8");
  room.answer(at(10), entries(9, 10));
  CHECK(room.heard() == "9 10");
  CHECK(room.log.is_in_step());
}

TEST_CASE("an answer in parts is asked for to its end", "[history]") {
  Fixture room;
  room.begin(0).message(6);
  room.message(7);
  room.heard();
  room.answer(at(6), entries(1, 3));
  CHECK(room.heard() == "read3");
  room.answer(at(7), entries(4, 6));  // there is more by now, which was held
  CHECK(room.heard() == "1 2 3 4 5 6 7");
}

TEST_CASE("a log that was trimmed between the parts of an answer has lost them", "[history]") {
  Fixture room;
  room.begin(0).message(6);
  room.heard();
  room.answer(at(6), entries(1, 2));
  room.answer(at(9), entries(5, 9));
  CHECK(room.heard() == "read2 lost@e9gone");
}

TEST_CASE("members are told what is lost", "[history]") {
  Fixture room;
  room.begin(5).log.ask(room.told);
  room.heard();
  SECTION("another epoch") {
    room.answer(at(9, 'f'));
    CHECK(room.heard() == "lost@f9epoch");
  }
  SECTION("messages that the store does not have any more") {
    room.answer(at(9), entries(8, 9));
    CHECK(room.heard() == "lost@e9gone");
  }
  SECTION("all messages") {
    room.answer(at(9));
    CHECK(room.heard() == "lost@e9gone");
  }
  SECTION("an answer that is not a log") {
    room.answer(at(8), {entry(6), entry(7, 'a', 'b'), entry(8)});
    CHECK(room.heard() == "lost@e8gone");
  }
  CHECK(room.log.is_in_step());
  CHECK(room.memory.used() == 0);
}

TEST_CASE("a log that went back is forked", "[history]") {
  Fixture room;
  room.begin(5).log.ask(room.told);
  room.heard();
  SECTION("it is shorter") { room.answer(at(4)); }
  SECTION("it ends otherwise") { room.answer(at(5, 'e', 'b')); }
  SECTION("it goes on otherwise") { room.answer(at(6, 'e', 'b'), {entry(6, 'b', 'b')}); }
  CHECK(room.heard() == "fork");
  CHECK(room.told.asked.fork == epoch('e'));
  room.log.forked(room.told.asked.id, at(7, 'f'), room.told);
  CHECK(room.heard() == "lost@f7epoch");
  CHECK(room.log.position() == at(7, 'f'));
}

TEST_CASE("a member that comes back is answered from the cache", "[history]") {
  Fixture room;
  room.begin(5);
  for (int n = 6; n <= 8; ++n) room.message(n);
  room.heard();
  room.log.resume(1, at(8), room.told);
  room.log.resume(2, at(6), room.told);
  room.log.resume(3, at(5), room.told);
  CHECK(room.heard() == "#1@e8recovered #2@e6recovered,7,8 #3@e5recovered,6,7,8");
}

TEST_CASE("the store is asked for what the cache does not know, once for all", "[history]") {
  Fixture room;
  room.begin(8).log.resume(1, at(6), room.told);
  CHECK(room.heard() == "read6");
  room.log.resume(2, at(4), room.told);
  room.log.resume(3, at(5), room.told);
  room.message(9);
  CHECK(room.heard() == "9");  // nobody waits for members that come back
  room.answer(at(8), entries(7, 8));
  CHECK(room.heard() == "#1@e6recovered,7,8,9 read4");
  room.answer(at(9), entries(5, 9));
  CHECK(room.heard() == "#2@e4recovered,5,6,7,8,9 #3@e5recovered,6,7,8,9");
  room.log.resume(4, at(4), room.told);  // known by now
  CHECK(room.heard() == "#4@e4recovered,5,6,7,8,9");
}

TEST_CASE("a position that the log does not contain is refused with the reason", "[history]") {
  Fixture room;
  room.begin(8);
  SECTION("of another branch") {
    room.log.resume(1, at(6, 'e', 'b'), room.told);
    room.answer(at(8), entries(7, 8));
    CHECK(room.heard() == "read6 #1@e8epoch");
  }
  SECTION("trimmed") {
    room.log.resume(1, at(3), room.told);
    room.answer(at(8), entries(6, 8));
    CHECK(room.heard() == "read3 #1@e8gone");
  }
  SECTION("of another epoch: this replica makes sure of its own") {
    room.log.resume(1, at(3, 'd'), room.told);
    room.answer(at(8));
    CHECK(room.heard() == "read8 read8");
    room.answer(at(8));
    CHECK(room.heard() == "#1@e8epoch");
  }
}

TEST_CASE("a replica that is late asks for itself before it answers a member", "[history]") {
  Fixture room;
  room.begin(8).log.resume(1, at(10), room.told);
  room.answer(at(10), entries(9, 10));
  CHECK(room.heard() == "read8 read8");
  room.answer(at(10), entries(9, 10));
  CHECK(room.heard() == "9 10 #1@e10recovered");
}

TEST_CASE("a new member gets the last messages that there are", "[history]") {
  Fixture room;
  room.begin(8).log.join(1, 0, room.told);
  CHECK(room.heard() == "#1@e8");
  room.log.join(2, 3, room.told);
  room.answer(at(8), entries(6, 8));
  CHECK(room.heard() == "read5 #2@e5,6,7,8");
  room.log.join(3, 2, room.told);
  CHECK(room.heard() == "#3@e6,7,8");
  room.log.join(4, 100, room.told);
  room.answer(at(8), entries(4, 8));
  CHECK(room.heard() == "read0 #4@e3,4,5,6,7,8");
}

TEST_CASE("members wait while the room log asks, and may leave or give up", "[history]") {
  Fixture room;
  room.log.resume(1, at(5), room.told);
  CHECK_FALSE(room.log.give_up(1, room.told));
  room.log.join(2, 0, room.told);
  room.log.join(3, 0, room.told);
  room.log.leave(3);
  room.begin(5);
  CHECK(room.log.waiting() == 0);
  room.log.resume(4, at(2), room.told);
  CHECK(room.log.give_up(4, room.told));
  CHECK(room.heard() == "read2 #4@e5unavailable");
  room.answer(at(5), entries(3, 5));
  CHECK(room.heard().empty());
}

TEST_CASE("the rooms of a replica share the memory: the one used last keeps most", "[history]") {
  HistoryMemory memory(50);
  Told told;
  TestLog first(memory, 1000);
  TestLog second(memory, 1000);
  const auto play = [&](TestLog& log, int messages) {
    log.subscribed(told);
    log.answered(told.asked.id, {at(0), {}}, told);
    for (int n = 1; n <= messages; ++n) log.received(epoch('e'), entry(n), told);
    told.heard();
  };
  play(first, 4);
  play(second, 3);
  CHECK(memory.used() == 50);
  second.resume(1, at(0), told);
  CHECK(told.heard() == "#1@e0recovered,1,2,3");
  first.resume(2, at(2), told);
  CHECK(told.heard() == "#2@e2recovered,3,4");
  first.resume(3, at(1), told);
  CHECK(told.heard() == "read1");
  play(second, 0);
  second.disconnected();
}

TEST_CASE("a room log that ends gives its memory back", "[history]") {
  HistoryMemory memory(1000);
  {
    Told told;
    TestLog log(memory, 1000);
    log.subscribed(told);
    log.answered(told.asked.id, {at(0), {}}, told);
    log.received(epoch('e'), entry(1), told);
    log.received(epoch('e'), entry(3), told);
    log.received(epoch('e'), entry(4), told);
    CHECK(memory.used() == 20);
  }
  CHECK(memory.used() == 0);
}

}  // namespace
}  // namespace roost::detail
