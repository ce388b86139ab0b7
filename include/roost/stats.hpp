// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "roost/clock.hpp"
#include "roost/disconnect.hpp"

namespace roost {

/// What a manager counts. Gauges are as of now, counters since the manager was made.
struct Stats {
  std::size_t connections = 0;   ///< Gauge: registered now.
  std::size_t rooms = 0;         ///< Gauge: rooms with a member.
  std::size_t queued_bytes = 0;  ///< Gauge: bytes in all outboxes together.
  std::size_t congested = 0;     ///< Gauge: connections whose peers do not take all bytes at once.
  std::uint64_t accepted = 0;    ///< Counter: connections registered.
  std::uint64_t refused = 0;     ///< Counter: connections refused by `connect`.
  std::uint64_t broadcasts = 0;  ///< Counter: broadcasts, awaited and posted.
  std::uint64_t deliveries = 0;  ///< Counter: frames taken by connections or parked for them.

  /// Counter: connections that ended, by `DisconnectReason`.
  std::array<std::uint64_t, static_cast<std::size_t>(DisconnectReason::manager_stopped) + 1> ended =
      {};
  [[nodiscard]] std::uint64_t ended_by(DisconnectReason reason) const noexcept {
    return ended[static_cast<std::size_t>(reason)];
  }
};

/// What a `HeartbeatMonitor` counts, since it was made; and a gauge. Connections that it dropped
/// are `Stats::ended_by(DisconnectReason::heartbeat_timeout)`.
struct HeartbeatStats {
  std::size_t watched = 0;    ///< Gauge: connections that it watches over.
  std::uint64_t pings = 0;    ///< Counter: pings that were taken, to be sent.
  Clock::duration late = {};  ///< Counter: how long the loop was late in all.
};

}  // namespace roost
