// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "roost/base/clock.hpp"

namespace roost::detail {

/// How long something may take.
struct TimeLimit {
  /// Altogether.
  Clock::duration total;
  /// Before the peer takes more bytes, or does the last that is wanted of it.
  Clock::duration without_progress;
};

/// How long a connection that ends is waited for: its peer may be slow, but must not stand still.
class Patience {
 public:
  using time_point = Clock::time_point;

  /// @param unsent  bytes that the peer has still to take
  Patience(time_point now, const TimeLimit& limit, std::size_t unsent) noexcept
      : deadline_(now + limit.total), without_progress_(limit.without_progress), unsent_(unsent) {
    give_up_ = now + without_progress_;
    plan_look(now);
  }

  [[nodiscard]] time_point deadline() const noexcept { return deadline_; }
  /// When to call `is_over` at the latest.
  [[nodiscard]] time_point next_look() const noexcept { return next_look_; }
  /// Looks whether the peer has taken something since the last look.
  [[nodiscard]] bool is_over(time_point now, std::size_t unsent) noexcept {
    if (std::exchange(unsent_, unsent) > unsent) give_up_ = now + without_progress_;
    plan_look(now);
    return now >= std::min(give_up_, deadline_);
  }

 private:
  // With something to take it is looked at now and then, so that it is known when it took the last.
  void plan_look(time_point now) noexcept {
    next_look_ = std::min(give_up_, deadline_);
    if (unsent_ > 0) next_look_ = std::min(next_look_, now + without_progress_ / 8);
  }

  time_point deadline_;
  time_point give_up_;
  time_point next_look_;
  Clock::duration without_progress_;
  std::size_t unsent_;
};

}  // namespace roost::detail
