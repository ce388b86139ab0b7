// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

/// Is told that a loop was late, on the loop.
class LateListener {
 public:
  virtual void on_late(Clock::duration by) noexcept = 0;

 protected:
  ~LateListener() = default;
};

/// The time of one event loop: another clock's, without the time in which the loop did not run,
/// because the process was stopped or a handler blocked. All deadlines of a loop go by it, so that
/// no peer pays for what the server did not do.
///
/// The loop is watched by a timer that ticks while any deadline is pending, and by a handler that
/// is posted where the time is read without one. Until the loop shows that it turns, its time goes
/// on for `max_gap` at most; what it takes longer did not pass. With nothing pending nothing ticks:
/// `io_context::run` returns as it would without.
///
/// @par Thread safety  the time may be read from any thread.
class LoopClock final : public Clock,
                        public std::enable_shared_from_this<LoopClock>,
                        private ContextGuard {
 public:
  static constexpr duration tick = std::chrono::milliseconds(100);
  /// A tick that comes later than this is no everyday jitter.
  static constexpr duration max_gap = 2 * tick;
  /// How long a loop that was late reads what came meanwhile, before anything is over.
  static constexpr duration catching_up = std::chrono::milliseconds(250);
  /// From here on, a stall is told to the listeners.
  static constexpr duration worth_telling = std::chrono::seconds(1);

  /// For `of`.
  LoopClock(const boost::asio::any_io_executor& executor, Clock& base);
  ~LoopClock() override;

  /// The one of @p executor that goes by @p clock, or by what that goes by. From any thread.
  static std::shared_ptr<LoopClock> of(const boost::asio::any_io_executor& executor, Clock& clock);

  /// @p options with their `clock` replaced by that of the loop, which they own.
  template <class Options>
  static std::shared_ptr<const Options> own(const boost::asio::any_io_executor& executor,
                                            Options options, Clock* Options::*clock) {
    struct Owned {
      std::shared_ptr<LoopClock> loop;
      Options options;
    };
    auto loop = of(executor, *(options.*clock));
    options.*clock = loop.get();
    const auto owned = std::make_shared<const Owned>(Owned{std::move(loop), std::move(options)});
    return {owned, &owned->options};
  }

  /// How long the loop has not run, in all.
  [[nodiscard]] duration stalled() const noexcept override {
    return duration(stalled_.load(std::memory_order_acquire));
  }
  /// What the clock of the application showed at @p time of @p clock. Applications get to see no
  /// other time. Exact as far as recent stalls go.
  static time_point shown(const Clock& clock, time_point time) noexcept {
    return clock.to_base(time);
  }
  [[nodiscard]] time_point to_base(time_point time) const noexcept override;
  /// The reverse.
  [[nodiscard]] time_point from_base(time_point time) const noexcept;

  /// What the clock of the application shows now, even where a stall is not known yet.
  [[nodiscard]] time_point base_now() const noexcept { return base_->now(); }

  [[nodiscard]] boost::asio::any_io_executor get_executor() const;
  [[nodiscard]] bool is_for(const Clock& base) const noexcept { return base_ == &base; }

  [[nodiscard]] time_point now() const noexcept override;

  void listen(std::weak_ptr<LateListener> listener);

  /// The loop did not run for so long, as somebody knows who moves a clock by hand.
  void stall(duration by);

 private:
  using rep = duration::rep;
  static constexpr rep not_watched = duration::max().count();

  bool is_manual() const noexcept override { return is_manual_; }
  void arm(Timer& timer) override;
  void disarm(Timer& timer) noexcept override;
  Clock& base() noexcept override { return *base_; }
  time_point catches_up_at() const noexcept override;
  void on_timer() override;
  void on_context_destroyed() noexcept override;

  [[nodiscard]] time_point without_stalls(time_point time) const noexcept {
    return time - stalled();
  }
  time_point watch_turn(time_point time) noexcept;
  void on_turn();
  void start_tick();
  void on_tick();
  /// The loop turns. @returns how late it is
  duration note_turn() noexcept;
  void tell(duration late_by);
  void record(time_point end, duration length) noexcept;

  struct Stall {
    time_point end;   // in the time of the base
    time_point when;  // in that of the loop
    duration length;
  };
  static constexpr std::size_t max_recent = 16;

  Clock* const base_;
  const bool is_manual_;
  std::atomic<rep> stalled_{0};
  std::atomic<rep> limit_{not_watched};  // its time, until it shows that it turns
  std::atomic<rep> caught_up_{0};        // in the time of the base

  mutable std::mutex mutex_;
  std::optional<boost::asio::steady_timer> tick_;  // none once the context is gone
  std::size_t pending_ = 0;                        // deadlines
  bool is_turn_posted_ = false;
  std::vector<std::weak_ptr<LateListener>> listeners_;
  std::array<Stall, max_recent> recent_{};  // stalls, the latest first
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/loop_clock.ipp"
#endif
