// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/clock.hpp"

namespace roost::detail {

/// How long to wait before the next attempt: anything up to a bound that doubles with each failure.
///
/// The whole delay is random ("full jitter"), so that replicas that have lost the same server do
/// not come back in lockstep.
class Backoff {
 public:
  /// @param shortest, longest  the bound after the first failure, and the highest one
  Backoff(Clock::duration shortest, Clock::duration longest) noexcept
      : shortest_(shortest), longest_(longest), bound_(shortest) {}

  /// @param random  evenly distributed, 0 <= random < 1
  [[nodiscard]] Clock::duration next(double random) noexcept {
    const Clock::duration bound = bound_;
    bound_ = bound > longest_ / 2 ? longest_ : bound * 2;
    return Clock::duration(
        static_cast<Clock::duration::rep>(static_cast<double>(bound.count()) * random));
  }
  void reset() noexcept { bound_ = shortest_; }

 private:
  const Clock::duration shortest_;
  const Clock::duration longest_;
  Clock::duration bound_;
};

}  // namespace roost::detail
