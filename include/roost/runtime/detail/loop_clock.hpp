// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "roost/base/clock.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

/// Is called on the loop when the loop was late.
class LateListener {
 public:
  virtual void on_late(Clock::duration by) noexcept = 0;

 protected:
  ~LateListener() = default;
};

/// The clock of one event loop: the time of another clock, less the time in which the loop did not
/// run because the process was stopped or a handler blocked. All deadlines of a loop use its clock,
/// so that no peer is dropped because the server stalled.
///
/// While a deadline is pending, a timer that ticks watches the loop; when the time is read without
/// a pending deadline, a posted handler does. Until the loop shows that it turns, its time advances
/// by at most `max_gap`; the rest of the gap does not count. With nothing pending nothing ticks, so
/// `io_context::run` returns as it would without this clock.
///
/// @par Thread safety  Any thread may read the time.
class LoopClock final : public Clock,
                        public std::enable_shared_from_this<LoopClock>,
                        private ContextGuard {
 public:
  static constexpr duration tick = std::chrono::milliseconds(100);
  /// A tick that is later than this is a stall, not ordinary jitter.
  static constexpr duration max_gap = 2 * tick;
  /// How long a loop that was late reads the bytes that arrived meanwhile, before any deadline
  /// passes.
  static constexpr duration catching_up = std::chrono::milliseconds(250);
  /// The shortest stall that is reported to the listeners.
  static constexpr duration worth_telling = std::chrono::seconds(1);

  /// Called by `of`.
  LoopClock(const boost::asio::any_io_executor& executor, Clock& base);
  ~LoopClock() override;

  /// Returns the loop clock of @p executor that is based on @p clock, or on its base if @p clock is
  /// itself a loop clock. Any thread may call this.
  static std::shared_ptr<LoopClock> of(const boost::asio::any_io_executor& executor, Clock& clock);

  /// Returns @p options with their `clock` replaced by the loop's clock, which they keep alive.
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

  /// Returns the total time in which the loop did not run.
  [[nodiscard]] duration stalled() const noexcept override {
    return duration(stalled_.load(std::memory_order_acquire));
  }
  /// Converts @p time of @p clock to the time that the application's clock showed then.
  /// Applications see only such times. The result is exact for times since the last `max_recent`
  /// stalls.
  static time_point shown(const Clock& clock, time_point time) noexcept {
    return clock.to_base(time);
  }
  [[nodiscard]] time_point to_base(time_point time) const noexcept override;
  /// Converts a time of the application's clock to the time of this clock: the reverse of
  /// `to_base`.
  [[nodiscard]] time_point from_base(time_point time) const noexcept;

  /// Returns what the application's clock shows now, also during a stall that is not noticed yet.
  [[nodiscard]] time_point base_now() const noexcept { return base_->now(); }

  [[nodiscard]] boost::asio::any_io_executor get_executor() const;
  [[nodiscard]] bool is_for(const Clock& base) const noexcept { return base_ == &base; }

  [[nodiscard]] time_point now() const noexcept override;

  void listen(std::weak_ptr<LateListener> listener);

  /// Records that the loop did not run for the time @p by. Called by a manual clock.
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

  time_point watch_turn(time_point time) noexcept;
  void on_turn();
  void start_tick();
  void on_tick();
  /// Notes that the loop turns. @returns how late the loop is
  duration note_turn() noexcept;
  void tell(duration late_by);
  void record(time_point end, duration length) noexcept;

  struct Stall {
    time_point end;   // on the base clock
    time_point when;  // on this clock
    duration length;
  };
  static constexpr std::size_t max_recent = 16;

  Clock* const base_;
  const bool is_manual_;
  std::atomic<rep> stalled_{0};
  std::atomic<rep> limit_{not_watched};  // where this clock stops until the loop turns
  std::atomic<rep> caught_up_{0};        // on the base clock

  mutable std::mutex mutex_;
  std::optional<boost::asio::steady_timer> tick_;  // empty once the context is gone
  std::size_t pending_ = 0;                        // number of pending deadlines
  bool is_turn_posted_ = false;
  std::vector<std::weak_ptr<LateListener>> listeners_;
  std::array<Stall, max_recent> recent_{};  // stalls, the latest first
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/loop_clock.ipp"
#endif
