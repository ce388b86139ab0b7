// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>

#include "roost/base/error.hpp"
#include "roost/manager/options.hpp"

namespace roost::detail {

ROOST_DECL void check_option(bool ok, const char* what) {
  if (!ok) throw Error(errc::invalid_option, what);
}

ROOST_DECL bool is_limit(Clock::duration d) noexcept {
  return d >= std::chrono::milliseconds(1) && d <= std::chrono::hours(24);
}

ROOST_DECL bool is_wait(Clock::duration d) noexcept {
  return d >= Clock::duration::zero() && d <= std::chrono::hours(24);
}

}  // namespace roost::detail
