// SPDX-License-Identifier: MIT
#include <roost/manager/registry/room_index.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using detail::RoomIndex;

struct Member : detail::RoomMember {};
using Strings = std::vector<std::string>;

std::set<const detail::RoomMember*> members_of(const RoomIndex& index, std::string_view room) {
  const auto members = index.members(room);
  return {members.begin(), members.end()};
}

TEST_CASE("a room exists while it has a member", "[rooms]") {
  RoomIndex index;
  Member a;
  Member b;
  CHECK(index.members("lobby").empty());
  CHECK(index.join(a, "lobby"));
  CHECK(index.join(b, "lobby"));
  CHECK(index.size() == 1);
  CHECK(index.leave(a, "lobby"));
  CHECK(index.list() == Strings{"lobby"});
  CHECK(index.leave(b, "lobby"));
  CHECK(index.list().empty());
  CHECK(index.size() == 0);
  CHECK(index.members("lobby").empty());
}

TEST_CASE("joining twice is joining once", "[rooms]") {
  RoomIndex index;
  Member a;
  CHECK(index.join(a, "lobby"));
  CHECK_FALSE(index.join(a, "lobby"));
  CHECK(index.members("lobby").size() == 1);
  CHECK(RoomIndex::room_count(a) == 1);
  CHECK(index.leave(a, "lobby"));
  CHECK_FALSE(index.leave(a, "lobby"));
  CHECK(RoomIndex::room_count(a) == 0);
}

TEST_CASE("leaving a room one is not in changes nothing", "[rooms]") {
  RoomIndex index;
  Member a;
  Member b;
  index.join(a, "lobby");
  CHECK_FALSE(index.leave(b, "lobby"));
  CHECK_FALSE(index.leave(a, "attic"));
  CHECK(members_of(index, "lobby") == std::set<const detail::RoomMember*>{&a});
}

TEST_CASE("rooms are listed sorted, of a member and of all", "[rooms]") {
  RoomIndex index;
  Member a;
  Member b;
  for (const char* room : {"m", "a", "z"}) index.join(a, room);
  index.join(b, "k");
  CHECK(RoomIndex::rooms_of(a) == Strings{"a", "m", "z"});
  CHECK(index.list() == Strings{"a", "k", "m", "z"});
  index.leave_all(a);
  CHECK(RoomIndex::rooms_of(a).empty());
  CHECK(index.list() == Strings{"k"});
}

TEST_CASE("a name that goes away does not matter to the index", "[rooms]") {
  RoomIndex index;
  Member a;
  {
    const std::string name = std::string("a name that is longer than any small buffer ") + "of it";
    index.join(a, name);
  }
  const std::string same = std::string("a name that is longer than any small buffer ") + "of it";
  CHECK(RoomIndex::contains(a, same));
  CHECK(index.leave(a, same));
}

TEST_CASE("many members come and go as in a map of sets", "[rooms]") {
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  RoomIndex index;
  std::vector<std::unique_ptr<Member>> members;
  for (int i = 0; i < 30; ++i) members.push_back(std::make_unique<Member>());
  const Strings names{"a", "b", "c", "d", "e", "f", "g"};
  std::map<std::string, std::set<const detail::RoomMember*>> model;

  for (int step = 0; step < 8000; ++step) {
    Member& member = *members[below(members.size())];
    const std::string& name = names[below(names.size())];
    // Phases of growing and of shrinking, so that rooms also die.
    const bool grows = step / 500 % 2 == 0;
    const std::size_t what = below(20);
    if (what == 0) {
      index.leave_all(member);
      for (auto& [room, in] : model) in.erase(&member);
    } else if ((what < 15) == grows) {
      REQUIRE(index.join(member, name) == model[name].insert(&member).second);
    } else {
      REQUIRE(index.leave(member, name) == (model[name].erase(&member) == 1));
    }
    std::erase_if(model, [](const auto& room) { return room.second.empty(); });

    Strings expected;
    for (const auto& [room, in] : model) {
      expected.push_back(room);
      REQUIRE(members_of(index, room) == in);
      REQUIRE(index.members(room).size() == in.size());
    }
    REQUIRE(index.list() == expected);
    Strings of_member;
    for (const auto& [room, in] : model) {
      if (in.contains(&member)) of_member.push_back(room);
    }
    REQUIRE(RoomIndex::rooms_of(member) == of_member);
    REQUIRE(RoomIndex::room_count(member) == of_member.size());
    REQUIRE(RoomIndex::contains(member, name) == model[name].contains(&member));
    std::erase_if(model, [](const auto& room) { return room.second.empty(); });
  }
  for (const auto& member : members) index.leave_all(*member);
  CHECK(index.size() == 0);
}

struct Witness final : detail::RoomObserver {
  Strings told;
  void on_room_opened(std::string_view name) override { told.push_back("+" + std::string(name)); }
  void on_room_closed(std::string_view name) noexcept override {
    told.push_back("-" + std::string(name));
  }
  boost::asio::awaitable<void> settled() override { co_return; }
  [[nodiscard]] const void* subject() const noexcept override { return this; }
};

TEST_CASE("an observer is told of rooms, those that are there first", "[rooms]") {
  RoomIndex index;
  Member a;
  Member b;
  index.join(a, "lobby");
  auto witness = std::make_shared<Witness>();
  index.observe(witness);
  index.join(b, "lobby");
  index.join(a, "attic");
  index.leave(a, "lobby");
  index.leave(b, "lobby");
  index.leave_all(a);
  CHECK(witness->told == Strings{"+lobby", "+attic", "-lobby", "-attic"});
  witness.reset();
  index.join(a, "cellar");  // nobody is told
}

}  // namespace
}  // namespace roost
