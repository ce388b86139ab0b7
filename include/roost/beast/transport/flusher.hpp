// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/require.hpp>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/running.hpp"

namespace roost::detail {

/// A channel with bytes to write at the end of a burst.
class Flushable {
 public:
  virtual void flush() = 0;
  /// Prefetches what `flush` needs besides the object.
  virtual void prefetch_more() const noexcept {}

  static constexpr std::size_t not_dirty = std::numeric_limits<std::size_t>::max();
  std::size_t dirty_position = not_dirty;  ///< For the `Flusher` only.

 protected:
  ~Flushable() = default;
};

/// Writes once per burst, not once per message: all outboxes of one executor with new frames are
/// flushed together, when a few turns of the loop have added no frames.
class Flusher : public std::enable_shared_from_this<Flusher> {
 public:
  explicit Flusher(boost::asio::any_io_executor executor)
      : executor_(std::move(executor)),
        later_(boost::asio::require(executor_, boost::asio::execution::blocking.never)),
        counter_(Running::counter(executor_)) {}

  /// The flusher that all sockets of @p executor share. From any thread.
  static std::shared_ptr<Flusher> of(const boost::asio::any_io_executor& executor) {
    return PerExecutor<Flusher>::of(executor);
  }

  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept {
    return executor_;
  }

  /// Counts what runs on the context.
  [[nodiscard]] const Running::Counter& counter() const noexcept { return counter_; }

  /// Called when @p target has its first frame since it was flushed.
  void mark_dirty(Flushable& target) {
    if (target.dirty_position != Flushable::not_dirty) return;
    dirty_.push_back(&target);
    target.dirty_position = dirty_.size() - 1;  // only if there was memory, and so below
    if (is_scheduled_) return;
    begin_burst();
    is_scheduled_ = true;
  }
  /// Counts a frame, in an outbox that holds @p queued_bytes now.
  void note_frame(std::size_t queued_bytes) noexcept {
    ++frames_;
    if (queued_bytes >= burst_bytes) is_full_ = true;
  }
  void forget(Flushable& target) noexcept {
    const std::size_t position = std::exchange(target.dirty_position, Flushable::not_dirty);
    if (position < dirty_.size() && dirty_[position] == &target) dirty_[position] = nullptr;
    for (Flushable*& other : flushing_) {
      if (other == &target) other = nullptr;
    }
  }

  /// The time at which the current burst was first timed: reading the clock once per burst is
  /// enough.
  [[nodiscard]] Clock::time_point now(Clock& clock) noexcept {
    if (is_scheduled_ && now_of_ == &clock) return now_;
    now_of_ = &clock;
    return now_ = clock.now();
  }

 private:
  static constexpr std::size_t burst_bytes = 65'536;
  // A busy server may let a burst last as long as the last flush took: longer bursts mean fewer
  // writes.
  static constexpr std::chrono::steady_clock::duration long_burst = std::chrono::milliseconds(1);
  static constexpr std::chrono::steady_clock::duration longest_burst = std::chrono::milliseconds(8);
  static constexpr int quiet_turns = 4;
  // Limit per turn: a flush of thousands of sockets must leave the loop time for other work.
  static constexpr std::size_t slice = 256;
  static constexpr std::size_t at_a_time = 8;  // prefetched; a part of `slice`

  void begin_burst() {
    burst_began_ = std::chrono::steady_clock::now();
    now_of_ = nullptr;
    quiet_ = 0;
    is_full_ = false;
    seen_ = frames_;
    post_turn();
  }

  void post_turn() {
    later_.execute([self = shared_from_this()] { self->turn(); });
  }

  void turn() {
    if (flushing_.empty()) {
      quiet_ = std::exchange(seen_, frames_) == frames_ ? quiet_ + 1 : 0;
      const auto now = std::chrono::steady_clock::now();
      const bool is_due = quiet_ >= quiet_turns || is_full_ || now - burst_began_ >= max_burst_;
      if (!is_due) return post_turn();
      flush_began_ = now;
      flushing_.swap(dirty_);
      next_ = 0;
    }
    const std::size_t end = std::min(flushing_.size(), next_ + slice);
    for (; next_ < end; ++next_) {
      if (next_ % at_a_time == 0) prefetch_next();
      Flushable* const target = flushing_[next_];
      if (!target) continue;
      flushing_[next_] = nullptr;
      target->dirty_position = Flushable::not_dirty;
      try {
        target->flush();
      } catch (...) {
        post_turn();  // the others are still to be flushed
        throw;
      }
    }
    if (next_ < flushing_.size()) return post_turn();
    flushing_.clear();
    max_burst_ =
        std::clamp(std::chrono::steady_clock::now() - flush_began_, long_burst, longest_burst);
    is_scheduled_ = !dirty_.empty();
    if (is_scheduled_) begin_burst();
  }

  // The targets have left the processor's caches, and the tables of its pages, since their frames
  // were queued. Several are fetched at a time, because the waits for them overlap; first each with
  // the reference counts that `make_shared` puts in front of it, then what it points to.
  void prefetch_next() const noexcept {
    constexpr std::size_t counts = 16;
    const auto some =
        std::span(flushing_).subspan(next_).first(std::min(at_a_time, flushing_.size() - next_));
    for (const Flushable* target : some) {
      if (target) prefetch<320>(reinterpret_cast<const std::byte*>(target) - counts);
    }
    for (const Flushable* target : some) {
      if (target) target->prefetch_more();
    }
  }

  const boost::asio::any_io_executor executor_;
  const boost::asio::any_io_executor later_;  // `executor_`, for functions that it runs later
  const Running::Counter counter_;
  std::vector<Flushable*> dirty_;     // since the last flush
  std::vector<Flushable*> flushing_;  // being flushed, slice by slice
  std::size_t next_ = 0;
  bool is_scheduled_ = false;

  std::chrono::steady_clock::time_point burst_began_;
  std::chrono::steady_clock::time_point flush_began_;
  std::chrono::steady_clock::duration max_burst_ = long_burst;
  std::uint64_t frames_ = 0;
  std::uint64_t seen_ = 0;
  int quiet_ = 0;
  bool is_full_ = false;

  Clock::time_point now_{};
  Clock* now_of_ = nullptr;
};

}  // namespace roost::detail
