// SPDX-License-Identifier: MIT
#pragma once

#include "roost/access/connection_limiter.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/transport/flusher.hpp"
#include "roost/beast/transport/transport.hpp"
#include "roost/manager/sending/pace.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/detail/outbox.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

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
