// SPDX-License-Identifier: MIT
// Random schedules against the rules of the room log. A schedule that fails is told step by step,
// and is played again with ROOST_WORLD="failover 123", its kind and its seed; ROOST_WORLDS is how
// many are played of each kind.
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/history/room_log_world.hpp"
#include "catch.hpp"

namespace roost::test {
namespace {

struct LogSwitches {
  bool forgets_before = true, ignores_stale = true, chains_live = true, proves_duplicates = true;
  bool asks_for_misfits = true, asks_after_overflow = true, asks_for_rest = true;
  bool forks = true, drops_cache = true, chains_resume = true;
  bool asks_for_members = true, asks_itself_too = true;
};
struct Switches {
  DriverRules driver = {};
  LogSwitches log = {};
};

using RealWorld = World<detail::RoomLogRules>;
using SwitchedWorld = World<LogSwitches>;

std::uint64_t how_many(std::uint64_t usually) {
  const char* const text = std::getenv("ROOST_WORLDS");
  return text ? std::strtoull(text, nullptr, 10) : usually;
}

std::string told(WorldKind kind, std::uint64_t seed) {
  std::string trace;
  const RealWorld world(kind, seed, {}, {}, &trace);
  return "ROOST_WORLD=\"" + std::string(to_string(kind)) + ' ' + std::to_string(seed) + "\"\n" +
         trace;
}

std::string told(const std::vector<Fault>& faults) {
  std::string text;
  for (const Fault& fault : faults) text += fault.what + ": " + fault.why + '\n';
  return text;
}

TEST_CASE("in random worlds each client gets each message once, in order, or is told", "[worlds]") {
  const WorldKind kind = GENERATE(from_range(world_kinds));
  WorldStats stats;
  for (std::uint64_t seed = 0; seed < how_many(100); ++seed) {
    const RealWorld world(kind, seed);
    stats.add(world.stats);
    if (world.faults.empty()) continue;
    INFO(told(world.faults));
    FAIL(told(kind, seed));
  }
  INFO(to_string(kind) << ": lost " << stats.lost << ", forks " << stats.forks << ", joined "
                       << stats.joined << ", recovered " << stats.recovered << ", refused "
                       << stats.refused << ", unavailable " << stats.unavailable << ", replayed "
                       << stats.replayed << ", questions " << stats.questions << ", messages "
                       << stats.messages << ", untold " << stats.untold);
  if (std::getenv("ROOST_WORLDS")) WARN("as counted");
  // The worlds are not empty ones.
  CHECK(stats.recovered > 5);
  CHECK(stats.replayed > 100);
  const bool loses =
      kind == WorldKind::failover || kind == WorldKind::split || kind == WorldKind::rollback;
  CHECK((stats.forks > 0) == loses);
}

TEST_CASE("a single world is told step by step", "[worlds][.]") {
  const std::string_view wanted = std::getenv("ROOST_WORLD") ? std::getenv("ROOST_WORLD") : "";
  const auto space = wanted.find(' ');
  for (const WorldKind kind : world_kinds) {
    if (space == std::string_view::npos || wanted.substr(0, space) != to_string(kind)) continue;
    WARN(told(kind, std::strtoull(wanted.data() + space, nullptr, 10)));
  }
}

struct Ablation {
  const char* name;
  WorldKind kind;  // where it shows soon
  std::function<void(Switches&)> take_out;
  std::uint64_t from = 0;  // the seed to begin with, for those that show seldom
};

const std::vector<Ablation>& ablations() {
  using enum WorldKind;
  static const std::vector<Ablation> all{
      {"what came before a question is kept", calm, [](auto& s) { s.log.forgets_before = false; }},
      {"answers to earlier questions count", calm, [](auto& s) { s.log.ignores_stale = false; }},
      {"a message need not name the one before", split, [](auto& s) { s.log.chains_live = false; }},
      {"an old number is a duplicate", rollback, [](auto& s) { s.log.proves_duplicates = false; }},
      {"held messages that do not fit are dropped", split,
       [](auto& s) { s.log.asks_for_misfits = false; }, 780},
      {"what is held over its bound is just forgotten", failover,
       [](auto& s) { s.log.asks_after_overflow = false; }},
      {"the rest of an answer is not asked for", clean,
       [](auto& s) { s.log.asks_for_rest = false; }},
      {"a log that went back is not forked", rollback, [](auto& s) { s.log.forks = false; }},
      {"the cache outlives a loss", cache, [](auto& s) { s.log.drops_cache = false; }},
      {"a position counts without its mark", failover, [](auto& s) { s.log.chains_resume = false; },
       165},
      {"a replica says no by itself", calm, [](auto& s) { s.log.asks_for_members = false; }},
      {"a replica that may be late says no", clean, [](auto& s) { s.log.asks_itself_too = false; },
       280},
      {"asked before the subscription is acknowledged", clean,
       [](auto& s) { s.driver.asks_after_ack = false; }},
      {"each link is made anew on its own", split,
       [](auto& s) { s.driver.links_go_together = false; }, 1360},
      {"after READONLY the rest counts as refused", clean,
       [](auto& s) { s.driver.reads_on = false; }},
  };
  return all;
}

TEST_CASE("each rule that is taken out is found by the random worlds", "[worlds]") {
  const std::size_t index = GENERATE(range(std::size_t{0}, ablations().size()));
  const Ablation& ablation = ablations()[index];
  CAPTURE(ablation.name);
  Switches switches;
  ablation.take_out(switches);
  const auto play = [&](std::uint64_t seed) {
    return SwitchedWorld(ablation.kind, seed, switches.driver, switches.log).faults;
  };
  constexpr std::uint64_t most = 3000;
  std::uint64_t seed = ablation.from;
  std::vector<Fault> faults;
  while (seed < ablation.from + most && faults.empty()) faults = play(seed++);
  if (std::getenv("ROOST_WORLDS")) {
    WARN(ablation.name << ": " << to_string(ablation.kind) << ' ' << seed << '\n' << told(faults));
  }
  CHECK_FALSE(faults.empty());
}

}  // namespace
}  // namespace roost::test
