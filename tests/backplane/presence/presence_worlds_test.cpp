// SPDX-License-Identifier: MIT
// Random schedules of replicas with presence. A seed that fails is replayed by its number.
#include "backplane/presence/presence_world.hpp"

#include <cstdint>
#include <string>

#include "catch.hpp"

namespace roost {
namespace {

using test::PresenceTroubles;
using test::PresenceWorld;

void play_worlds(PresenceTroubles troubles, std::uint64_t count) {
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    PresenceWorld world(seed, troubles);
    const std::string fault = world.play(400);
    INFO("seed " << seed);
    REQUIRE(fault == "");
  }
}

TEST_CASE("presence: in a quiet world each change is told once and every list is right",
          "[presence]") {
  play_worlds({}, 300);
}
TEST_CASE("presence: lists are right after replicas died or were paused", "[presence]") {
  play_worlds({.replicas_die = true, .replicas_pause = true}, 300);
}
TEST_CASE("presence: lists are right after connections broke and events were lost", "[presence]") {
  play_worlds({.links_break = true, .events_vanish = true}, 300);
}
TEST_CASE("presence: lists are right after the store failed over to an older state", "[presence]") {
  play_worlds({.links_break = true, .store_fails_over = true}, 300);
}
TEST_CASE("presence: lists and numbers are right after all of that, also of large rooms",
          "[presence]") {
  const bool are_large = GENERATE(false, true);
  play_worlds({.replicas_die = true,
               .replicas_pause = true,
               .links_break = true,
               .events_vanish = true,
               .store_fails_over = true,
               .rooms_are_large = are_large},
              300);
}

}  // namespace
}  // namespace roost
