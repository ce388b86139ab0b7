// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "roost/base/clock.hpp"

namespace roost {

/// Which rooms have presence: for these rooms every replica knows the users on all replicas.
struct PresenceRule {
  /// The name of a room, or a prefix of names followed by `*`: `"lobby"`, `"chat/*"`, `"*"`. UTF-8
  /// without control characters, not empty; `*` may stand at the end only.
  std::string rooms;
  /// The largest number of users of a room of which a list is kept. A larger room is only counted,
  /// every 5 seconds; it is listed again below three quarters of this. 1 to 10,000.
  std::size_t max_listed = 256;
  /// How long a user whose last connection here has left the room counts as present. A user who is
  /// back by then, with any replica, was never away. The default is longer than clients take to
  /// come back during a deploy: see `DrainOptions::retry_spread`. 0 to 1 hour.
  Clock::duration linger = std::chrono::seconds(15);
  /// Changes of a room that follow each other within this time are told together. 0: each change is
  /// told by itself; at most 1 minute.
  Clock::duration tell_interval = std::chrono::milliseconds(500);

  /// Whether all fields are the same.
  [[nodiscard]] bool operator==(const PresenceRule&) const = default;
};

/// The rooms that have presence. All replicas must have the same options.
struct PresenceOptions {
  /// The first rule that matches a room applies; a room without one has no presence. At most 64.
  std::vector<PresenceRule> rules = {};

  /// Whether the rules are the same.
  [[nodiscard]] bool operator==(const PresenceOptions&) const = default;
};

/// A user who is in a room.
struct PresentUser {
  std::string user;  ///< See `ConnectOptions::user`.
  /// `ConnectOptions::user_info` of the user's first connection; or null.
  nlohmann::json info = {};
};

/// The users of a room, on all replicas.
struct Presence {
  /// Sorted by the name of the user. Empty if the room is only counted.
  std::vector<PresentUser> users = {};
  std::size_t count = 0;   ///< How many users are in the room.
  bool is_listed = false;  ///< False: the room is only counted, see `PresenceRule::max_listed`.
};

/// Tells the hook which users came into a room and which went. The room has members with this
/// replica.
struct PresenceChange {
  std::string room;  ///< The name of the room.
  /// Users who came. A user may also be in `went`: they went, and came back with other information.
  std::vector<PresentUser> came = {};
  std::vector<std::string> went = {};  ///< Users who went.
  std::size_t count = 0;               ///< How many users are in the room now.
  /// False: only `count` is told of this room, since it has too many users to be listed.
  bool is_listed = true;
  /// `came` holds everyone who is in the room: replace what you know of it. So it is when the room
  /// gets its first member here, and when it is listed again after it was only counted.
  bool is_fresh = false;
};

namespace detail {

/// Implemented by a backplane that knows which users are in which rooms. From any thread.
class BackplanePresence {
 public:
  using Hook = std::function<void(const PresenceChange&)>;

  virtual ~BackplanePresence() = default;
  /// Whether a rule matches the room.
  [[nodiscard]] virtual bool lists(std::string_view room) const noexcept = 0;
  /// Notes that a connection of @p user is in @p room.
  /// @param source  the manager; only compared
  /// @param info    JSON; empty: none
  virtual void enter(const void* source, std::string_view room, std::string_view user,
                     std::string_view info) = 0;
  virtual void leave(const void* source, std::string_view room, std::string_view user) noexcept = 0;
  /// Notes that all connections of a manager have left.
  virtual void leave_all(const void* source) noexcept = 0;
  /// Calls @p hook with the changes of all rooms, on the backplane's executor.
  virtual void on_change(Hook hook) = 0;
  /// @par Errors  `errc::backplane_unavailable`.
  virtual boost::asio::awaitable<Presence> present(std::string room) = 0;
  virtual boost::asio::awaitable<std::size_t> count(std::string room) = 0;
};

}  // namespace detail

}  // namespace roost
