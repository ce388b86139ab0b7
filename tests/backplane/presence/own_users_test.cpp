// SPDX-License-Identifier: MIT
// Which connections of this replica reach the store, and which events make a list.
#include <roost/backplane/presence/own_users.hpp>
#include <roost/backplane/presence/presence_list.hpp>

#include <chrono>
#include <string>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using detail::OwnUsers;
using detail::PresenceEvent;
using detail::PresenceList;
using Steps = std::vector<std::string>;
using namespace std::chrono_literals;

const Clock::time_point start_of_presence(1h);

/// What the store is told at a time, which it does.
Steps taken(OwnUsers& own, Clock::time_point now) {
  Steps steps;
  for (const OwnUsers::Step& step : own.take(now)) {
    steps.push_back((step.is_enter ? '+' : '-') + step.room + ' ' + step.user);
    own.done(step);
  }
  return steps;
}

TEST_CASE("presence: only the first and the last connection of a user reach the store",
          "[presence]") {
  OwnUsers own;
  const int a = 0, b = 0;  // managers
  CHECK(own.came(&a, "r", "ann", ""));
  CHECK_FALSE(own.came(&a, "r", "ann", ""));
  CHECK_FALSE(own.came(&b, "r", "ann", ""));
  CHECK(taken(own, start_of_presence) == Steps{"+r ann"});
  CHECK_FALSE(own.went(&a, "r", "ann", start_of_presence));
  CHECK_FALSE(own.went(&b, "r", "ann", start_of_presence));
  CHECK_FALSE(own.went(&b, "r", "ann", start_of_presence));  // it has none any more
  CHECK(taken(own, start_of_presence).empty());
  CHECK(own.went(&a, "r", "ann", start_of_presence + 15s));
  CHECK(own.next_due() == start_of_presence + 15s);
  CHECK(taken(own, start_of_presence + 14s).empty());
  CHECK(taken(own, start_of_presence + 15s) == Steps{"-r ann"});
  CHECK(taken(own, start_of_presence + 15s).empty());
  CHECK(own.size() == 0);
  CHECK(own.next_due() == Clock::time_point::max());
}

TEST_CASE("presence: a user who comes back lingers anew when they leave again", "[presence]") {
  OwnUsers own;
  const int a = 0;
  own.came(&a, "r", "ann", "");
  taken(own, start_of_presence);
  own.went(&a, "r", "ann", start_of_presence + 15s);
  own.came(&a, "r", "ann", "");
  own.went(&a, "r", "ann", start_of_presence + 25s);
  CHECK(taken(own, start_of_presence + 24s).empty());
  CHECK(taken(own, start_of_presence + 25s) == Steps{"-r ann"});
}

TEST_CASE("presence: steps of a user follow each other, and a failed one is made again",
          "[presence]") {
  OwnUsers own;
  const int a = 0;
  own.came(&a, "r", "ann", "1");
  const auto first = own.take(start_of_presence);
  REQUIRE(first.size() == 1);
  CHECK(first.front().info == "1");
  own.went(&a, "r", "ann", start_of_presence);
  CHECK(own.take(start_of_presence).empty());  // the first one is under way
  own.failed(first.front());
  CHECK(own.take(start_of_presence).empty());
  own.retry();
  CHECK(taken(own, start_of_presence) == Steps{"-r ann"});
}

TEST_CASE("presence: users whom the store has forgotten enter again, and others leave",
          "[presence]") {
  OwnUsers own;
  const int a = 0;
  own.came(&a, "r", "ann", "");
  own.came(&a, "r", "bob", "");
  taken(own, start_of_presence);
  own.restore("r", {"bob"});
  CHECK(taken(own, start_of_presence) == Steps{"+r ann"});
  own.end_stale("r", {"ann", "bob", "eve"});
  CHECK(taken(own, start_of_presence) == Steps{"-r eve"});
  own.renew();
  CHECK(taken(own, start_of_presence) == Steps{"+r ann", "+r bob"});
}

TEST_CASE("presence: a step that was under way when the store forgot everything is made again",
          "[presence]") {
  OwnUsers own;
  const int a = 0;
  own.came(&a, "r", "ann", "");
  const auto first = own.take(start_of_presence);
  REQUIRE(first.size() == 1);
  own.renew();
  CHECK(own.take(start_of_presence).empty());
  own.done(first.front());
  CHECK(taken(own, start_of_presence) == Steps{"+r ann"});
}

TEST_CASE("presence: an answer to a step under a former name counts for nothing", "[presence]") {
  OwnUsers own;
  const int a = 0;
  own.came(&a, "r", "ann", "");
  const auto before = own.take(start_of_presence);
  own.begin_anew();
  const auto after = own.take(start_of_presence);
  REQUIRE(after.size() == 1);
  own.done(before.front());
  own.went(&a, "r", "ann", start_of_presence);
  CHECK(own.take(start_of_presence).empty());  // it still waits for the answer
  own.done(after.front());
  CHECK(taken(own, start_of_presence) == Steps{"-r ann"});
}

TEST_CASE("presence: a list takes the next change, knows former ones and notices what is missing",
          "[presence]") {
  using Fit = PresenceList::Fit;
  const auto mark = [](const char* text) { return *detail::Mark::parse(text); };
  PresenceList list;
  list.take({.at = {5, mark("aaaaaa")}, .count = 1, .is_listed = true, .entries = {{"ann"}}});
  const PresenceEvent known{.room = "r", .user = "eve", .at = {4, mark("000000")}};
  const PresenceEvent next{.room = "r",
                           .user = "bob",
                           .has_come = true,
                           .at = {6, mark("bbbbbb")},
                           .before = mark("aaaaaa")};
  PresenceEvent other = next;
  other.before = mark("xxxxxx");
  CHECK(list.apply(known) == Fit::known);
  CHECK(list.apply(other) == Fit::gap);
  CHECK(list.apply(next) == Fit::applied);
  CHECK(list.apply(next) == Fit::known);
  CHECK(list.users().size() == 2);
  other.at = {6, mark("yyyyyy")};  // the version was used again
  CHECK(list.apply(other) == Fit::gap);
}

}  // namespace
}  // namespace roost
