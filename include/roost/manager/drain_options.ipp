// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>

#include "roost/base/error.hpp"
#include "roost/manager/drain_options.hpp"
#include "roost/socket/close_code.hpp"

namespace roost::detail {

ROOST_DECL void validate(const DrainOptions& options) {
  const auto check = [](bool ok, const char* what) {
    if (!ok) throw Error(errc::invalid_option, what);
  };
  constexpr Clock::duration zero{};
  constexpr std::chrono::hours day(24);
  check(options.deadline >= zero && options.deadline <= day, "deadline must be 0 to 1 day");
  check(options.spread >= zero && options.spread <= day, "spread must be 0 to 1 day");
  check(close_code::may_be_sent(options.code), "code must be one that may be sent");
  check(options.retry_after >= zero && options.retry_after <= day,
        "retry_after must be 0 to 1 day");
  check(options.retry_spread >= zero && options.retry_spread <= day,
        "retry_spread must be 0 to 1 day");
}

}  // namespace roost::detail
