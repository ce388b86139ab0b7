// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "roost/base/clock.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

/// The users that are in rooms through connections of this replica, and what the store knows of
/// them. Only a user's first connection in a room and, after `linger`, the last one reach the
/// store. It has no clock and no connection: time is an argument.
class OwnUsers {
 public:
  using time_point = Clock::time_point;

  /// What the store is to be told.
  struct Step {
    std::string room = {};
    std::string user = {};
    std::string info = {};
    bool is_enter = false;
    bool is_last = false;          ///< The replica has no other user in the room.
    std::uint64_t generation = 0;  ///< Used by `OwnUsers`.
  };

  /// A connection of @p user came into @p room.
  /// @param source  the manager; only compared
  /// @returns whether it is the first connection of anybody in that room
  bool came(const void* source, std::string_view room, std::string_view user,
            std::string_view info);
  /// A connection of @p user has left @p room.
  /// @param leaves_at  when the store is to be told, if it was the last one
  /// @returns whether it was the last connection of anybody in that room
  bool went(const void* source, std::string_view room, std::string_view user, time_point leaves_at);
  /// The rooms and users of a manager, each once for each connection.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> of(const void* source) const;

  /// What the store is to be told now. A step is under way until `done` or `failed`, and no other
  /// step of its user in its room is taken before.
  std::vector<Step> take(time_point now);
  void done(const Step& step);
  /// The store may have made the step or not: `retry` takes it again.
  void failed(const Step& step);
  void retry();
  /// The store may have forgotten everything: all users enter again.
  void renew();
  /// Everything is known to be gone at the store, as after another name was taken.
  void begin_anew();
  /// The store says that this replica holds @p held in @p room: what it does not hold leaves.
  void end_stale(std::string_view room, const std::vector<std::string>& held);
  /// The store says that this replica holds nobody but @p held in @p room: the others enter again.
  void restore(std::string_view room, const std::set<std::string_view>& held);

  /// When there is something to take; `time_point::max()` if there is nothing.
  [[nodiscard]] time_point next_due() const noexcept;
  /// How many users are present through this replica, counted once for each room.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  enum class Known : unsigned char { absent, present, unsure };
  struct Held {
    const void* source;
    std::size_t connections;
  };
  struct Own {
    std::vector<Held> held = {};  ///< By manager.
    std::string info = {};
    std::optional<time_point> leaves_at = {};
    Known known = Known::absent;
    bool is_under_way = false;
    bool has_failed = false;
    bool is_queued = false;

    [[nodiscard]] bool is_wanted() const noexcept { return !held.empty() || leaves_at; }
  };
  using Users = std::map<std::string, Own, std::less<>>;
  struct Room {
    Users users = {};
    std::size_t connections = 0;
  };
  using Key = std::pair<std::string, std::string>;  // room and user

  [[nodiscard]] Own* find(std::string_view room, std::string_view user);
  void queue(const std::string& room, const std::string& user, Own& own);
  void end_lingering(time_point now);
  /// Forgets a user who is neither here nor at the store.
  void erase(const std::string& room, const std::string& user);

  std::unordered_map<std::string, Room, StringHash, std::equal_to<>> rooms_;
  std::deque<Key> queue_;  // users whose state may differ from the store's
  std::vector<Key> failed_;
  std::multimap<time_point, Key> lingering_;
  std::size_t size_ = 0;
  std::uint64_t generation_ = 0;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/presence/own_users.ipp"
#endif
