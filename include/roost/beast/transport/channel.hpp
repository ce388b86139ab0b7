// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "roost/access/connection_limiter.hpp"
#include "roost/base/clock.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/transport/flusher.hpp"
#include "roost/beast/transport/transport.hpp"
#include "roost/manager/sending/patience.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/runtime/running.hpp"
#include "roost/socket/detail/outbox.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

using boost::system::error_code;

/// One connection as those above see it: an outbox that is flushed at the end of a burst, a
/// deadline for the phase it is in, and an end. How bytes are written is up to what derives.
class Channel : public std::enable_shared_from_this<Channel>, private Flushable {
 public:
  Channel(boost::asio::any_io_executor executor, std::shared_ptr<const StreamOptions> options)
      : executor_(std::move(executor)),
        flusher_(Flusher::of(executor_)),
        options_(std::move(options)),
        last_activity_(clock().now()) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept {
    return executor_;
  }
  [[nodiscard]] const StreamOptions& options() const noexcept { return *options_; }
  [[nodiscard]] const std::shared_ptr<const StreamOptions>& shared_options() const noexcept {
    return options_;
  }
  [[nodiscard]] Clock& clock() const noexcept { return *options_->clock; }
  [[nodiscard]] Outbox& outbox() noexcept { return outbox_; }
  [[nodiscard]] bool is_down() const noexcept { return is_down_; }
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
  /// Writes what can be written now. @returns whether some of it could, or is being written.
  virtual bool try_flush() = 0;
  /// What the peer has taken, and what it has not.
  [[nodiscard]] SendProgress send_progress() const noexcept {
    const KernelProgress kernel = kernel_progress();
    return {.taken = kernel.acknowledged.value_or(outbox_.consumed() - kernel.unacknowledged),
            .pending = outbox_.bytes() + kernel.unacknowledged,
            .round_trip = kernel.round_trip};
  }

  /// Queues the last frame.
  void send_close(const Frame& frame) {
    if (try_send(frame, Outbox::EntryClass::control)) outbox_.seal();
  }

  /// By then the current phase must be over, else the channel is aborted.
  void set_deadline(Clock::duration delay) { begin_phase(clock().now() + delay).patience.reset(); }
  /// From now on the peer must take what was sent: so much of it, or all, within each @p delay, and
  /// do what is wanted of it then within @p in_the_end. Else the channel is aborted.
  void set_flush_deadline(Clock::duration delay, Clock::duration in_the_end) {
    constexpr std::size_t min_progress_bytes = 32'768;
    const TimeLimit limit{.total = {},
                          .without_progress = delay,
                          .min_progress_bytes = min_progress_bytes,
                          .in_the_end = in_the_end};
    const Patience patience(clock().now(), limit, send_progress());
    begin_phase(patience.next_look()).patience = patience;
  }
  /// Sets a deadline unless one that comes earlier is set already.
  void tighten_deadline(Clock::duration delay) {
    if (!deadline_ || clock().now() + delay < deadline_->timer.expiry()) set_deadline(delay);
  }
  [[nodiscard]] bool has_deadline() const noexcept { return deadline_ != nullptr; }
  void clear_deadline() { deadline_.reset(); }

  /// Its place among those of its key, until it is down.
  void hold(ConnectionLimiter::Slot slot) noexcept { slot_ = std::move(slot); }

  /// Ends the transport now; what is queued is lost.
  void abort() noexcept { go_down(/*abortively=*/true); }
  /// Ends it at the end of the conversation: nothing is left to flush.
  void close() noexcept { go_down(/*abortively=*/false); }

 protected:
  ~Channel() { flusher_->forget(*this); }

  /// @p n bytes of the outbox are written.
  void consume(std::size_t n) {
    outbox_.consume(n);
    if (!changed_.empty()) changed_.notify_all();
  }

  WaitList changed_;         // the outbox got emptier, or the channel went down
  bool is_writing_ = false;  // a write is under way, which will flush what comes meanwhile

 private:
  /// A frame was offered: what is queued leaves at the end of the burst.
  /// @param was_empty  whether nobody has been asked to flush it yet
  void flush_soon(bool was_empty) {
    if (was_empty && is_writing_) {
      outbox_.mark_blocked();  // it waits until the socket is writable
    } else if (was_empty) {
      flusher_->mark_dirty(*this);
    }
    // What waits for its peer gains nothing from an early flush.
    flusher_->note_frame(is_writing_ ? 0 : outbox_.bytes());
  }

  [[nodiscard]] virtual KernelProgress kernel_progress() const noexcept = 0;
  /// Ends the transport, gracefully if that takes no time.
  virtual void end_transport(bool abortively) noexcept = 0;
  virtual void on_deadline() noexcept { abort(); }
  struct Phase {
    Phase(const boost::asio::any_io_executor& executor, Clock& clock) : timer(executor, clock) {}
    Timer timer;
    std::optional<Patience> patience = {};  // none: the deadline is one, whatever the peer takes
  };
  Phase& begin_phase(Clock::time_point deadline) {
    if (!deadline_) deadline_ = std::make_unique<Phase>(executor_, clock());
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
  virtual void on_down() noexcept = 0;

  void go_down(bool abortively) noexcept {
    if (std::exchange(is_down_, true)) return;
    const auto self = weak_from_this().lock();
    outbox_.discard();
    end_transport(abortively);
    clear_deadline();
    slot_.release();
    changed_.notify_all();
    on_down();
  }

  const boost::asio::any_io_executor executor_;
  const Running running_{executor_};
  // What each frame needs, side by side.
  const std::shared_ptr<Flusher> flusher_;
  Outbox outbox_;
  bool is_down_ = false;

  const std::shared_ptr<const StreamOptions> options_;  // of many
  std::unique_ptr<Phase> deadline_;  // most have none: only the first and the last phase have one
  ConnectionLimiter::Slot slot_;
  Clock::time_point last_activity_;
};

}  // namespace roost::detail
