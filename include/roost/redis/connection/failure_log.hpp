// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "roost/base/clock.hpp"

namespace roost::detail {

/// Which of the attempts to connect are logged: the first that fails, as a loss; later ones when
/// the reason is another, but not more often than each few seconds, or else once a minute.
class FailureLog {
 public:
  enum class What { nothing, loss, attempt };

  What note(const std::string& why, Clock::time_point now) {
    ++failures_;
    const auto since = logged_ ? now - *logged_ : Clock::duration::max();
    const bool is_due =
        since >= std::chrono::minutes(1) || (why != why_ && since >= std::chrono::seconds(5));
    if (!is_due) return What::nothing;
    const What what = logged_ ? What::attempt : What::loss;
    logged_ = now;
    why_ = why;
    return what;
  }
  /// It has connected, or is ended.
  void clear() {
    failures_ = 0;
    logged_.reset();
    why_.clear();
  }
  /// How many have failed, one after the other; the loss is the first.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

 private:
  std::uint64_t failures_ = 0;
  std::optional<Clock::time_point> logged_;
  std::string why_;
};

}  // namespace roost::detail
