// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"

namespace roost::testing {

/// A clock that moves only when told to. Pass it in the options, call `run_ready`, then `advance`.
///
/// @par Thread safety  None: use it on the thread that runs the `io_context`.
/// @par Lifetime       Must outlive the `io_context`.
class ManualClock final : public Clock {
 public:
  /// The current time; one hour at first.
  [[nodiscard]] time_point now() const noexcept override;

  /// Moves the time by @p step, during which the event loop runs. Timers that are due become ready,
  /// and run with the next `run_ready`.
  void advance(duration step);

  /// Moves the time by @p time, during which the event loop does not run, as if the process was
  /// stopped or a handler blocked. No deadline of roost comes closer.
  void stall(duration time);

  /// How many timers wait.
  [[nodiscard]] std::size_t armed() const noexcept { return armed_.size(); }

 private:
  bool is_manual() const noexcept override { return true; }
  void arm(detail::Timer& timer) override;
  void disarm(detail::Timer& timer) noexcept override;
  void attach(detail::LoopClock& loop) override;
  void detach(detail::LoopClock& loop) noexcept override;
  void fire_due();

  // Not zero, so that "long ago" differs from a time that was never set.
  time_point now_ = time_point(std::chrono::hours(1));
  std::vector<detail::Timer*> armed_;
  std::vector<detail::LoopClock*> loops_;
};

}  // namespace roost::testing

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/testing/manual_clock.ipp"
#endif
