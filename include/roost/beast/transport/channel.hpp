// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/require.hpp>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "roost/access/connection_limiter.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/transport/transport.hpp"
#include "roost/manager/sending/pace.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/runtime/running.hpp"
#include "roost/socket/detail/outbox.hpp"
#include "roost/socket/websocket_like.hpp"

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
    target.dirty_position = dirty_.size();
    dirty_.push_back(&target);
    if (!std::exchange(is_scheduled_, true)) begin_burst();
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

using boost::system::error_code;

/// One connection as the layers above see it: an outbox that is flushed at the end of a burst, a
/// deadline for the current phase, and an end. Derived classes write the bytes.
class Channel : public std::enable_shared_from_this<Channel>, private Flushable {
 public:
  /// The conversation over the channel, which is told when the channel goes down.
  class Owner {
   public:
    virtual void on_channel_down() = 0;

   protected:
    ~Owner() = default;
  };

  Channel(std::shared_ptr<Flusher> flusher, std::shared_ptr<const StreamOptions> options)
      : flusher_(std::move(flusher)), options_(std::move(options)), last_activity_(clock().now()) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept {
    return flusher_->get_executor();
  }
  /// The executor, which is shared by all channels of one executor.
  [[nodiscard]] std::shared_ptr<const boost::asio::any_io_executor> shared_executor()
      const noexcept {
    return {flusher_, &flusher_->get_executor()};
  }
  [[nodiscard]] const StreamOptions& options() const noexcept { return *options_; }
  [[nodiscard]] const std::shared_ptr<const StreamOptions>& shared_options() const noexcept {
    return options_;
  }
  [[nodiscard]] Clock& clock() const noexcept { return *options_->clock; }
  [[nodiscard]] Outbox& outbox() noexcept { return outbox_; }
  [[nodiscard]] bool is_down() const noexcept { return is_down_; }
  void set_owner(Owner* owner) noexcept { owner_ = owner; }
  [[nodiscard]] bool has_owner() const noexcept { return owner_ != nullptr; }
  /// When bytes last came from the peer.
  [[nodiscard]] Clock::time_point last_activity() const noexcept { return last_activity_; }
  void note_activity() noexcept { last_activity_ = clock().now(); }

  /// Queues a frame; false once the outbox is sealed.
  bool try_send(const Frame& frame, Outbox::EntryClass entry_class = Outbox::EntryClass::message) {
    if (outbox_.is_sealed()) return false;
    flush_soon(/*was_empty=*/outbox_.push(frame, flusher_->now(clock()), entry_class));
    return true;
  }
  /// Queues a frame that may be dropped, or replaces another.
  Queueing offer(const Frame& frame, const FramePolicy& policy) {
    if (outbox_.is_sealed()) return {.result = Queueing::Result::closed};
    const bool was_empty = outbox_.empty();
    const Queueing queueing =
        outbox_.offer(frame, flusher_->now(clock()), policy, [](std::size_t) {});
    flush_soon(was_empty && !outbox_.empty());
    return queueing;
  }
  /// Writes queued bytes now. @returns whether some could be written, or a write is under way.
  virtual bool try_flush() = 0;
  /// How many bytes the peer has taken, and how many it has not.
  [[nodiscard]] SendProgress send_progress() const noexcept {
    const KernelProgress kernel = kernel_progress();
    return {.taken = kernel.acknowledged.value_or(outbox_.consumed() - kernel.unacknowledged),
            .pending = outbox_.bytes() + kernel.unacknowledged,
            .round_trip = kernel.round_trip};
  }

  /// Queues the last frame and seals the outbox.
  void send_close(const Frame& frame) {
    if (try_send(frame, Outbox::EntryClass::control)) outbox_.seal();
  }

  /// Sets the deadline of the current phase, after which the channel is aborted.
  void set_deadline(Clock::duration delay) { begin_phase(clock().now() + delay).patience.reset(); }
  /// Limits how long the peer may take for the bytes sent so far: 32 KiB, or all that is left,
  /// within each @p delay. Then the phase must end within @p in_the_end. Else the channel is
  /// aborted.
  void set_flush_deadline(Clock::duration delay, Clock::duration in_the_end) {
    constexpr std::size_t min_progress_bytes = 32'768;
    const TimeLimit limit{.total = {},
                          .without_progress = delay,
                          .min_progress_bytes = min_progress_bytes,
                          .in_the_end = in_the_end};
    const Patience patience(clock().now(), limit, send_progress());
    begin_phase(patience.next_look()).patience = patience;
  }
  [[nodiscard]] bool has_deadline() const noexcept { return deadline_ != nullptr; }
  void clear_deadline() { deadline_.reset(); }

  /// Keeps the place among the connections with the same key until the channel is down.
  void hold(ConnectionLimiter::Slot slot) noexcept { slot_ = std::move(slot); }

  /// Ends the transport immediately; queued bytes are lost.
  void abort() noexcept { go_down(/*abortively=*/true); }
  /// Ends the transport at the end of the conversation: nothing is left to flush.
  void end() noexcept { go_down(/*abortively=*/false); }

 protected:
  ~Channel() { flusher_->forget(*this); }

  /// Removes @p n bytes from the outbox, which have been written.
  void consume(std::size_t n) {
    outbox_.consume(n);
    if (!changed_.empty()) changed_.notify_all();
  }

  WaitList changed_;         // notified when bytes were written, or the channel went down
  bool is_writing_ = false;  // a write is under way, and flushes what comes meanwhile

 private:
  /// Called when a frame was queued: flushes at the end of the burst.
  /// @param was_empty  whether no flush has been requested yet
  void flush_soon(bool was_empty) {
    if (was_empty && is_writing_) {
      outbox_.mark_blocked();  // waits until the socket is writable
    } else if (was_empty) {
      flusher_->mark_dirty(*this);
    }
    // While the channel waits for its peer, an early flush gains nothing.
    flusher_->note_frame(is_writing_ ? 0 : outbox_.bytes());
  }

  [[nodiscard]] virtual KernelProgress kernel_progress() const noexcept = 0;
  /// Ends the transport; if @p abortively is false, gracefully as far as that takes no time.
  virtual void end_transport(bool abortively) noexcept = 0;
  virtual void on_deadline() noexcept { abort(); }
  struct Phase {
    Phase(const boost::asio::any_io_executor& executor, Clock& clock) : timer(executor, clock) {}
    Timer timer;
    std::optional<Patience> patience = {};  // not set: a fixed deadline
  };
  Phase& begin_phase(Clock::time_point deadline) {
    if (!deadline_) deadline_ = std::make_unique<Phase>(get_executor(), clock());
    deadline_->timer.expires_at(deadline);
    wait_for_deadline();
    return *deadline_;
  }
  void wait_for_deadline() {
    deadline_->timer.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!self || self->is_down_ || !self->deadline_) return;
      Timer& timer = self->deadline_->timer;
      if (timer.goes_on(error)) return self->wait_for_deadline();
      if (timer.is_over()) self->look_at_deadline();
    });
  }
  void look_at_deadline() {
    std::optional<Patience>& patience = deadline_->patience;
    if (!patience || patience->is_over(clock().now(), send_progress())) return on_deadline();
    deadline_->timer.expires_at(patience->next_look());
    wait_for_deadline();
  }

  void go_down(bool abortively) noexcept {
    if (std::exchange(is_down_, true)) return;
    const auto self = weak_from_this().lock();
    outbox_.discard();
    end_transport(abortively);
    clear_deadline();
    slot_.release();
    changed_.notify_all();
    if (owner_) owner_->on_channel_down();
  }

  // The members that each frame needs are next to each other.
  const std::shared_ptr<Flusher> flusher_;
  Outbox outbox_;
  bool is_down_ = false;

  const std::shared_ptr<const StreamOptions> options_;  // shared
  std::unique_ptr<Phase> deadline_;                     // set in the first and the last phase only
  ConnectionLimiter::Slot slot_;
  Owner* owner_ = nullptr;
  const Running running_{flusher_->counter()};
  Clock::time_point last_activity_;
};

}  // namespace roost::detail
