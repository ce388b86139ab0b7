// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"

namespace roost::testing {

/// A clock that moves only when told to. Hand it to the options, run what is ready, move it on.
///
/// @par Thread safety  None: to be used by the thread that runs the `io_context`.
/// @par Lifetime       Must outlive the `io_context`.
class ManualClock final : public Clock {
 public:
  /// An hour at first, then as it was moved.
  [[nodiscard]] time_point now() const noexcept override;

  /// Moves on by @p step, in which the loop runs; what is due becomes ready, and runs with the next
  /// `run_ready`.
  void advance(duration step);

  /// Moves on by @p time in which the loop does not run: the process was stopped, or a handler
  /// blocked. No deadline of roost comes closer.
  void stall(duration time);

  /// How many waits there are that only time can end.
  [[nodiscard]] std::size_t armed() const noexcept { return armed_.size(); }

 private:
  bool is_manual() const noexcept override { return true; }
  void arm(detail::Timer& timer) override;
  void disarm(detail::Timer& timer) noexcept override;
  void attach(detail::LoopClock& loop) override;
  void detach(detail::LoopClock& loop) noexcept override;
  void fire_due();

  // Not zero, so that what is "long ago" can be told from what never was.
  time_point now_ = time_point(std::chrono::hours(1));
  std::vector<detail::Timer*> armed_;
  std::vector<detail::LoopClock*> loops_;
};

}  // namespace roost::testing

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/testing/manual_clock.ipp"
#endif
