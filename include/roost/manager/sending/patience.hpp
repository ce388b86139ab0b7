// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "roost/base/clock.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// How long something may take.
struct TimeLimit {
  /// Altogether. None: as long as there is progress, and twelve times `without_progress` at most,
  /// since no limit of memory knows of connections that end.
  std::optional<Clock::duration> total;
  /// Before the peer takes more bytes, or does the last that is wanted of it.
  Clock::duration without_progress;
  /// How many bytes it must take in that time, unless that is all.
  std::size_t min_progress_bytes = 1;
  /// How long the last may take once it has taken all. None: `without_progress`.
  std::optional<Clock::duration> in_the_end = {};
};

/// How long a connection that ends is waited for: its peer may be slow, but must not stand still.
class Patience {
 public:
  using time_point = Clock::time_point;

  /// @param progress  what the peer has taken, and what it has still to take
  Patience(time_point now, const TimeLimit& limit, const SendProgress& progress) noexcept
      : without_progress_(limit.without_progress),
        in_the_end_(limit.in_the_end.value_or(limit.without_progress)),
        min_progress_bytes_(limit.min_progress_bytes),
        deadline_(now + limit.total.value_or(at_most(progress.pending))) {
    mark(now, progress);
  }

  [[nodiscard]] time_point deadline() const noexcept { return deadline_; }
  /// When to call `is_over` at the latest.
  [[nodiscard]] time_point next_look() const noexcept { return next_look_; }
  /// Looks whether the peer has taken enough since it last had.
  [[nodiscard]] bool is_over(time_point now, const SendProgress& progress) noexcept {
    const bool has_all = significant(progress.pending) == 0 && pending_ > 0;
    const auto taken = static_cast<std::int64_t>(progress.taken - taken_);
    if (has_all || taken >= static_cast<std::int64_t>(min_progress_bytes_)) {
      mark(now, progress);
    } else {
      plan_look(now);
    }
    return now >= std::min(give_up_, deadline_);
  }

 private:
  void mark(time_point now, const SendProgress& progress) noexcept {
    taken_ = progress.taken;
    pending_ = significant(progress.pending);
    give_up_ = now + (pending_ > 0 ? without_progress_ : in_the_end_);
    plan_look(now);
  }
  // With something to take it is looked at now and then, so that it is known when it took the last.
  void plan_look(time_point now) noexcept {
    next_look_ = std::min(give_up_, deadline_);
    if (pending_ > 0) next_look_ = std::min(next_look_, now + without_progress_ / 8);
  }
  // A close frame, for one, takes no time that would count.
  [[nodiscard]] std::size_t significant(std::size_t pending) const noexcept {
    return pending > min_progress_bytes_ / 8 ? pending : 0;
  }
  // A peer that takes as much as it must takes no longer.
  [[nodiscard]] Clock::duration at_most(std::size_t pending) const noexcept {
    constexpr std::size_t most = 12;
    const std::size_t times =
        significant(pending) > 0 ? std::min(1 + pending / min_progress_bytes_, most) : 0;
    return in_the_end_ + static_cast<Clock::duration::rep>(times) * without_progress_;
  }

  Clock::duration without_progress_;
  Clock::duration in_the_end_;
  std::size_t min_progress_bytes_;
  time_point deadline_;
  time_point give_up_;
  time_point next_look_;
  std::uint64_t taken_ = 0;
  std::size_t pending_ = 0;
};

}  // namespace roost::detail
