// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "roost/backplane/history/position.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

/// A state of the users of a room. The version is larger after each change, also after a time in
/// which the room had no users. The token is another for each change, so that versions which are
/// used again after a failover are not taken for known ones.
struct PresencePosition {
  std::uint64_t version = 0;
  Mark token = {};

  [[nodiscard]] bool operator==(const PresencePosition&) const noexcept = default;
};

/// A user came into a room, or went, seen across all replicas.
struct PresenceEvent {
  std::string room;
  std::string user;
  std::string info = {};  ///< JSON; empty: none.
  bool has_come = false;
  PresencePosition at = {};  ///< After the change.
  Mark before = {};          ///< The token before the change.
  std::size_t count = 0;     ///< Users in the room after the change.
};

/// What the store answers to a question for the users of a room.
struct PresenceAnswer {
  struct Entry {
    std::string user;
    std::string info = {};
    bool is_held = false;  ///< By the replica that asks.
  };

  PresencePosition at = {};
  std::size_t count = 0;
  bool is_listed = false;           ///< False: there are more users than were asked for.
  std::vector<Entry> entries = {};  ///< In no particular order.
};

/// The users of one room as a replica knows them: a state of the store, and the events after it.
class PresenceList {
 public:
  using Users = std::map<std::string, std::string, std::less<>>;  ///< With their information.

  enum class Fit {
    applied,  ///< It was the next change.
    known,    ///< It is a change before the state of this list.
    gap,      ///< Something is missing before it, or the store has another past.
  };

  [[nodiscard]] const Users& users() const noexcept { return users_; }
  [[nodiscard]] const PresencePosition& at() const noexcept { return at_; }

  Fit apply(const PresenceEvent& event) {
    if (event.at.version < at_.version || event.at == at_) return Fit::known;
    // The store forgets the past of a room without users.
    const bool is_next = event.before == at_.token || (users_.empty() && event.before == Mark());
    if (!is_next || event.at.version == at_.version) return Fit::gap;
    at_ = event.at;
    if (event.has_come) {
      users_.insert_or_assign(event.user, event.info);
    } else {
      users_.erase(event.user);
    }
    return Fit::applied;
  }

  /// Takes the state that the store has told.
  void take(const PresenceAnswer& answer) {
    Users users;
    for (const PresenceAnswer::Entry& entry : answer.entries) {
      users.emplace(entry.user, entry.info);
    }
    at_ = answer.at;
    users_ = std::move(users);
  }

 private:
  Users users_;
  PresencePosition at_;
};

/// The users of all rooms and the replicas that hold them: the store of a hub, and the model of the
/// scripts that keep the same in Redis. It has no clock.
class PresenceTable {
 public:
  using Replica = std::uint64_t;

  /// @param seed  of the generator of tokens
  explicit PresenceTable(std::uint64_t seed) : random_(seed) {}

  /// Notes that @p replica holds @p user. @returns an event if nobody held the user before
  std::optional<PresenceEvent> enter(Replica replica, const std::string& room,
                                     const std::string& user, std::string_view info) {
    Room& its = rooms_[room];
    const auto [found, is_new] = its.users.try_emplace(user);
    std::vector<Replica>& holders = found->second.holders;
    if (std::ranges::find(holders, replica) == holders.end()) holders.push_back(replica);
    if (!is_new) return std::nullopt;
    found->second.info = info;
    return change(its, {.room = room, .user = user, .info = std::string(info), .has_come = true});
  }

  /// Notes that @p replica does not hold @p user. @returns an event if nobody does any more
  std::optional<PresenceEvent> leave(Replica replica, const std::string& room,
                                     const std::string& user) {
    const auto its_room = rooms_.find(room);
    if (its_room == rooms_.end()) return std::nullopt;
    Room& its = its_room->second;
    const auto found = its.users.find(user);
    if (found == its.users.end() || std::erase(found->second.holders, replica) == 0) {
      return std::nullopt;
    }
    if (!found->second.holders.empty()) return std::nullopt;
    its.users.erase(found);
    PresenceEvent event = change(its, {.room = room, .user = user});
    if (its.users.empty()) rooms_.erase(its_room);
    return event;
  }

  /// @param max_listed  above so many users only their number is told
  [[nodiscard]] PresenceAnswer read(Replica replica, std::string_view room,
                                    std::size_t max_listed) const {
    const auto its_room = rooms_.find(room);
    if (its_room == rooms_.end()) return {.at = {last_version_, {}}, .is_listed = true};
    const Room& its = its_room->second;
    PresenceAnswer answer{
        .at = its.at, .count = its.users.size(), .is_listed = its.users.size() <= max_listed};
    if (!answer.is_listed) return answer;
    for (const auto& [user, entry] : its.users) {
      const bool is_held = std::ranges::find(entry.holders, replica) != entry.holders.end();
      answer.entries.push_back({user, entry.info, is_held});
    }
    return answer;
  }

  /// The rooms in which @p replica holds users, with these users.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> held_by(Replica replica) const {
    std::vector<std::pair<std::string, std::string>> held;
    for (const auto& [room, its] : rooms_) {
      for (const auto& [user, entry] : its.users) {
        const auto& holders = entry.holders;
        if (std::ranges::find(holders, replica) != holders.end()) held.emplace_back(room, user);
      }
    }
    return held;
  }

  [[nodiscard]] std::size_t rooms() const noexcept { return rooms_.size(); }

 private:
  struct User {
    std::vector<Replica> holders = {};
    std::string info = {};
  };
  struct Room {
    std::map<std::string, User, std::less<>> users = {};
    PresencePosition at = {};
  };

  PresenceEvent change(Room& room, PresenceEvent event) {
    event.before = std::exchange(room.at.token, Mark::random(random_));
    room.at.version = ++last_version_;
    event.at = room.at;
    event.count = room.users.size();
    return event;
  }

  std::unordered_map<std::string, Room, StringHash, std::equal_to<>> rooms_;
  std::mt19937_64 random_;
  std::uint64_t last_version_ = 0;
};

}  // namespace roost::detail
