// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "roost/base/clock.hpp"
#include "roost/socket/disconnect.hpp"

namespace roost {

/// The counters and gauges of a manager. A gauge is the current value; a counter starts at 0 when
/// the manager is made.
struct Stats {
  std::size_t connections = 0;   ///< Gauge: registered connections.
  std::size_t rooms = 0;         ///< Gauge: rooms with a member.
  std::size_t queued_bytes = 0;  ///< Gauge: bytes in all outboxes, counted per recipient.
  /// Gauge: about the memory of all outboxes, where shared messages count once, and of the replayed
  /// messages that are kept for a while, at most an eighth of `max_total_outbox_bytes`.
  std::size_t outbox_memory = 0;
  std::size_t blocked = 0;       ///< Gauge: connections whose outbox a flush did not empty.
  std::uint64_t accepted = 0;    ///< Counter: connections registered.
  std::uint64_t refused = 0;     ///< Counter: connections refused by `connect`.
  std::uint64_t broadcasts = 0;  ///< Counter: broadcasts, awaited and posted.
  std::uint64_t deliveries = 0;  ///< Counter: frames that connections accepted, or parked for them.
  std::uint64_t dropped = 0;     ///< Counter: frames dropped by a drop policy.
  std::uint64_t conflated = 0;   ///< Counter: frames that replaced one with their key.
  std::uint64_t rate_limited = 0;   ///< Counter: messages over the inbound rate.
  std::uint64_t rooms_refused = 0;  ///< Counter: joins refused by a limit on rooms or members.
  std::uint64_t recovered = 0;      ///< Counter: rooms in which a client got all it had missed.
  std::uint64_t not_recovered = 0;  ///< Counter: rooms in which a client lost messages.
  std::uint64_t replayed = 0;       ///< Counter: earlier messages offered to connections.
  // Counters of `listen`: clients that were turned away before their handler began.
  std::uint64_t refused_by_key = 0;        ///< Clients over `per_key`.
  std::uint64_t handshakes_evicted = 0;    ///< Clients over `max_handshakes`.
  std::uint64_t handshakes_timed_out = 0;  ///< Clients over `handshake_timeout`.
  std::uint64_t requests_refused = 0;      ///< Requests answered with 400, 414 or 431.

  /// Counter: connections that ended, indexed by `DisconnectReason`.
  std::array<std::uint64_t, static_cast<std::size_t>(DisconnectReason::manager_stopped) + 1> ended =
      {};
  /// Returns how many connections ended for @p reason.
  [[nodiscard]] std::uint64_t ended_by(DisconnectReason reason) const noexcept {
    return ended[static_cast<std::size_t>(reason)];
  }
};

/// The counters of a `HeartbeatMonitor`, which start at 0 when it is made, and a gauge. Connections
/// that it dropped are counted in `Stats::ended_by(DisconnectReason::heartbeat_timeout)`.
struct HeartbeatStats {
  std::size_t watched = 0;    ///< Gauge: connections that it watches.
  std::uint64_t pings = 0;    ///< Counter: pings that sockets accepted.
  Clock::duration late = {};  ///< Counter: total time for which the loop stalled.
};

}  // namespace roost
