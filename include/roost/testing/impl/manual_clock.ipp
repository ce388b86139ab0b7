// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "roost/testing/manual_clock.hpp"

namespace roost::testing {

ROOST_DECL ManualClock::time_point ManualClock::now() const noexcept { return now_; }

ROOST_DECL void ManualClock::advance(duration step) {
  now_ += step;
  const std::vector<detail::Timer*> armed = armed_;
  for (detail::Timer* timer : armed) {
    if (timer->is_due()) timer->cancel();
  }
}

ROOST_DECL void ManualClock::arm(detail::Timer& timer) {
  if (std::find(armed_.begin(), armed_.end(), &timer) == armed_.end()) armed_.push_back(&timer);
}

ROOST_DECL void ManualClock::disarm(detail::Timer& timer) noexcept { std::erase(armed_, &timer); }

}  // namespace roost::testing
