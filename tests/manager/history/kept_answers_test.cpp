// SPDX-License-Identifier: MIT
// Messages that were replayed, kept for clients that return a little later.
#include <roost/manager/history/replay.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"

namespace roost::detail {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point kept_at{1h};

RecordedPtr kept_message(std::size_t bytes) {
  return std::make_shared<const Recorded>("r", "p", Frame::text(std::string(bytes, 'x')),
                                          std::vector<std::string>(), Manner());
}

}  // namespace

TEST_CASE("replayed messages over the limit go, those that were not used for the longest first",
          "[history]") {
  KeptAnswers kept;
  auto one = kept_message(1000);
  auto two = kept_message(1000);
  kept.keep(one, kept_at, 4000);
  kept.keep(two, kept_at, 4000);
  kept.keep(one, kept_at, 4000);
  CHECK(kept.bytes() > 3000);
  kept.keep(kept_message(1000), kept_at, 4000);
  CHECK(kept.bytes() < 4000);
  CHECK(one.use_count() == 2);
  CHECK(two.use_count() == 1);
}

TEST_CASE("a replayed message over the limit alone is not kept, and the others stay", "[history]") {
  KeptAnswers kept;
  auto one = kept_message(1000);
  auto large = kept_message(3000);
  kept.keep(one, kept_at, 5000);
  kept.keep(kept_message(6000), kept_at, 5000);
  CHECK(one.use_count() == 2);
  CHECK(kept.bytes() < 5000);
  kept.keep(large, kept_at, 10'000);
  CHECK(large.use_count() == 2);
  kept.keep(large, kept_at, 3000);  // it was kept, and has grown too large
  CHECK(large.use_count() == 1);
  CHECK(one.use_count() == 2);
  CHECK(kept.bytes() < 3000);
}

TEST_CASE("the names and positions of replayed messages that are kept count", "[history]") {
  KeptAnswers kept;
  const auto keep = [&kept](std::size_t room, std::size_t position, std::size_t id) {
    kept.clear();
    kept.keep(std::make_shared<const Recorded>(
                  std::string(room, 'r'), std::string(position, 'p'), Frame::text("x"),
                  std::vector<std::string>{std::string(id, 'i')}, Manner()),
              kept_at, 100'000);
    return kept.bytes();
  };
  CHECK(keep(250, 40, 60) == keep(1, 1, 1) + 249 + 39 + 59);
}

TEST_CASE("each form of a replayed message that is kept counts", "[history]") {
  KeptAnswers kept;
  const auto one = kept_message(1000);
  kept.keep(one, kept_at, 100'000);
  const std::size_t before = kept.bytes();
  one->formed.emplace_back(wire_form(1, true), Frame::raw(500));
  kept.keep(one, kept_at, 100'000);
  CHECK(kept.bytes() == before + 500);
  kept.clear();
  CHECK(kept.bytes() == 0);
  CHECK(one.use_count() == 1);
}

TEST_CASE("replayed messages that nobody used for a minute go", "[history]") {
  KeptAnswers kept;
  const auto one = kept_message(1000);
  const auto two = kept_message(1000);
  kept.keep(one, kept_at, 100'000);
  kept.keep(two, kept_at + 60s, 100'000);
  CHECK(one.use_count() == 2);
  kept.keep(two, kept_at + 61s, 100'000);
  CHECK(one.use_count() == 1);
  CHECK(two.use_count() == 2);
}

}  // namespace roost::detail
