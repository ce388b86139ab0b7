// SPDX-License-Identifier: MIT
#pragma once

#include "roost/clock.hpp"

namespace roost {

ROOST_DECL Clock::time_point Clock::now() const noexcept {
  return std::chrono::steady_clock::now();
}

ROOST_DECL Clock& Clock::system() noexcept {
  static Clock clock;
  return clock;
}

namespace detail {

ROOST_DECL Timer::Timer(const boost::asio::any_io_executor& executor, Clock& clock)
    : timer_(executor, never()), clock_(&clock) {}

ROOST_DECL Timer::~Timer() { clock_->disarm(*this); }

ROOST_DECL void Timer::expires_at(Clock::time_point when) {
  cancel();
  expiry_ = when;
}

ROOST_DECL void Timer::cancel() {
  clock_->disarm(*this);
  timer_.cancel();
}

}  // namespace detail

}  // namespace roost
