// SPDX-License-Identifier: MIT
// How fast a peer must take what is sent to it.
#include <roost/manager/sending/pace.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "catch.hpp"

namespace roost {
namespace {

using namespace std::chrono_literals;
using detail::Pace;
using Verdict = Pace::Verdict;

constexpr Pace::Limits limits{
    .send_timeout = 5s, .min_progress_bytes = 100, .max_outbox_bytes = 1'000, .patience = 250ms};
const Pace::time_point t0{std::chrono::hours(5)};

// One connection, of which the kernel holds nothing.
struct Peer {
  std::uint64_t taken = 0;
  std::size_t backlog = 0;
  Pace::duration round_trip{};

  Pace::Look look(bool wrote = false) const {
    return {.progress = {.taken = taken, .pending = backlog, .round_trip = round_trip},
            .backlog = backlog,
            .wrote = wrote};
  }
  void take(std::size_t n) {
    taken += n;
    backlog -= n;
  }
  Pace pace() const { return {t0, look(), limits}; }
};

TEST_CASE("a peer must take the floor within each send_timeout", "[pace]") {
  Peer peer{.backlog = 800};
  Pace pace = peer.pace();
  CHECK(pace.due(limits) == t0 + 5s);
  peer.take(100);
  CHECK(pace.judge(t0 + 5s, peer.look(), limits) == Verdict::fine);
  CHECK(pace.due(limits) == t0 + 10s);
  peer.take(99);
  CHECK(pace.judge(t0 + 9s, peer.look(), limits) == Verdict::fine);
  CHECK(pace.judge(t0 + 10s, peer.look(), limits) == Verdict::too_slow);
}

TEST_CASE("or all there was, if that is less", "[pace]") {
  Peer peer{.backlog = 30};
  Pace pace = peer.pace();
  peer.take(29);
  peer.backlog += 500;
  CHECK(pace.judge(t0 + 5s - 1ms, peer.look(), limits) == Verdict::fine);
  SECTION("which is not much") {
    peer.take(1);
    CHECK(pace.judge(t0 + 5s, peer.look(), limits) == Verdict::fine);
  }
  SECTION("but more than it took") {
    CHECK(pace.judge(t0 + 5s, peer.look(), limits) == Verdict::too_slow);
  }
}

TEST_CASE("a peer is waited for once for bytes that a late flush could write", "[pace]") {
  Peer peer{.backlog = 800};
  Pace pace = peer.pace();
  CHECK(pace.judge(t0 + 5s, peer.look(true), limits) == Verdict::fine);
  CHECK(pace.due(limits) == t0 + 5s + 250ms);
  SECTION("and taken") {
    peer.take(100);
    CHECK(pace.judge(t0 + 5s + 250ms, peer.look(), limits) == Verdict::fine);
  }
  SECTION("and not taken") {
    CHECK(pace.judge(t0 + 5s + 250ms, peer.look(true), limits) == Verdict::too_slow);
  }
}

TEST_CASE("over the maximum a peer that takes nothing is too full when its patience is over",
          "[pace]") {
  Peer peer{.backlog = 500};
  Pace pace = peer.pace();
  CHECK_FALSE(pace.exceeds(1'000, limits));
  CHECK(pace.exceeds(1'001, limits));
  peer.backlog = 5'000;
  SECTION("in a burst") {
    CHECK(pace.on_excess(t0, peer.look(), limits) == Verdict::fine);
    CHECK_FALSE(pace.exceeds(100'000, limits));  // that is to be judged later
    CHECK(pace.due(limits) == t0 + 250ms);
    CHECK(pace.judge(t0 + 249ms, peer.look(), limits) == Verdict::fine);
    CHECK(pace.judge(t0 + 250ms, peer.look(), limits) == Verdict::too_full);
  }
  SECTION("immediately if it has taken nothing for so long already") {
    CHECK(pace.on_excess(t0 + 250ms, peer.look(), limits) == Verdict::too_full);
  }
  SECTION("later where acknowledgements take their time") {
    peer.round_trip = 300ms;
    Pace far(t0, peer.look(), limits);
    CHECK(far.on_excess(t0 + 1s, peer.look(), limits) == Verdict::fine);
    CHECK(far.due(limits) == t0 + 1200ms);
  }
}

TEST_CASE("a burst is kept for a peer that takes some of it, and so much behind it", "[pace]") {
  Peer peer{.backlog = 50'000};
  Pace pace = peer.pace();
  CHECK(pace.on_excess(t0, peer.look(), limits) == Verdict::fine);
  peer.take(1);
  CHECK(pace.judge(t0 + 250ms, peer.look(), limits) == Verdict::fine);
  CHECK_FALSE(pace.exceeds(50'999, limits));
  CHECK(pace.exceeds(51'000, limits));
  peer.take(30'000);
  CHECK(pace.judge(t0 + 1s, peer.look(), limits) == Verdict::fine);
  CHECK_FALSE(pace.exceeds(20'999, limits));  // the burst only gets less
  CHECK(pace.exceeds(21'000, limits));
}

TEST_CASE("the backlog behind a burst must not grow faster than the peer reads", "[pace]") {
  Peer peer{.backlog = 50'000};
  Pace pace = peer.pace();
  CHECK(pace.on_excess(t0, peer.look(), limits) == Verdict::fine);
  peer.take(1);
  CHECK(pace.judge(t0 + 250ms, peer.look(), limits) == Verdict::fine);
  SECTION("it does not read") {
    peer.backlog += 2'000;
    CHECK(pace.on_excess(t0 + 250ms, peer.look(), limits) == Verdict::fine);
    peer.take(20);
    CHECK(pace.judge(t0 + 500ms, peer.look(), limits) == Verdict::too_full);
  }
  SECTION("it had not read for long before") {
    peer.backlog += 2'000;
    peer.take(20);
    CHECK(pace.on_excess(t0 + 1s, peer.look(), limits) == Verdict::too_full);
  }
  SECTION("it would take all of it within a minute") {
    peer.backlog += 2'000;
    CHECK(pace.on_excess(t0 + 250ms, peer.look(), limits) == Verdict::fine);
    peer.take(300);
    CHECK(pace.judge(t0 + 500ms, peer.look(), limits) == Verdict::fine);
    CHECK_FALSE(pace.exceeds(52'000, limits));
  }
  SECTION("or all was gone meanwhile") {
    pace.on_relieved();
    CHECK(pace.exceeds(1'001, limits));
  }
}

TEST_CASE("peers that take nothing are shed first, those that read last", "[pace]") {
  Peer peer{.backlog = 500};
  const Pace pace = peer.pace();
  CHECK(pace.rank(t0, peer.look(), limits) == 1);
  CHECK(pace.rank(t0 + 250ms, peer.look(), limits) == 0);
  peer.take(1);
  CHECK(pace.rank(t0 + 250ms, peer.look(), limits) == 2);
}

}  // namespace
}  // namespace roost
