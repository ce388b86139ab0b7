// SPDX-License-Identifier: MIT
// What a replica asks the store and tells its hooks, each as soon as it can.
#include <roost/backplane/presence/presence_list.hpp>
#include <roost/backplane/presence/presence_rooms.hpp>

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using detail::PresenceAnswer;
using detail::PresenceCall;
using detail::PresenceEvent;
using detail::PresenceRooms;
using detail::PresenceTable;
using Users = std::set<std::string>;
using namespace std::chrono_literals;

/// One replica with the user ann in a room, and a store that others use too.
struct OneRoom {
  static constexpr PresenceTable::Replica own = 1;
  static constexpr PresenceTable::Replica other = 2;

  OneRoom() {
    rooms.enter(this, "r", "ann", "");
    (void)rooms.take_doors();
    rooms.subscribed("r");
    serve();
    serve();
    (void)rooms.take_changes(now);
    now += 1s;
  }
  PresenceEvent come(const std::string& user) { return table.enter(other, "r", user, "").value(); }
  PresenceEvent go(const std::string& user) { return table.leave(other, "r", user).value(); }
  PresenceAnswer state(const PresenceCall& call) { return table.read(own, "r", call.max_listed); }
  /// The questions that are asked now. @pre nobody enters or leaves here
  std::vector<PresenceCall> asked() { return rooms.take_calls(now); }
  void serve() {
    for (const PresenceCall& call : rooms.take_calls(now)) {
      if (call.kind == PresenceCall::Kind::read) {
        rooms.answered(call, state(call), now);
      } else {
        if (const auto event = table.enter(own, "r", call.step.user, "")) rooms.event(*event);
        rooms.done(call);
      }
    }
  }
  /// What the hooks are told now, as "+user" and "-user".
  Users told() {
    Users told;
    for (const PresenceChange& change : rooms.take_changes(now)) {
      for (const PresentUser& user : change.came) told.insert('+' + user.user);
      for (const std::string& user : change.went) told.insert('-' + user);
    }
    return told;
  }
  std::optional<Users> present() const {
    const std::optional<Presence> present = rooms.present("r");
    if (!present) return std::nullopt;
    Users names;
    for (const PresentUser& user : present->users) names.insert(user.user);
    return names;
  }

  Clock::time_point now{1h};
  PresenceRooms rooms{{.rules = {{.rooms = "r", .max_listed = 4, .tell_interval = 500ms}}}};
  PresenceTable table{1};
};

TEST_CASE("presence: a list that misses a change is unknown until it is read anew", "[presence]") {
  OneRoom room;
  (void)room.come("bob");  // its event is lost
  room.rooms.event(room.come("carl"));
  CHECK(room.present() == std::nullopt);
  room.serve();
  CHECK(room.present() == Users{"ann", "bob", "carl"});
  CHECK(room.told() == Users{"+bob", "+carl"});
  CHECK(room.asked().empty());
}

TEST_CASE("presence: changes that arrive before the list they belong to are not lost",
          "[presence]") {
  OneRoom room;
  room.rooms.disconnected();
  room.rooms.subscribed("r");
  const auto question = room.asked();
  REQUIRE(question.size() == 1);
  const PresenceAnswer answer = room.state(question.front());
  room.rooms.event(room.come("bob"));
  room.rooms.answered(question.front(), answer, room.now);
  CHECK(room.present() == Users{"ann", "bob"});
  CHECK(room.told() == Users{"+bob"});
  CHECK(room.asked().empty());
}

TEST_CASE("presence: changes within an interval are told together, and none that is undone",
          "[presence]") {
  OneRoom room;
  room.rooms.event(room.come("bob"));
  CHECK(room.told() == Users{"+bob"});
  room.rooms.event(room.come("carl"));
  room.rooms.event(room.come("dave"));
  room.rooms.event(room.go("dave"));
  room.rooms.event(room.go("bob"));
  CHECK(room.rooms.next_due() == room.now + 500ms);
  room.now += 499ms;
  CHECK(room.told().empty());
  room.now += 1ms;
  CHECK(room.told() == Users{"+carl", "-bob"});
  room.rooms.event(room.go("carl"));
  room.rooms.event(room.come("carl"));
  room.now += 500ms;
  CHECK(room.told().empty());
}

TEST_CASE("presence: a large room is asked for its number, and listed again when it is smaller",
          "[presence]") {
  OneRoom room;
  for (const char* user : {"b", "c", "d", "e"}) room.rooms.event(room.come(user));
  const auto question = room.asked();
  REQUIRE(question.size() == 1);
  CHECK(question.front().max_listed == 3);  // three quarters
  (void)room.go("e");
  room.rooms.answered(question.front(), room.state(question.front()), room.now);
  const std::optional<Presence> present = room.rooms.present("r");
  REQUIRE(present);
  CHECK(present->count == 4);
  CHECK_FALSE(present->is_listed);
  CHECK(room.told().empty());  // only the number is told
  CHECK(room.rooms.next_due() == room.now + PresenceRooms::poll_interval);
  (void)room.go("d");
  room.now += PresenceRooms::poll_interval;
  room.serve();
  CHECK(room.present() == Users{"ann", "b", "c"});
}

TEST_CASE("presence: a list that has another past than the store is read anew at a check",
          "[presence]") {
  OneRoom room;
  const auto failed_over = [&room] {
    PresenceTable past(2);  // the same versions, other changes
    (void)past.enter(OneRoom::own, "r", "ann", "");
    return past;
  };
  room.now += PresenceRooms::check_interval;
  room.table = failed_over();
  room.serve();  // the check
  room.serve();
  CHECK(room.rooms.counts().reads == 2);
  CHECK(room.present() == Users{"ann"});
}

TEST_CASE("presence: a change that no event tells of is found by a check", "[presence]") {
  OneRoom room;
  (void)room.come("bob");  // its event is lost
  room.now += PresenceRooms::check_interval - 1s;
  room.serve();
  CHECK(room.present() == Users{"ann"});
  room.now += 1s;
  room.serve();  // the event may still be on its way
  CHECK(room.present() == Users{"ann"});
  room.now += PresenceRooms::poll_interval;
  room.serve();
  CHECK(room.present() == Users{"ann", "bob"});
}

TEST_CASE("presence: a user whom the store has lost enters again when the list is read",
          "[presence]") {
  OneRoom room;
  (void)room.come("bob");
  (void)room.table.leave(OneRoom::own, "r", "ann");
  room.rooms.event(room.come("carl"));
  const auto question = room.asked();
  REQUIRE(question.size() == 1);
  room.rooms.answered(question.front(), room.state(question.front()), room.now);
  const auto calls = room.asked();
  REQUIRE(calls.size() == 1);
  CHECK(calls.front().kind == PresenceCall::Kind::enter);
  CHECK(calls.front().step.user == "ann");
}

TEST_CASE("presence: when the store may have forgotten everything, all is told and asked again",
          "[presence]") {
  OneRoom room;
  room.rooms.renew();
  std::vector<PresenceCall::Kind> kinds;
  for (const PresenceCall& call : room.asked()) kinds.push_back(call.kind);
  CHECK(kinds == std::vector{PresenceCall::Kind::enter, PresenceCall::Kind::read});
}

TEST_CASE("presence: a question that failed is asked again at the next beat", "[presence]") {
  OneRoom room;
  room.rooms.disconnected();
  room.rooms.subscribed("r");
  const auto question = room.asked();
  REQUIRE(question.size() == 1);
  room.rooms.failed(question.front());
  CHECK(room.asked().empty());
  room.rooms.retry();
  CHECK(room.asked().size() == 1);
}

}  // namespace
}  // namespace roost
