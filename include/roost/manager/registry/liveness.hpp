// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace roost::detail {

/// When a connection was last heard from, and the round trip time of its last ping.
class Liveness {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  void note(time_point when) noexcept { last_seen_ = std::max(last_seen_, when); }
  [[nodiscard]] time_point last_seen() const noexcept { return last_seen_; }

  /// Returns the payload of a ping that is sent at @p now.
  [[nodiscard]] std::string next_ping(time_point now) {
    sent_at_ = now;
    is_outstanding_ = true;
    return std::to_string(++sequence_);
  }

  /// Notes a pong. Any pong is a sign of life. Only the pong to the latest ping is used to measure
  /// the round trip, because a peer may answer only that one (RFC 6455, section 5.5.3).
  void on_pong(std::string_view payload, time_point now) {
    note(now);
    if (!is_outstanding_ || payload != std::to_string(sequence_)) return;
    is_outstanding_ = false;
    round_trip_time_ = now - sent_at_;
  }

  /// Returns the round trip time of the last ping that was answered in time.
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
