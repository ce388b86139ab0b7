// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"

namespace roost {

/// Which rooms have a history, and how much of it the store keeps.
struct HistoryRule {
  /// The name of a room, or a prefix of names followed by `*`: `"lobby"`, `"chat/*"`, `"*"`. UTF-8
  /// without control characters, not empty; `*` may stand at the end only.
  std::string rooms;
  /// How many messages of a room are kept. 1 to 10,000.
  std::size_t max_messages = 100;
  /// How many bytes of a room's messages are kept, as JSON. Also the limit for one replay to a
  /// connection, and for a single message. 4 KiB to 64 MiB.
  std::size_t max_bytes = 262'144;
  /// How old a message may become. This bounds memory only: an older message may still be replayed.
  /// 1 second to 7 days.
  Clock::duration max_age = std::chrono::minutes(5);
};

/// Which messages are recorded, and for how long. All replicas must have the same options.
struct HistoryOptions {
  /// The first rule that matches a room applies; a room without one is not recorded. At most 64.
  std::vector<HistoryRule> rules = {};
  /// How long a client's position stays valid after the last message of a room. While a room has
  /// members its position stays valid, however quiet the room is. Must be above the `max_age` of
  /// each rule; at most a year. In Redis a position stays valid for 30 seconds at least.
  Clock::duration position_age = std::chrono::hours(24);
  /// How many bytes of the newest messages this replica keeps in its own memory, for all rooms with
  /// members here together. 0: each client that comes back causes a request to the store.
  std::size_t max_cached_bytes = 33'554'432;
  /// How many rooms of one channel a `LocalHub` keeps a history of. For one more room the history
  /// of another is dropped: that of the room without members which was not used for the longest
  /// time. If all rooms have members, it is one of these. Clients that come back with a position in
  /// that room are told `lost` (`LossReason::epoch`). At least 1. A history in Redis does not use
  /// this limit.
  std::size_t max_rooms = 100'000;
};

namespace detail {

/// Checks the options of a history.
/// @par Errors  `errc::invalid_option`, naming the field.
void check_history(const HistoryOptions& options);

}  // namespace detail

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/history.ipp"
#endif
