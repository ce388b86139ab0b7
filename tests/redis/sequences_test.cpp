// SPDX-License-Identifier: MIT
// What the numbers of messages say, which of them are announced, and which failures are logged.
#include <roost/redis/connection/reconnecting.hpp>
#include <roost/redis/numbering/sequences.hpp>
#include <roost/redis/numbering/stamp.hpp>
#include <roost/redis/subscribing/channels.hpp>

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"

namespace roost::detail {
namespace {

using namespace std::chrono_literals;
using Kind = SequenceVerdict::Kind;
using Strings = std::vector<std::string>;

constexpr Clock::time_point at(Clock::duration time) { return Clock::time_point{1h} + time; }

// One who has subscribed at the beginning, and whose connection was lost since.
struct Doubtful {
  Sequences sequences{3, 10s};
  ListeningSince listening{1, at(0s), false};
  Strings reports;

  std::string hear(const char* node, std::uint64_t sequence, Clock::time_point now = at(60s)) {
    const auto verdict = sequences.note("c", listening, {node, 1, sequence}, now);
    collect();
    return text(verdict);
  }
  /// The publisher tells its last number.
  std::string told(const char* node, std::uint64_t last, std::optional<SendTimes> times = {},
                   Clock::time_point now = at(60s)) {
    const auto verdict = sequences.announced("c", listening, {node, 1, last}, times, now);
    collect();
    return text(verdict);
  }
  void collect() {
    for (const auto& found : sequences.take_reports()) {
      reports.push_back(found.node + " " + text(found.verdict));
    }
  }
  static std::string text(const SequenceVerdict& verdict) {
    const std::string range =
        " " + std::to_string(verdict.first) + "-" + std::to_string(verdict.last);
    switch (verdict.kind) {
      case Kind::expected: return "ok";
      case Kind::gap: return "lost" + range;
      case Kind::duplicate: return "again" + range;
      case Kind::unknown: return "perhaps" + range;
    }
    return "?";
  }
};

TEST_CASE("a first number above 1 is in doubt until the publisher tells when it began", "[redis]") {
  Doubtful d;
  CHECK(d.hear("a", 4) == "ok");
  CHECK(d.hear("a", 5) == "ok");
  CHECK(d.reports.empty());
  SECTION("after we did: all are ours") {
    CHECK(d.told("a", 5, SendTimes{1, at(1s), at(59s)}) == "ok");
    CHECK(d.reports == Strings{"a lost 1-3"});
  }
  SECTION("before we did") {
    CHECK(d.told("a", 5, SendTimes{1, at(-1s), at(59s)}) == "ok");
    CHECK(d.reports == Strings{"a perhaps 1-3"});
  }
  SECTION("it dropped the first ones itself") {
    CHECK(d.told("a", 5, SendTimes{4, at(-1s), at(59s)}) == "ok");
    CHECK(d.reports == Strings{"a lost 1-3"});
  }
  SECTION("it does not say when") {
    CHECK(d.told("a", 7) == "lost 6-7");
    CHECK(d.reports == Strings{"a perhaps 1-3"});
  }
  SECTION("it says nothing") {
    CHECK(d.sequences.next_expiry() == at(70s));
    d.sequences.expire(at(69s));
    d.collect();
    CHECK(d.reports.empty());
    d.sequences.expire(at(70s));
    d.collect();
    CHECK(d.reports == Strings{"a perhaps 1-3"});
    CHECK(d.sequences.next_expiry() == Timer::never());
  }
  SECTION("the channel is left") {
    d.listening = {2, at(61s), true};
    CHECK(d.hear("a", 9) == "ok");
    CHECK(d.reports == Strings{"a perhaps 1-3"});
  }
  d.reports.clear();
  d.told("a", 9, SendTimes{1, at(1s), at(59s)});  // once only
  CHECK(d.reports.empty());
}

TEST_CASE("a first number of 1 leaves no doubt", "[redis]") {
  Doubtful d;
  CHECK(d.hear("a", 1) == "ok");
  CHECK(d.sequences.next_expiry() == Timer::never());
  CHECK(d.hear("a", 3) == "lost 2-2");
}

TEST_CASE("an announcement of a publisher that was never heard is not a baseline", "[redis]") {
  Doubtful d;
  CHECK(d.told("a", 3, SendTimes{1, at(1s), at(2s)}) == "lost 1-3");
  CHECK(d.told("b", 3, SendTimes{1, at(-2s), at(-1s)}) == "ok");  // all were sent before
  CHECK(d.told("c", 3, SendTimes{1, at(-2s), at(1s)}) == "perhaps 1-3");
  CHECK(d.told("d", 3) == "perhaps 1-3");
  CHECK(d.hear("d", 4) == "ok");
}

TEST_CASE("on an unbroken connection the first number is that of one that joins late", "[redis]") {
  Doubtful d;
  d.listening.is_unbroken = true;
  CHECK(d.hear("a", 4) == "ok");
  CHECK(d.told("a", 4, SendTimes{1, at(-1s), at(59s)}) == "ok");
  CHECK(d.told("b", 3, SendTimes{1, at(-2s), at(-1s)}) == "ok");
  CHECK(d.hear("c", 4) == "ok");
  CHECK(d.told("c", 4, SendTimes{4, at(-1s), at(59s)}) == "ok");  // the first that was sent
  CHECK(d.reports == Strings{"c lost 1-3"});
}

TEST_CASE("a publisher that may have been forgotten is told as unknown", "[redis]") {
  Doubtful d;
  d.listening.is_unbroken = true;
  for (const char* node : {"a", "b", "c", "d"}) d.hear(node, 1, at(30s));
  CHECK(d.hear("a", 5) == "ok");
  CHECK(d.told("a", 5, SendTimes{1, at(20s), at(59s)}) == "ok");
  CHECK(d.reports == Strings{"a perhaps 1-4"});
  // This one began afterwards. (To remember "a" another was forgotten.)
  d.reports.clear();
  CHECK(d.hear("e", 3, at(80s)) == "ok");
  CHECK(d.told("e", 3, SendTimes{1, at(70s), at(79s)}, at(81s)) == "ok");
  CHECK(d.reports == Strings{"e lost 1-2"});
  // One that is in doubt is not forgotten in silence.
  d.reports.clear();
  CHECK(d.hear("f", 3, at(100s)) == "ok");
  for (const char* node : {"g", "h", "i"}) d.hear(node, 1, at(101s));
  CHECK(d.reports == Strings{"f perhaps 1-2"});
}

// --- announcements ---

struct Announcing {
  Announcements announcements{5s, 3};

  void send(const char* channel, std::uint64_t sequence, Clock::duration now,
            std::uint64_t epoch = 1) {
    announcements.note_sent(channel, {epoch, sequence}, at(now), at(now));
  }
  /// All that is due, as "channel epoch first-last".
  Strings take() {
    Strings all;
    while (const auto sent = announcements.take()) {
      all.push_back(sent->channel + " " + std::to_string(sent->epoch) + " " +
                    std::to_string(sent->first) + "-" + std::to_string(sent->last));
    }
    return all;
  }
};

TEST_CASE("each channel is announced once, a while after its message", "[redis]") {
  Announcing a;
  CHECK(a.announcements.due() == Timer::never());
  a.send("c", 1, 0s);
  a.send("c", 2, 1s);
  a.send("d", 1, 2s);
  CHECK(a.announcements.due() == at(5s));
  CHECK(a.take() == Strings{"c 1 1-2", "d 1 1-1"});
  CHECK(a.announcements.due() == Timer::never());
  CHECK(a.take().empty());
  a.send("c", 3, 10s);
  CHECK(a.announcements.due() == at(15s));
  CHECK(a.take() == Strings{"c 1 1-3"});
}

TEST_CASE("messages that may have been missed are announced again", "[redis]") {
  Announcing a;
  a.send("c", 1, 0s);
  a.send("d", 4, 10s);  // those before were dropped
  a.take();
  a.announcements.repeat(at(10s), at(20s));
  CHECK(a.announcements.due() == at(20s));
  CHECK(a.take() == Strings{"d 1 4-4"});
  a.announcements.repeat(at(11s), at(20s));
  CHECK(a.announcements.due() == Timer::never());
}

TEST_CASE("the ends of an epoch are announced in the next one", "[redis]") {
  Announcing a;
  a.send("c", 7, 0s);
  a.send("d", 1, 1s);
  a.take();
  a.send("d", 2, 2s);
  a.send("e", 1, 3s, 2);
  CHECK(a.take() == Strings{"d 1 1-2", "e 2 1-1"});
}

TEST_CASE("times are written into an announcement and read from it", "[redis]") {
  const SentSoFar sent{.channel = "odd \" name",
                       .epoch = 12,
                       .first = 2,
                       .last = 7,
                       .first_at = at(-60s),
                       .last_at = at(-5s)};
  const std::string node(32, 'a');
  const std::string text = announcement_text(node, sent, at(0s));
  CHECK(is_announcement(text));
  const auto sender = find_stamp(text).sender();
  REQUIRE(sender);
  const auto read = read_announcement(*sender, nlohmann::json::parse(text), at(1s));
  REQUIRE(read);
  CHECK(read->sender.epoch == 12);
  REQUIRE(read->last.size() == 1);
  CHECK(read->last[0].second == 7);
  const auto times = read->times.find("odd \" name");
  REQUIRE(times != read->times.end());
  CHECK(times->second.first == 2);
  CHECK(times->second.first_at == at(-59s));
  CHECK(times->second.last_at == at(-4s));
  for (std::size_t size = 0; size < text.find("\"last\":") + 7; ++size) {
    CHECK_FALSE(is_announcement(text.substr(0, size)));
  }
  const std::string message = stamp_prefix(node, 12) + R"(,"seq":1,"last":{}})";
  CHECK_FALSE(is_announcement(message));
}

TEST_CASE("times that make no sense are left out", "[redis]") {
  const auto read = [](const char* times) {
    const auto text =
        R"({"v":1,"node":"a","epoch":1,"last":{"c":1},"sent":)" + std::string(times) + "}";
    const auto sender = find_stamp(text).sender();
    REQUIRE(sender);
    const auto announcement = read_announcement(*sender, nlohmann::json::parse(text), at(0s));
    REQUIRE(announcement);
    return announcement->times;
  };
  CHECK(read("[]").empty());
  CHECK(read(R"({"c":7})").empty());
  CHECK(read(R"({"c":[1,2]})").empty());
  CHECK(read(R"({"c":[1,-2,3]})").empty());
  CHECK(read(R"({"c":[1,2,"3"]})").empty());
  const auto oldest = read(R"({"c":[1,18446744073709551615,0]})");
  CHECK(oldest.at("c").first_at == at(-24h * 365));
}

TEST_CASE("an ask is written and read", "[redis]") {
  const auto ask_in = [](std::string_view text) {
    return find_stamp(text).sender() ? read_ask(nlohmann::json::parse(text)) : std::nullopt;
  };
  const auto away = ask_in(ask_text("abc", 1500ms));
  CHECK(away == Clock::duration(1500ms));
  CHECK_FALSE(ask_in(R"({"v":1,"node":"a","epoch":1,"last":{}})"));
  CHECK_FALSE(ask_in(R"({"ask":1})"));
  CHECK_FALSE(ask_in(R"({"v":1,"node":"a","epoch":0,"ask":-1})"));
}

// --- channels ---

TEST_CASE("channels are asked for in windows", "[redis]") {
  Channels channels;
  channels.connect();
  for (int i = 0; i < 5; ++i) channels.subscribe(std::to_string(i));
  std::string commands;
  channels.flush(commands, 2);
  CHECK(channels.requested() == 2);
  CHECK(channels.outstanding() == 2);
  CHECK(channels.has_changes());
  CHECK(channels.noted() == 5);
  CHECK(channels.flushed() == 2);
  channels.acknowledge("0");
  channels.acknowledge("1");
  CHECK(channels.outstanding() == 0);
  channels.unsubscribe("0");
  channels.unsubscribe("4");
  channels.flush(commands, 9);
  CHECK_FALSE(channels.has_changes());
  CHECK(channels.requested() == 4);    // not for the one that was left before
  CHECK(channels.outstanding() == 3);  // two, and the end of one
  channels.acknowledge_end();
  CHECK(channels.outstanding() == 2);
}

TEST_CASE("a channel is listened to since it was acknowledged, on that connection", "[redis]") {
  Channels channels;
  std::string commands;
  const auto listening = [&] { return channels.listening(*channels.find("c")); };
  channels.subscribe("c", at(0s));
  channels.connect();
  channels.flush(commands);
  channels.acknowledge("c", at(1s));
  CHECK(listening().since == at(1s));
  CHECK(listening().is_unbroken);
  channels.disconnect();
  channels.connect();
  channels.flush(commands);
  channels.acknowledge("c", at(9s));
  CHECK(listening().since == at(1s));
  CHECK_FALSE(listening().is_unbroken);
  const std::uint64_t subscription = listening().subscription;
  channels.disconnect();
  channels.renew();
  channels.connect();
  channels.flush(commands);
  channels.acknowledge("c", at(20s));
  CHECK(listening().since == at(20s));
  CHECK(listening().is_unbroken);
  CHECK(listening().subscription != subscription);
}

// --- failures ---

TEST_CASE("a loss is logged, and attempts now and then", "[redis]") {
  using What = FailureLog::What;
  FailureLog failures;
  CHECK(failures.note("refused", at(0s)) == What::loss);
  CHECK(failures.note("refused", at(30s)) == What::nothing);
  CHECK(failures.note("a replica", at(31s)) == What::attempt);
  CHECK(failures.note("refused", at(32s)) == What::nothing);  // too soon
  CHECK(failures.note("a replica", at(90s)) == What::nothing);
  CHECK(failures.note("a replica", at(91s)) == What::attempt);
  CHECK(failures.failures() == 6);
  failures.clear();
  CHECK(failures.note("refused", at(92s)) == What::loss);
  CHECK(failures.failures() == 1);
}

}  // namespace
}  // namespace roost::detail
