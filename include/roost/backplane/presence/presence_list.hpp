// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "roost/backplane/history/position.hpp"

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

}  // namespace roost::detail
