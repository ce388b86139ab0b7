// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "roost/base/build/config.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// Whether one peer takes what is sent to it. A limit judges the peer, never the server that sends
/// much at the same time: nothing is too much before a flush was tried, and what a burst has left
/// counts only if the peer then takes nothing, or if it grows without end.
///
/// It has no clock and no socket: time, and what the peer has taken, are arguments.
class Pace {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct Limits {
    duration send_timeout;           ///< Within it the peer must take
    std::size_t min_progress_bytes;  ///< so much, or all there is. 0: others see to that.
    std::size_t max_outbox_bytes;    ///< What may be queued, beside the rest of a burst.
    duration patience;  ///< How long a peer may take nothing while more than that is queued.
  };

  /// What is seen of a connection at one moment.
  struct Look {
    SendProgress progress = {};
    std::size_t backlog = 0;  ///< What is queued, in memory.
    bool wrote = false;       ///< A flush right before it found room in the kernel.
  };

  enum class Verdict : std::uint8_t { fine, too_slow, too_full };

  Pace(time_point now, const Look& look, const Limits& limits) noexcept {
    begin(now, look, limits);
  }

  /// Whether `on_excess` is to be asked.
  [[nodiscard]] bool exceeds(std::size_t backlog, const Limits& limits) const noexcept {
    return !is_over_ && backlog > limits.max_outbox_bytes + burst_;
  }
  /// More is queued than the limits allow. Unless it is known already that the peer does not take
  /// it, the peer gets until `due` to show that it does.
  [[nodiscard]] Verdict on_excess(time_point now, const Look& look, const Limits& limits) noexcept;

  /// When it must be judged.
  [[nodiscard]] time_point due(const Limits& limits) const noexcept;
  /// What follows from how things stand now.
  [[nodiscard]] Verdict judge(time_point now, const Look& look, const Limits& limits) noexcept;

  /// Little is queued: whatever burst there was is over.
  void on_relieved() noexcept {
    is_over_ = false;
    burst_ = 0;
  }

  /// For the order in which connections are shed: 0 has taken nothing for too long, 2 takes
  /// something, 1 has not had the time.
  [[nodiscard]] int rank(time_point now, const Look& look, const Limits& limits) const noexcept;

 private:
  void begin(time_point now, const Look& look, const Limits& limits) noexcept {
    begin_floor(now, look, limits);
    begin_window(now, look);
  }
  void begin_floor(time_point now, const Look& look, const Limits& limits) noexcept;
  void begin_window(time_point now, const Look& look) noexcept;
  [[nodiscard]] bool keeps_up(time_point now, const Look& look,
                              const Limits& limits) const noexcept;
  [[nodiscard]] bool is_graced(time_point now, const Look& look, const Limits& limits) noexcept;
  [[nodiscard]] duration patience(const Limits& limits) const noexcept;

  // Since when the peer has had to take so much.
  time_point floor_began_;
  std::uint64_t floor_taken_ = 0;
  std::size_t required_ = 0;
  // Since when it is known how fast it takes bytes.
  time_point window_began_;
  std::uint64_t window_taken_ = 0;
  duration round_trip_{};
  std::size_t burst_ = 0;  // what the last burst left that was judged; only less from then on
  bool is_over_ = false;   // to be judged when the window is over
  bool had_grace_ = false;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/sending/pace.ipp"
#endif
