// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>

#include "roost/base/error.hpp"

namespace roost {

/// How often something may happen: a token bucket.
struct RateLimit {
  /// How many (messages, bytes, connections) a second. 0: no limit; at most 1 000 000 000.
  std::size_t per_second = 0;
  /// How much may come at once, after a pause. 0: as much as in one second; at most 1 000 000 000,
  /// and at most what comes in a day.
  std::size_t burst = 0;
};

namespace detail {

inline void validate(const RateLimit& limit, const char* field) {
  constexpr std::size_t largest = 1'000'000'000;
  const auto check = [&](bool ok, const char* what) {
    if (!ok) throw Error(errc::invalid_option, std::string(field) + what);
  };
  check(limit.per_second <= largest, ".per_second must be at most 1000000000");
  check(
      limit.burst <= largest && (limit.per_second == 0 || limit.burst / 86'400 <= limit.per_second),
      ".burst must be at most 1000000000 and what comes in a day");
}

}  // namespace detail
}  // namespace roost

namespace roost::detail {

/// What is left of a `RateLimit`, in the form of the time at which nothing is owed any more: eight
/// bytes, no timer, and full at first.
class TokenBucket {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  /// Takes @p n if there are as many. @returns whether there were.
  bool try_take(const RateLimit& limit, time_point now, std::size_t n = 1) noexcept {
    if (ready_at(limit, n) > now) return false;
    take(limit, now, n);
    return true;
  }
  /// Takes @p n, into debt if need be.
  void take(const RateLimit& limit, time_point now, std::size_t n) noexcept {
    if (limit.per_second == 0) return;
    settle(now);
    full_at_ += time_for(limit, n);
  }
  /// What it got before @p then over a burst is lost.
  void settle(time_point then) noexcept { full_at_ = std::max(full_at_, then); }
  /// From when on what it gets is over a burst.
  [[nodiscard]] time_point full_at() const noexcept { return full_at_; }
  /// From when on there are @p n, which may be past; for more than a burst: a whole one.
  [[nodiscard]] time_point ready_at(const RateLimit& limit, std::size_t n = 1) const noexcept {
    if (limit.per_second == 0) return time_point::min();
    const std::size_t burst = limit.burst > 0 ? limit.burst : limit.per_second;
    return full_at_ - time_for(limit, burst - std::min(n, burst));
  }
  /// As good as a new one.
  [[nodiscard]] bool is_full(time_point now) const noexcept { return full_at_ <= now; }

 private:
  static duration time_for(const RateLimit& limit, std::size_t n) noexcept {
    const double seconds = static_cast<double>(n) / static_cast<double>(limit.per_second);
    return std::chrono::duration_cast<duration>(std::chrono::duration<double>(seconds));
  }

  time_point full_at_{};
};

}  // namespace roost::detail
