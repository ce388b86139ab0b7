// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/testing/manual_clock.hpp"

namespace roost::testing {

ROOST_DECL ManualClock::time_point ManualClock::now() const noexcept { return now_; }

ROOST_DECL void ManualClock::advance(duration step) {
  now_ += step;
  fire_due();
}

ROOST_DECL void ManualClock::stall(duration time) {
  now_ += time;
  const std::vector<detail::LoopClock*> loops = loops_;
  for (detail::LoopClock* loop : loops) loop->stall(time);
  fire_due();  // for peers, time goes on
}

ROOST_DECL void ManualClock::fire_due() {
  const std::vector<detail::Timer*> armed = armed_;
  for (detail::Timer* timer : armed) timer->fire();
}

ROOST_DECL void ManualClock::arm(detail::Timer& timer) {
  if (std::find(armed_.begin(), armed_.end(), &timer) == armed_.end()) armed_.push_back(&timer);
}

ROOST_DECL void ManualClock::disarm(detail::Timer& timer) noexcept { std::erase(armed_, &timer); }

ROOST_DECL void ManualClock::attach(detail::LoopClock& loop) { loops_.push_back(&loop); }

ROOST_DECL void ManualClock::detach(detail::LoopClock& loop) noexcept { std::erase(loops_, &loop); }

}  // namespace roost::testing
