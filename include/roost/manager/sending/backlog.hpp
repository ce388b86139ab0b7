// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "roost/base/clock.hpp"
#include "roost/manager/sending/pace.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// How far a socket is with what it is to send: the socket knows, or the queue in front of one that
/// takes no frames (`Queue`, else anything).
template <class Ws, class Queue>
struct Backlog {
  Ws& socket;
  const Queue& queue;

  /// What it costs in memory.
  [[nodiscard]] std::size_t bytes() const {
    if constexpr (HasOutbox<Ws>) {
      return socket.queued_bytes();
    } else if constexpr (!TakesFrames<Ws>) {
      return queue.cost();
    } else {
      return 0;
    }
  }

  /// When the oldest byte was queued. A socket goes by the clock of the application, deadlines by
  /// that of @p loop.
  [[nodiscard]] std::optional<Clock::time_point> oldest(
      [[maybe_unused]] const LoopClock& loop) const {
    if constexpr (HasOutbox<Ws>) {
      std::optional<Clock::time_point> oldest = socket.oldest_queued();
      if (oldest) oldest = loop.from_base(*oldest);
      return oldest;
    } else if constexpr (!TakesFrames<Ws>) {
      return queue.oldest();
    } else {
      return std::nullopt;
    }
  }

  /// What its peer has taken, for a `Pace`.
  [[nodiscard]] SendProgress pace(const LoopClock& loop) const {
    if constexpr (TellsProgress<Ws>) {
      return socket.send_progress();
    } else if constexpr (!TakesFrames<Ws>) {
      return {.taken = queue.sent_bytes()};
    } else if (const auto time = oldest(loop)) {
      // A lot is taken whenever the oldest byte is another.
      return {.taken = static_cast<std::uint64_t>(time->time_since_epoch().count())};
    }
    return {};
  }

  /// What its peer has taken, and what it has not, once nothing more is queued.
  [[nodiscard]] SendProgress rest() const {
    if constexpr (TellsProgress<Ws>) {
      return socket.send_progress();
    } else if constexpr (!TakesFrames<Ws>) {
      return queue.progress();
    } else {
      const std::size_t queued = bytes();
      return {.taken = std::uint64_t{0} - queued, .pending = queued};  // what is gone is taken
    }
  }
};
}  // namespace roost::detail
