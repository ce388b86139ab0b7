// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <utility>

#include "roost/detail/config.hpp"

namespace roost {

namespace detail {
class Timer;
}

/// Where roost takes the time from: the system's steady clock, or in tests a
/// `testing::ManualClock`. Hand it over by the `clock` field of the options.
class Clock {
 public:
  /// Of the steady clock, as all durations of options.
  using duration = std::chrono::steady_clock::duration;
  /// Of the steady clock.
  using time_point = std::chrono::steady_clock::time_point;

  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  /// What time it is.
  [[nodiscard]] virtual time_point now() const noexcept;

  /// The clock of production code.
  [[nodiscard]] static Clock& system() noexcept;

 protected:
  ~Clock() = default;

 private:
  friend class detail::Timer;
  // A clock that is moved by hand keeps the timers that wait for it, and fires them itself.
  [[nodiscard]] virtual bool is_manual() const noexcept { return false; }
  virtual void arm(detail::Timer&) {}
  virtual void disarm(detail::Timer&) noexcept {}
};

namespace detail {

/// A timer on a `Clock`. A wait completes when the timer is due or cancelled; which of the two,
/// `is_due()` tells (the error code does not: a manual clock fires by cancelling).
class Timer {
 public:
  Timer(const boost::asio::any_io_executor& executor, Clock& clock);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  [[nodiscard]] static constexpr Clock::time_point never() { return Clock::time_point::max(); }

  /// Cancels what waits, and sets when the next wait is due.
  void expires_at(Clock::time_point when);
  void expires_after(Clock::duration delay) { expires_at(clock_->now() + delay); }

  [[nodiscard]] Clock::time_point expiry() const noexcept { return expiry_; }
  [[nodiscard]] bool is_due() const noexcept { return clock_->now() >= expiry_; }

  template <class Token>
  auto async_wait(Token&& token) {
    if (!clock_->is_manual()) {
      timer_.expires_at(expiry_);
    } else if (is_due()) {
      timer_.expires_at({});  // manual time may be ahead of the system's
    } else {
      timer_.expires_at(never());
      clock_->arm(*this);
    }
    return timer_.async_wait(std::forward<Token>(token));
  }

  void cancel();

 private:
  boost::asio::steady_timer timer_;
  Clock* clock_;
  Clock::time_point expiry_ = never();
};

}  // namespace detail
}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/impl/clock.ipp"
#endif
