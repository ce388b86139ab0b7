// Keeps who is in the rooms, on all servers of the chat, and tells the members who comes and goes.
// The presence of roost finds that out: a person with several tabs counts once, and one who comes
// back soon was never away. A room with more than 256 people is only counted, so that its members
// are not told about everybody.
#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <roost/beast.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "replicas.hpp"

class Roster {
 public:
  explicit Roster(Replicas::Service& service) : manager_(service.manager()) {
    service.cluster().on_presence([this](const auto& change) { tell(change); });
    manager_.on_left([this](const auto&, std::string_view room) {
      if (manager_.room_size(room) == 0) rooms_.erase(std::string(room));
    });
  }

  /// Adds to the first event of a member who is in the room, as the other members have been told so
  /// far: the next change fits for all of them. The first member gets the list later, when this
  /// server knows it.
  void add_to(nlohmann::json& welcome, const std::string& name) const {
    const auto found = rooms_.find(name);
    if (found != rooms_.end()) add(welcome, found->second);
  }

 private:
  struct Room {
    std::map<std::string, nlohmann::json> people = {};  // by user
    std::size_t count = 0;                              // of people, also if none is listed
  };

  static void add(nlohmann::json& event, const Room& room) {
    event["members"] = nlohmann::json::array();
    for (const auto& [user, person] : room.people) event["members"].push_back(person);
    event["count"] = room.count;
  }

  /// Presence calls this on every server that has members in the room, so each server tells its
  /// own.
  void tell(const roost::PresenceChange& change) {
    if (manager_.room_size(change.room) == 0) return;  // they have left meanwhile
    Room& room = rooms_[change.room];
    const bool is_whole = change.is_fresh || !change.is_listed;
    if (is_whole) room.people.clear();
    for (const std::string& user : change.went) room.people.erase(user);
    nlohmann::json joined = nlohmann::json::array();
    for (const roost::PresentUser& user : change.came) {
      nlohmann::json person = {{"id", user.user}, {"name", user.info.value("name", "")}};
      joined.push_back(person);
      room.people[user.user] = std::move(person);
    }
    room.count = change.count;

    nlohmann::json event;
    if (is_whole) {
      event["event"] = "members";
      add(event, room);
    } else {
      event["event"] = "changes";
      event["joined"] = joined;
      event["left"] = change.went;
      event["count"] = change.count;
    }
    manager_.post_json(event, {.room = change.room, .record = false});
  }

  Replicas::Service::Manager& manager_;
  std::map<std::string, Room> rooms_;  // with members of this server, as they have been told
};
