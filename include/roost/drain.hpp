// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "roost/clock.hpp"
#include "roost/close_code.hpp"
#include "roost/detail/config.hpp"

namespace roost {

/// How a manager lets its connections go before the process ends.
struct DrainOptions {
  /// When all must be over: what has not closed by then is aborted. 0 to 1 day. A peer that takes
  /// nothing, or does not answer its close frame, is aborted after the manager's `close_timeout`
  /// already, and one that does not end its request after the `close_timeout` of `listen`, so that
  /// a drain rarely takes longer than `spread` and that. Keep it below the time after which the
  /// process is killed: Docker's is 10 s, Kubernetes' 30 s.
  Clock::duration deadline = std::chrono::seconds(30);
  /// The close code that the connections get.
  std::uint16_t code = close_code::service_restart;
  /// The time over which the closes are paced, one after the other at equal distances of at most
  /// 10 ms: few are not kept waiting. Cut to half of the deadline, so that the last has time to
  /// answer. 0: all at once; at most 1 day.
  Clock::duration spread = std::chrono::seconds(5);
  /// How long clients are asked to wait before they come back: the close reason is `retry-ms=N`,
  /// with N spread evenly over `retry_spread` from here on, so that they do not come all at once.
  /// 0 to 1 day.
  Clock::duration retry_after = std::chrono::seconds(1);
  /// See `retry_after`. 0 to 1 day.
  Clock::duration retry_spread = std::chrono::seconds(10);
};

/// How those left who were registered when a drain began. `closed`, `left` and `aborted` add up to
/// `connections`.
struct DrainReport {
  std::size_t connections = 0;  ///< How many there were.
  std::size_t closed = 0;       ///< Got their close frame, and were gone before the deadline.
  std::size_t left = 0;         ///< Left by themselves, or were dropped, before it was their turn.
  std::size_t aborted = 0;      ///< Were cut off at the deadline, or after `close_timeout`.
  /// Handlers of connections that still run: they ignore that they were cancelled.
  std::size_t unfinished = 0;
};

static_assert(std::is_trivially_destructible_v<DrainOptions>);

namespace detail {

void validate(const DrainOptions& options);

}  // namespace detail
}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/impl/drain.ipp"
#endif
