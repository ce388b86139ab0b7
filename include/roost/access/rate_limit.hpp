// SPDX-License-Identifier: MIT
#pragma once

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
