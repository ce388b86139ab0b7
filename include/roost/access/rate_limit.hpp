// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>

#include "roost/base/error.hpp"

namespace roost {

/// A rate limit with bursts: a token bucket.
struct RateLimit {
  /// How many units (messages, bytes, connections) per second. 0: no limit; at most 1 000 000 000.
  std::size_t per_second = 0;
  /// How many units may come at the same time after a pause. 0: as many as per second. At most what
  /// the rate allows in a day, and at most 1 000 000 000.
  std::size_t burst = 0;
};

namespace detail {

inline void validate(const RateLimit& limit, const char* field) {
  constexpr std::size_t largest = 1'000'000'000;
  const bool is_burst_legal =
      limit.burst <= largest && (limit.per_second == 0 || limit.burst / 86'400 <= limit.per_second);
  check_option(limit.per_second <= largest, field, ".per_second must be at most 1000000000");
  check_option(is_burst_legal, field,
               ".burst must be at most 1000000000 and at most a day's worth of per_second");
}

}  // namespace detail
}  // namespace roost

namespace roost::detail {

/// The state of a `RateLimit`: the time at which the bucket is full again. It takes eight bytes and
/// no timer; the bucket is full at first.
class TokenBucket {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  /// Takes @p n units if there are so many. @returns whether there were
  bool try_take(const RateLimit& limit, time_point now, std::size_t n = 1) noexcept {
    if (ready_at(limit, n) > now) return false;
    take(limit, now, n);
    return true;
  }
  /// Takes @p n units, into debt if necessary.
  void take(const RateLimit& limit, time_point now, std::size_t n) noexcept {
    if (limit.per_second == 0) return;
    settle(now);
    full_at_ += time_for(limit, n);
  }
  /// Discards the units beyond a full bucket that came before @p then.
  void settle(time_point then) noexcept { full_at_ = std::max(full_at_, then); }
  /// Returns when the bucket is full.
  [[nodiscard]] time_point full_at() const noexcept { return full_at_; }
  /// Returns when the bucket holds @p n units, or is full if @p n is more than a burst. The time
  /// may be in the past.
  [[nodiscard]] time_point ready_at(const RateLimit& limit, std::size_t n = 1) const noexcept {
    if (limit.per_second == 0) return time_point::min();
    const std::size_t burst = limit.burst > 0 ? limit.burst : limit.per_second;
    return full_at_ - time_for(limit, burst - std::min(n, burst));
  }
  /// Returns whether the bucket is full, like a new one.
  [[nodiscard]] bool is_full(time_point now) const noexcept { return full_at_ <= now; }

 private:
  static duration time_for(const RateLimit& limit, std::size_t n) noexcept {
    const double seconds = static_cast<double>(n) / static_cast<double>(limit.per_second);
    return std::chrono::duration_cast<duration>(std::chrono::duration<double>(seconds));
  }

  time_point full_at_{};
};

}  // namespace roost::detail
