// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace roost::detail {

/// When one connection was last heard of, and how long its last ping took.
class Liveness {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  void note(time_point when) noexcept { last_seen_ = std::max(last_seen_, when); }
  [[nodiscard]] time_point last_seen() const noexcept { return last_seen_; }

  /// The payload of a ping that is sent now.
  [[nodiscard]] std::string next_ping(time_point now) {
    sent_at_ = now;
    is_outstanding_ = true;
    return std::to_string(++sequence_);
  }

  /// Any pong is a sign of life. A peer may answer the latest ping only (RFC 6455, section 5.5.3),
  /// so only the pong to that one gives a round trip.
  void on_pong(std::string_view payload, time_point now) {
    note(now);
    if (!is_outstanding_ || payload != std::to_string(sequence_)) return;
    is_outstanding_ = false;
    round_trip_time_ = now - sent_at_;
  }

  /// Of the last ping that was answered.
  [[nodiscard]] const std::optional<duration>& round_trip_time() const noexcept {
    return round_trip_time_;
  }

 private:
  time_point last_seen_{};
  time_point sent_at_{};
  std::optional<duration> round_trip_time_;
  std::uint32_t sequence_ = 0;
  bool is_outstanding_ = false;
};

}  // namespace roost::detail
