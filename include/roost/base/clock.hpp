// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <utility>

#include "roost/base/build/config.hpp"

namespace roost {

namespace detail {
class Timer;
class LoopClock;
}  // namespace detail

/// Where roost takes the time from: the system's steady clock, or in tests a
/// `testing::ManualClock`. Hand it over by the `clock` field of the options.
///
/// Every deadline of roost counts the time in which its event loop ran. While the process is
/// stopped or swapped out, or a handler blocks the loop, no peer can be heard, and nobody's time
/// passes.
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
  friend class detail::LoopClock;
  // A clock that is moved by hand keeps the timers that wait for it, and fires them itself.
  [[nodiscard]] virtual bool is_manual() const noexcept { return false; }
  virtual void arm(detail::Timer&) {}
  virtual void disarm(detail::Timer&) noexcept {}
  // It also knows the loops that go by it, and tells them of the time in which they did not run.
  virtual void attach(detail::LoopClock&) {}
  virtual void detach(detail::LoopClock&) noexcept {}

  // For the clock of a loop, which goes by another and stands still while the loop does not run.
  [[nodiscard]] virtual Clock& base() noexcept { return *this; }
  [[nodiscard]] virtual duration stalled() const noexcept { return {}; }
  [[nodiscard]] virtual time_point to_base(time_point time) const noexcept { return time; }
  // Until then, in the time of `base`, a loop that was late reads what has come meanwhile.
  [[nodiscard]] virtual time_point catches_up_at() const noexcept { return {}; }
  virtual void on_timer() {}
};

namespace detail {

/// A timer on a `Clock`. A wait completes when the timer is due or cancelled, and also when it may
/// not be over yet: then `goes_on` says that it is to be waited for again.
///
/// A deadline is over only when the loop has read once more what its peers have sent. So a timer
/// that is due lets the loop turn some more times, and a loop that was late catch up.
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
    prepare();
    return timer_.async_wait(std::forward<Token>(token));
  }
  /// To be asked when a wait that nobody ended has completed with @p error: whether it must be
  /// waited for again. If not, the time `is_over`, or the wait was cancelled.
  [[nodiscard]] bool goes_on(boost::system::error_code error);
  [[nodiscard]] bool is_over() const noexcept { return looks_ > last_look; }

  void cancel();

  /// For a clock that is moved by hand: completes the wait if it is due.
  void fire();

 private:
  static constexpr std::uint8_t last_look = 4;

  void prepare();
  void disarm() noexcept;

  boost::asio::steady_timer timer_;
  Clock* clock_;
  Clock::time_point expiry_ = never();
  bool is_armed_ = false;
  bool is_fired_ = false;   // by hand, which looks like a cancellation
  std::uint8_t looks_ = 0;  // turns of the loop since it was due
};

}  // namespace detail
}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/clock.ipp"
#endif
