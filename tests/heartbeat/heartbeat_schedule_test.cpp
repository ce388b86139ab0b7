// SPDX-License-Identifier: MIT
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <roost/heartbeat/detail/heartbeat_schedule.hpp>
#include <roost/manager/registry/liveness.hpp>
#include <vector>

#include "catch.hpp"

namespace roost::detail {
namespace {

using namespace std::chrono_literals;
using time_point = HeartbeatSchedule::time_point;
using duration = HeartbeatSchedule::duration;

struct Peer : HeartbeatSchedule::Entry {
  time_point connected{};
  time_point seen{};
  bool answers = true;
  std::vector<time_point> pinged;
  std::optional<time_point> dropped;
};

/// Peers around a schedule, in a time of its own.
struct Schedule {
  HeartbeatSchedule schedule;
  time_point now{1h};
  std::deque<Peer> peers;
  std::size_t most_pings = 0;  // in one call
  std::size_t calls = 0;
  duration late_by{};  // by all stalls

  explicit Schedule(duration interval = 128s, duration timeout = 384s)
      : schedule(interval, timeout) {}

  Peer& connect(bool answers = true) {
    Peer& peer = peers.emplace_back();
    peer.answers = answers;
    peer.connected = peer.seen = now;
    schedule.add(peer, now);
    return peer;
  }
  void disconnect(Peer& peer) { schedule.remove(peer); }

  void advance() {
    const auto due = schedule.advance(
        now, [](const HeartbeatSchedule::Entry& e) { return static_cast<const Peer&>(e).seen; });
    ++calls;
    most_pings = std::max(most_pings, due.ping.size());
    late_by += due.late_by;
    for (HeartbeatSchedule::Entry* entry : due.ping) {
      Peer& peer = static_cast<Peer&>(*entry);
      peer.pinged.push_back(now);
      if (peer.answers) peer.seen = now;
    }
    for (HeartbeatSchedule::Entry* entry : due.drop) {
      static_cast<Peer&>(*entry).dropped = now;
      schedule.remove(*entry);
    }
  }
  /// On time, as a timer would.
  void run_for(duration time) {
    const time_point end = now + time;
    while (schedule.next_wake() && *schedule.next_wake() <= end) {
      now = std::max(now, *schedule.next_wake());
      advance();
    }
    now = end;
  }
  /// Nothing runs meanwhile.
  void stall(duration time) { now += time; }
};

TEST_CASE("schedule: a turn is the interval, in 128 ticks or in ticks of 10 ms", "[heartbeat]") {
  CHECK(HeartbeatSchedule(30s, 90s).slots() == 128);
  CHECK(HeartbeatSchedule(30s, 90s).tick() == 234'375us);
  CHECK(HeartbeatSchedule(1280ms, 90s).tick() == 10ms);
  CHECK(HeartbeatSchedule(1279ms, 90s).slots() == 127);
  CHECK(HeartbeatSchedule(10ms, 11ms).slots() == 1);
  CHECK(HeartbeatSchedule(10ms, 11ms).tick() == 10ms);
  CHECK(HeartbeatSchedule(19ms, 20ms).tick() == 19ms);
  CHECK(HeartbeatSchedule(24h, 168h).tick() == 675s);
}

TEST_CASE("schedule: without entries it never wakes", "[heartbeat]") {
  Schedule world;
  CHECK_FALSE(world.schedule.next_wake());
  world.advance();
  Peer& peer = world.connect();
  CHECK(world.schedule.next_wake() == world.now + 1s);
  world.disconnect(peer);
  CHECK_FALSE(world.schedule.next_wake());
  world.disconnect(peer);
  CHECK(world.schedule.size() == 0);
  world.stall(1h);
  world.advance();
  world.connect();
  CHECK(world.schedule.next_wake() == world.now + 1s);  // begins anew, nothing is late
  world.run_for(1s);
  CHECK(world.late_by == 0s);
}

TEST_CASE("schedule: each entry is pinged once per interval, first within one", "[heartbeat]") {
  const auto interval = GENERATE(as<duration>(), 10ms, 19ms, 1s, 128s, 24h);
  Schedule world(interval, 3 * interval);
  for (int i = 0; i < 10; ++i) world.connect();
  for (int i = 0; i < 10; ++i) {
    world.run_for(world.schedule.tick() / 3);
    world.connect();
  }
  world.run_for(20 * interval);
  for (const Peer& peer : world.peers) {
    REQUIRE(peer.pinged.size() >= 19);
    CHECK(peer.pinged[0] > peer.connected);
    CHECK(peer.pinged[0] <= peer.connected + interval);
    const duration period = peer.pinged[1] - peer.pinged[0];
    CHECK(period <= interval);
    CHECK(period > interval - 200ns);  // a tick is whole nanoseconds
    CHECK(peer.pinged[18] - peer.pinged[0] == 18 * period);
    CHECK_FALSE(peer.dropped);
  }
}

TEST_CASE("schedule: a peer that speaks by itself is pinged all the same", "[heartbeat]") {
  Schedule world;
  Peer& peer = world.connect();
  for (int i = 0; i < 10 * 128; ++i) {
    world.run_for(1s);
    peer.seen = world.now;
  }
  CHECK(peer.pinged.size() == 10);
}

TEST_CASE("schedule: a silent entry is dropped within a tick after its timeout", "[heartbeat]") {
  const auto [interval, timeout] = GENERATE(table<duration, duration>({{128s, 129s},
                                                                       {128s, 384s},
                                                                       {128s, 300s + 1ns},
                                                                       {128s, 168h},
                                                                       {10ms, 11ms},
                                                                       {10ms, 1s},
                                                                       {24h, 24h + 1ns},
                                                                       {24h, 168h}}));
  Schedule world(interval, timeout);
  const duration tick = world.schedule.tick();
  for (int i = 0; i < 5; ++i) {
    world.connect(false);
    world.run_for(tick / 4);
  }
  Peer& late = world.connect(false);  // speaks once, between two ticks
  world.run_for(timeout / 2 + tick / 3);
  late.seen = world.now;
  const time_point seen = world.now;
  world.run_for(2 * timeout);
  for (const Peer& peer : world.peers) {
    REQUIRE(peer.dropped);
    CHECK(*peer.dropped >= peer.seen + timeout);
    CHECK(*peer.dropped <= peer.seen + timeout + tick);
  }
  CHECK(late.seen == seen);
  CHECK_FALSE(world.schedule.next_wake());
}

TEST_CASE("schedule: at the timeout exactly it is too late, just before it is not", "[heartbeat]") {
  Schedule world(128s, 200s);
  Peer& late = world.connect(false);
  Peer& early = world.connect(false);
  world.run_for(200s - 1ns);
  CHECK(world.schedule.is_alive(late, late.seen, world.now));
  early.seen = world.now;
  world.run_for(1ns);
  CHECK(late.dropped == world.now);
  CHECK_FALSE(world.schedule.is_alive(late, late.seen, world.now));
  CHECK(world.schedule.is_alive(early, early.seen, world.now));
  world.run_for(200s - 1ns);
  CHECK_FALSE(early.dropped);
  world.run_for(1s);
  CHECK(early.dropped);
}

TEST_CASE("schedule: a dropped peer is due at each tick until it is removed", "[heartbeat]") {
  HeartbeatSchedule schedule(10s, 20s);
  Peer peer;
  const time_point start{1h};
  schedule.add(peer, start);
  time_point now = start;
  int drops = 0;
  while (now < start + 21s) {
    now = *schedule.next_wake();
    const auto due = schedule.advance(now, [&](const auto&) { return start; });
    drops += static_cast<int>(due.drop.size());
    CHECK((due.drop.empty() || due.ping.empty()));
  }
  CHECK(drops == 14);  // from the 256th tick to the 269th
  schedule.remove(peer);
}

TEST_CASE("schedule: 10 000 entries make no burst, however they come and go", "[heartbeat]") {
  Schedule world(128s, 384s);
  constexpr std::size_t n = 10'000;
  constexpr std::size_t even = (n + 127) / 128;
  SECTION("at once") {
    for (std::size_t i = 0; i < n; ++i) world.connect();
  }
  SECTION("one after the other") {
    for (std::size_t i = 0; i < n; ++i) {
      world.connect();
      world.run_for(37ms);
    }
  }
  SECTION("with some that leave, and others that fill the gaps") {
    for (std::size_t i = 0; i < n; ++i) world.connect();
    for (std::size_t i = 0; i < n; i += 2) world.disconnect(world.peers[i]);
    for (std::size_t i = 0; i < n; i += 2) world.connect();
  }
  world.most_pings = 0;
  const std::size_t calls = world.calls;
  world.run_for(3 * 128s);
  CHECK(world.most_pings == even);
  CHECK(world.calls - calls == 3 * 128);
  CHECK(world.schedule.size() == n);
  for (std::size_t i = 0; i < world.peers.size(); ++i) {
    const Peer& peer = world.peers[i];
    if (peer.pinged.empty() && i < n) continue;  // has left
    CHECK_FALSE(peer.dropped);
  }
}

TEST_CASE("schedule: a few entries are far from each other", "[heartbeat]") {
  Schedule world(128s, 384s);
  for (int i = 0; i < 4; ++i) world.connect();
  world.run_for(128s);
  std::vector<time_point> pinged;
  for (const Peer& peer : world.peers) pinged.push_back(peer.pinged.at(0));
  std::sort(pinged.begin(), pinged.end());
  for (std::size_t i = 1; i < pinged.size(); ++i) CHECK(pinged[i] - pinged[i - 1] >= 16s);
}

TEST_CASE("schedule: of 10 000 exactly the silent ones are dropped", "[heartbeat]") {
  Schedule world(128s, 300s);
  for (int i = 0; i < 10'000; ++i) world.connect(i % 2 == 0);
  const time_point start = world.now;
  world.run_for(20 * 128s);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < world.peers.size(); ++i) {
    const Peer& peer = world.peers[i];
    if (i % 2 == 0 ? peer.dropped.has_value() : peer.dropped != start + 300s) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(world.schedule.size() == 5000);
}

// --- stalls ---

TEST_CASE("schedule: a stall longer than the timeout drops nobody", "[heartbeat]") {
  Schedule world(128s, 384s);
  for (int i = 0; i < 1000; ++i) world.connect();
  world.run_for(500s);
  world.most_pings = 0;
  world.stall(1h);
  for (const Peer& peer : world.peers) {
    CHECK(world.schedule.is_alive(peer, peer.seen, world.now));
  }
  world.advance();
  CHECK(world.late_by == 1h - 1s);
  world.run_for(4 * 128s);
  CHECK(world.schedule.size() == 1000);
  CHECK(world.most_pings == 8);  // as ever: what was missed is not made up for
}

TEST_CASE("schedule: a stall moves the deadline of a silent entry by as much", "[heartbeat]") {
  Schedule world(128s, 384s);
  Peer& silent = world.connect(false);
  const time_point connected = world.now;
  world.run_for(200s);
  world.stall(1000s);
  world.advance();
  REQUIRE(world.late_by == 999s);
  world.run_for(384s - 200s - 1s - 1ns);
  CHECK_FALSE(silent.dropped);
  world.run_for(1s);
  CHECK(silent.dropped == connected + 384s + 999s);
  CHECK(silent.pinged.size() <= 3);
}

TEST_CASE("schedule: stalls add up", "[heartbeat]") {
  Schedule world(128s, 384s);
  Peer& silent = world.connect(false);
  const time_point connected = world.now;
  for (int i = 0; i < 20; ++i) {
    world.run_for(5s);
    world.stall(100s);
    world.advance();
  }
  CHECK_FALSE(silent.dropped);
  CHECK(world.late_by == 20 * 99s);
  world.run_for(400s);
  CHECK(silent.dropped == connected + 384s + world.late_by);
}

TEST_CASE("schedule: a peer that was heard of since the tick was due gets no more time",
          "[heartbeat]") {
  Schedule world(128s, 384s);
  for (int i = 0; i < 128; ++i) world.connect(false);
  world.run_for(100s);
  const time_point was_due = *world.schedule.next_wake();
  world.stall(370s);
  // Read before the tick is carried out; or while only timers were late.
  const bool is_loop_stalled = GENERATE(true, false);
  const time_point seen = is_loop_stalled ? world.now : was_due;
  for (Peer& peer : world.peers) peer.seen = seen;
  world.advance();
  world.run_for(400s);
  for (const Peer& peer : world.peers) {
    REQUIRE(peer.dropped);
    CHECK(*peer.dropped >= seen + 384s);
    CHECK(*peer.dropped <= seen + 385s);
  }
}

TEST_CASE("schedule: a tick that is late by one is not a stall", "[heartbeat]") {
  Schedule world(128s, 384s);
  Peer& silent = world.connect(false);
  const time_point connected = world.now;
  world.run_for(10s);
  SECTION("late by a tick") {
    world.stall(2s);
    world.advance();
    CHECK(world.late_by == 0s);
    CHECK(world.schedule.next_wake() == connected + 13s);
    world.run_for(400s);
    CHECK(silent.dropped == connected + 384s);
  }
  SECTION("late by more") {
    world.stall(2s + 1ns);
    world.advance();
    CHECK(world.late_by == 1s + 1ns);
    CHECK(world.schedule.next_wake() == world.now + 1s);
    world.run_for(400s);
    CHECK(silent.dropped == connected + 385s + 1ns);
  }
}

TEST_CASE("schedule: calls that come early change nothing", "[heartbeat]") {
  Schedule world(128s, 384s);
  Peer& silent = world.connect(false);
  const time_point connected = world.now;
  for (int i = 0; i < 4000; ++i) {
    world.run_for(100ms);
    world.advance();
  }
  CHECK(silent.pinged.size() <= 3);
  CHECK(silent.dropped == connected + 384s);
}

TEST_CASE("schedule: an entry that comes during a stall starts from then", "[heartbeat]") {
  Schedule world(128s, 384s);
  world.connect();
  world.run_for(10s);
  world.stall(1h);
  Peer& late = world.connect(false);
  const time_point connected = world.now;
  world.run_for(1000s);
  CHECK(world.late_by == 1h - 1s);
  REQUIRE(late.dropped);
  CHECK(*late.dropped >= connected + 384s);
  CHECK(*late.dropped <= connected + 385s);
  CHECK(late.pinged.at(0) <= connected + 128s);
}

// --- one connection ---

TEST_CASE("liveness: the pong to the last ping gives the round trip", "[heartbeat]") {
  Liveness peer;
  const time_point start{1h};
  CHECK_FALSE(peer.round_trip_time());
  const std::string first = peer.next_ping(start);
  CHECK(first.size() <= 125);
  peer.on_pong(first, start + 30ms);
  CHECK(peer.round_trip_time() == 30ms);
  CHECK(peer.last_seen() == start + 30ms);
  peer.on_pong(first, start + 1s);  // once more
  CHECK(peer.round_trip_time() == 30ms);
  CHECK(peer.last_seen() == start + 1s);
}

TEST_CASE("liveness: pongs that nobody asked for, or for an old ping, are life only",
          "[heartbeat]") {
  Liveness peer;
  const time_point start{1h};
  peer.on_pong("1", start);
  peer.on_pong("", start + 1s);
  peer.on_pong("0", start + 2s);
  CHECK_FALSE(peer.round_trip_time());
  CHECK(peer.last_seen() == start + 2s);
  const std::string first = peer.next_ping(start + 10s);
  const std::string second = peer.next_ping(start + 20s);
  CHECK(first != second);
  peer.on_pong(first, start + 21s);
  CHECK_FALSE(peer.round_trip_time());
  CHECK(peer.last_seen() == start + 21s);
  peer.on_pong(second + " ", start + 21s);
  CHECK_FALSE(peer.round_trip_time());
  peer.on_pong(second, start + 22s);
  CHECK(peer.round_trip_time() == 2s);
}

TEST_CASE("liveness: the latest sign of life counts, in whichever order they are told",
          "[heartbeat]") {
  Liveness peer;
  peer.note(time_point(2h));
  peer.note(time_point(1h));
  CHECK(peer.last_seen() == time_point(2h));
}

}  // namespace
}  // namespace roost::detail
