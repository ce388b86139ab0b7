// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// Decides whether a peer keeps up with the frames that are sent to it. The limits judge the peer,
/// not a server that sends a burst: nothing counts before a flush was tried, and the rest of a
/// burst counts only if the peer takes nothing, or if the rest keeps growing.
///
/// It has no clock and no socket: the time and the progress of the peer are arguments.
class Pace {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct Limits {
    duration send_timeout;           ///< The time within which progress is due.
    std::size_t min_progress_bytes;  ///< Bytes to take in it, or all. 0: unchecked.
    std::size_t max_outbox_bytes;    ///< Limit on queued bytes, not counting the rest of a burst.
    duration patience;               ///< How long a peer may take nothing over that limit.
  };

  /// The state of a connection at one moment.
  struct Look {
    SendProgress progress = {};
    std::size_t backlog = 0;  ///< Memory of queued frames.
    bool wrote = false;       ///< A flush just before wrote some bytes.
  };

  enum class Verdict : std::uint8_t { fine, too_slow, too_full };

  Pace(time_point now, const Look& look, const Limits& limits) noexcept {
    begin(now, look, limits);
  }

  /// Returns whether `on_excess` must be called.
  [[nodiscard]] bool exceeds(std::size_t backlog, const Limits& limits) const noexcept {
    return !is_over_ && backlog > limits.max_outbox_bytes + burst_;
  }
  /// Call this when more is queued than the limits allow. A peer that is known not to keep up gets
  /// its verdict now; any other has until `due` to show that it does.
  [[nodiscard]] Verdict on_excess(time_point now, const Look& look, const Limits& limits) noexcept;

  /// Returns when to call `judge`.
  [[nodiscard]] time_point due(const Limits& limits) const noexcept;
  /// Returns the verdict on the peer.
  [[nodiscard]] Verdict judge(time_point now, const Look& look, const Limits& limits) noexcept;

  /// Call this when little is queued: the burst is over.
  void on_relieved() noexcept {
    is_over_ = false;
    burst_ = 0;
  }

  /// Returns the order in which connections are dropped for memory: 0 for a peer that has taken
  /// nothing for too long, 1 for one that has not had the time, 2 for one that takes bytes.
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

  // The time and progress since which the peer must take `required_` bytes.
  time_point floor_began_;
  std::uint64_t floor_taken_ = 0;
  std::size_t required_ = 0;
  // The time and progress since which its rate is measured.
  time_point window_began_;
  std::uint64_t window_taken_ = 0;
  duration round_trip_{};
  std::size_t burst_ = 0;  // the rest of the last judged burst; only shrinks
  bool is_over_ = false;   // must be judged at the end of the window
  bool had_grace_ = false;
};

/// A limit on the time of an operation that depends on a peer.
struct TimeLimit {
  /// The total limit. Not set: as long as there is progress, but at most twelve times
  /// `without_progress`, because limits on memory do not cover connections that end.
  std::optional<Clock::duration> total;
  /// How long the peer may make no progress.
  Clock::duration without_progress;
  /// How many bytes count as progress, or all that are left.
  std::size_t min_progress_bytes = 1;
  /// How long the last step may take once the peer has taken all bytes. Not set:
  /// `without_progress`.
  std::optional<Clock::duration> in_the_end = {};
};

/// Decides how long to wait for a connection that ends: its peer may be slow, but must make
/// progress.
class Patience {
 public:
  using time_point = Clock::time_point;

  /// @param progress  the bytes that the peer has taken, and those that it has yet to take
  Patience(time_point now, const TimeLimit& limit, const SendProgress& progress) noexcept
      : without_progress_(limit.without_progress),
        in_the_end_(limit.in_the_end.value_or(limit.without_progress)),
        min_progress_bytes_(limit.min_progress_bytes),
        deadline_(now + limit.total.value_or(at_most(progress.pending))) {
    mark(now, progress);
  }

  [[nodiscard]] time_point deadline() const noexcept { return deadline_; }
  /// Returns when to call `is_over` next, at the latest.
  [[nodiscard]] time_point next_look() const noexcept { return next_look_; }
  /// Returns whether to stop waiting, given the progress of the peer.
  [[nodiscard]] bool is_over(time_point now, const SendProgress& progress) noexcept {
    const bool has_all = significant(progress.pending) == 0 && pending_ > 0;
    const auto taken = static_cast<std::int64_t>(progress.taken - taken_);
    if (has_all || taken >= static_cast<std::int64_t>(min_progress_bytes_)) {
      mark(now, progress);
    } else {
      plan_look(now);
    }
    return now >= std::min(give_up_, deadline_);
  }

 private:
  void mark(time_point now, const SendProgress& progress) noexcept {
    taken_ = progress.taken;
    pending_ = significant(progress.pending);
    give_up_ = now + (pending_ > 0 ? without_progress_ : in_the_end_);
    plan_look(now);
  }
  // While bytes are left, look now and then, so that it is known when the peer took the last.
  void plan_look(time_point now) noexcept {
    next_look_ = std::min(give_up_, deadline_);
    if (pending_ > 0) next_look_ = std::min(next_look_, now + without_progress_ / 8);
  }
  // Rounds a few bytes down to none: a close frame, for example, takes no time that matters.
  [[nodiscard]] std::size_t significant(std::size_t pending) const noexcept {
    return pending > min_progress_bytes_ / 8 ? pending : 0;
  }
  // The time in which a peer that takes as much as it must takes everything.
  [[nodiscard]] Clock::duration at_most(std::size_t pending) const noexcept {
    constexpr std::size_t most = 12;
    const std::size_t times =
        significant(pending) > 0 ? std::min(1 + pending / min_progress_bytes_, most) : 0;
    return in_the_end_ + static_cast<Clock::duration::rep>(times) * without_progress_;
  }

  Clock::duration without_progress_;
  Clock::duration in_the_end_;
  std::size_t min_progress_bytes_;
  time_point deadline_;
  time_point give_up_;
  time_point next_look_;
  std::uint64_t taken_ = 0;
  std::size_t pending_ = 0;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/sending/pace.ipp"
#endif
