// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "roost/base/clock.hpp"
#include "roost/socket/disconnect.hpp"

namespace roost {

/// What a manager counts. Gauges are as of now, counters since the manager was made.
struct Stats {
  std::size_t connections = 0;    ///< Gauge: registered now.
  std::size_t rooms = 0;          ///< Gauge: rooms with a member.
  std::size_t queued_bytes = 0;   ///< Gauge: bytes in all outboxes, once for each recipient.
  std::size_t outbox_memory = 0;  ///< Gauge: what these cost in memory, about: shared ones once.
  std::size_t blocked = 0;        ///< Gauge: connections whose peers do not take all bytes at once.
  std::uint64_t accepted = 0;     ///< Counter: connections registered.
  std::uint64_t refused = 0;      ///< Counter: connections refused by `connect`.
  std::uint64_t broadcasts = 0;   ///< Counter: broadcasts, awaited and posted.
  std::uint64_t deliveries = 0;   ///< Counter: frames taken by connections or parked for them.
  std::uint64_t dropped = 0;      ///< Counter: frames that a drop policy kept from a connection.
  std::uint64_t conflated = 0;    ///< Counter: frames that took the place of one with their key.
  std::uint64_t rate_limited = 0;   ///< Counter: messages that had to wait, or were the last.
  std::uint64_t rooms_refused = 0;  ///< Counter: refused as a room, or its connection's, is full.
  // Counters of `listen`: who never came as far as to the handler.
  std::uint64_t refused_by_key = 0;        ///< Over `per_key`.
  std::uint64_t handshakes_evicted = 0;    ///< Over `max_handshakes`.
  std::uint64_t handshakes_timed_out = 0;  ///< Over `handshake_timeout`.
  std::uint64_t requests_refused = 0;      ///< With a 400, 414 or 431.

  /// Counter: connections that ended, by `DisconnectReason`.
  std::array<std::uint64_t, static_cast<std::size_t>(DisconnectReason::manager_stopped) + 1> ended =
      {};
  /// How many connections ended for @p reason.
  [[nodiscard]] std::uint64_t ended_by(DisconnectReason reason) const noexcept {
    return ended[static_cast<std::size_t>(reason)];
  }
};

/// What a `HeartbeatMonitor` counts, since it was made; and a gauge. Connections that it dropped
/// are `Stats::ended_by(DisconnectReason::heartbeat_timeout)`.
struct HeartbeatStats {
  std::size_t watched = 0;    ///< Gauge: connections that it watches over.
  std::uint64_t pings = 0;    ///< Counter: pings that were taken, to be sent.
  Clock::duration late = {};  ///< Counter: how long the loop did not run when it should have.
};

}  // namespace roost
