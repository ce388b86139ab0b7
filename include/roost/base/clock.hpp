// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>

#include "roost/base/build/config.hpp"

namespace roost {

namespace detail {
class Timer;
class LoopClock;
}  // namespace detail

/// The clock that roost reads: the system's steady clock, or a `testing::ManualClock` in tests.
/// Pass it in the `clock` field of the options.
///
/// Every deadline of roost counts only the time in which its event loop ran. While the process is
/// stopped or swapped out, or a handler blocks the loop, peers cannot be heard, so no deadline
/// comes closer.
class Clock {
 public:
  /// The duration type of the steady clock; all options use it.
  using duration = std::chrono::steady_clock::duration;
  /// The time type of the steady clock.
  using time_point = std::chrono::steady_clock::time_point;

  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  /// Returns the current time.
  [[nodiscard]] virtual time_point now() const noexcept;

  /// Returns the system's steady clock, the default of all options.
  [[nodiscard]] static Clock& system() noexcept;

 protected:
  ~Clock() = default;

 private:
  friend class detail::Timer;
  friend class detail::LoopClock;
  // A manual clock keeps the timers that wait on it, and fires them itself.
  [[nodiscard]] virtual bool is_manual() const noexcept { return false; }
  virtual void arm(detail::Timer&) {}
  virtual void disarm(detail::Timer&) noexcept {}
  // A manual clock also knows the loop clocks based on it, and tells them when their loops stalled.
  virtual void attach(detail::LoopClock&) {}
  virtual void detach(detail::LoopClock&) noexcept {}

  // A loop clock overrides these: it is based on another clock, and stands still while its loop
  // does not run.
  [[nodiscard]] virtual Clock& base() noexcept { return *this; }
  [[nodiscard]] virtual duration stalled() const noexcept { return {}; }
  [[nodiscard]] virtual time_point to_base(time_point time) const noexcept { return time; }
  // The time of `base` until which a loop that was late reads the bytes that arrived meanwhile.
  [[nodiscard]] virtual time_point catches_up_at() const noexcept { return {}; }
  virtual void on_timer() {}
};

namespace detail {

/// A timer on a `Clock`. A wait completes when the timer is due or cancelled, and sometimes
/// earlier: then `goes_on` returns true and the caller must wait again.
///
/// A deadline passes only after the loop has read once more what its peers have sent. A timer that
/// is due therefore lets the loop turn a few more times, and lets a loop that was late catch up.
class Timer {
 public:
  Timer(const boost::asio::any_io_executor& executor, Clock& clock);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  [[nodiscard]] static constexpr Clock::time_point never() { return Clock::time_point::max(); }

  /// Cancels the outstanding wait, and sets when the next one is due.
  void expires_at(Clock::time_point when);
  void expires_after(Clock::duration delay) { expires_at(clock_->now() + delay); }

  [[nodiscard]] Clock::time_point expiry() const noexcept { return expiry_; }
  [[nodiscard]] bool is_due() const noexcept { return clock_->now() >= expiry_; }

  template <class Token>
  auto async_wait(Token&& token) {
    prepare();
    return timer_.async_wait(std::forward<Token>(token));
  }
  /// Call this when a wait has completed with @p error, unless the caller itself ended it. @returns
  /// whether the caller must wait again; if not, either the time `is_over` or the wait was
  /// cancelled.
  [[nodiscard]] bool goes_on(boost::system::error_code error);
  [[nodiscard]] bool is_over() const noexcept { return looks_ > last_look; }

  void cancel();

  /// Completes the wait if it is due. Called by a manual clock.
  void fire();

 private:
  static constexpr std::uint8_t last_look = 4;

  void prepare();
  void disarm() noexcept;

  boost::asio::steady_timer timer_;
  Clock* clock_;
  Clock::time_point expiry_ = never();
  bool is_armed_ = false;
  bool is_fired_ = false;   // by a manual clock; Asio reports it as a cancellation
  std::uint8_t looks_ = 0;  // turns of the loop since the timer was due
};

}  // namespace detail

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/clock.ipp"
#endif
