// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/clock.hpp"

namespace roost::detail {

/// When to ask whether a silent subscription still works, and what to think of no answer.
class Probe {
 public:
  enum class Action { wait, send, suspect, lost };
  struct Step {
    Action action;
    Clock::time_point until = {};  ///< For `wait`.
  };

  /// @param interval  of silence, after which a probe is sent
  /// @param timeout   of silence after the probe; it gets two of them
  Probe(Clock::duration interval, Clock::duration timeout, Clock::time_point now) noexcept
      : interval_(interval), timeout_(timeout), due_(now + interval) {}

  /// Something came: whatever it was, the subscription works.
  void heard(Clock::time_point now) noexcept {
    sent_ = 0;
    due_ = now + interval_;
  }
  [[nodiscard]] bool is_suspect() const noexcept { return sent_ > 1; }

  /// `send` and `suspect`: a probe is to be sent now.
  [[nodiscard]] Step next(Clock::time_point now) noexcept {
    if (now < due_) return {Action::wait, due_};
    due_ = now + timeout_;
    switch (++sent_) {
      case 1: return {Action::send};
      case 2: return {Action::suspect};
      default: return {Action::lost};
    }
  }

 private:
  const Clock::duration interval_;
  const Clock::duration timeout_;
  Clock::time_point due_;
  int sent_ = 0;
};

}  // namespace roost::detail
