// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "roost/base/clock.hpp"

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

ROOST_DECL Timer::~Timer() { disarm(); }

ROOST_DECL void Timer::expires_at(Clock::time_point when) {
  cancel();
  expiry_ = when;
  looks_ = 0;
}

ROOST_DECL void Timer::prepare() {
  is_fired_ = false;
  if (looks_ > 0) {
    timer_.expires_at(looks_ == last_look ? clock_->catches_up_at() : Clock::time_point());
  } else if (clock_->is_manual() && is_due()) {
    timer_.expires_at({});  // manual time may be ahead of system time
  } else {
    if (!std::exchange(is_armed_, true)) clock_->arm(*this);
    const bool is_timed = !clock_->is_manual() && expiry_ != never();
    timer_.expires_at(is_timed ? expiry_ + clock_->stalled() : never());
  }
}

ROOST_DECL bool Timer::goes_on(boost::system::error_code error) {
  if ((error && !is_fired_) || expiry_ == never() || is_over()) return false;
  clock_->on_timer();
  if (!is_due()) return true;  // the loop stalled meanwhile
  return ++looks_ <= last_look;
}

ROOST_DECL void Timer::cancel() {
  disarm();
  is_fired_ = false;
  timer_.cancel();
}

ROOST_DECL void Timer::fire() {
  if (!is_due()) return;
  disarm();
  is_fired_ = true;
  timer_.cancel();
}

ROOST_DECL void Timer::disarm() noexcept {
  if (std::exchange(is_armed_, false)) clock_->disarm(*this);
}

}  // namespace detail

}  // namespace roost
