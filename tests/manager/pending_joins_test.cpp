// SPDX-License-Identifier: MIT
// Whether a join that is given up is undone, when others asked for the same.
#include <roost/manager/registry/registry.hpp>

#include <optional>

#include "catch.hpp"

namespace roost::detail {
namespace {

struct Joins {
  PendingJoins joins;
  int alice = 0, bob = 0;  // as connections

  using Waiting = std::optional<PendingJoins::Waiting>;
  void join(Waiting& waiting, const int& who, const char* room, bool is_new) {
    waiting.emplace(joins, &who, room, is_new);
  }
};

TEST_CASE("a join that alone is given up is undone", "[pending_joins]") {
  Joins joins;
  Joins::Waiting first;
  joins.join(first, joins.alice, "lobby", true);
  CHECK(first->is_last());
  Joins::Waiting other_room, somebody_else;
  joins.join(other_room, joins.alice, "attic", true);
  joins.join(somebody_else, joins.bob, "lobby", true);
  CHECK(first->is_last());
}

TEST_CASE("of several joins only the last that is given up is undone, in any order",
          "[pending_joins]") {
  Joins joins;
  Joins::Waiting first, second;
  joins.join(first, joins.alice, "lobby", true);
  joins.join(second, joins.alice, "lobby", false);
  const bool is_first = GENERATE(true, false);
  Joins::Waiting& sooner = is_first ? first : second;
  Joins::Waiting& later = is_first ? second : first;
  CHECK_FALSE(sooner->is_last());
  sooner.reset();
  CHECK(later->is_last());
}

TEST_CASE("a join that was told it is in keeps the room for the others", "[pending_joins]") {
  Joins joins;
  Joins::Waiting first, second;
  joins.join(first, joins.alice, "lobby", true);
  joins.join(second, joins.alice, "lobby", false);
  second->keep();
  second.reset();
  CHECK_FALSE(first->is_last());
  first.reset();
  joins.join(first, joins.alice, "lobby", true);  // it has left since
  CHECK(first->is_last());
}

TEST_CASE("a member that was in the room before stays in it", "[pending_joins]") {
  Joins joins;
  Joins::Waiting first;
  joins.join(first, joins.alice, "lobby", false);
  CHECK_FALSE(first->is_last());
}

TEST_CASE("a member that has left and joined again is not undone by the first join",
          "[pending_joins]") {
  Joins joins;
  Joins::Waiting first, second, third;
  joins.join(first, joins.alice, "lobby", true);
  joins.join(second, joins.alice, "lobby", true);
  CHECK_FALSE(first->is_last());
  first.reset();
  joins.join(third, joins.alice, "lobby", false);
  CHECK_FALSE(second->is_last());
  second.reset();
  CHECK(third->is_last());
}

}  // namespace
}  // namespace roost::detail
