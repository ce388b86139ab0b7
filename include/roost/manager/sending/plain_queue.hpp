// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "roost/base/text/text.hpp"
#include "roost/manager/sending/backpressure.hpp"
#include "roost/manager/sending/pace.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/running.hpp"
#include "roost/socket/detail/outbox.hpp"
#include "roost/socket/socket_observer.hpp"

namespace roost {

template <class Ws>
class Connection;

namespace detail {

/// The outbox of a socket that does not accept frames: they are queued here, and one pump at a time
/// sends them as messages.
template <class Ws>
class PlainQueue {
 public:
  void watch(const OutboxWatch& watch) { outbox_.watch(watch); }
  [[nodiscard]] std::size_t cost() const noexcept { return outbox_.cost(); }
  /// Returns when the current send began, or when the first queued frame was queued if that is
  /// later.
  [[nodiscard]] std::optional<Clock::time_point> oldest() const {
    const auto oldest = outbox_.oldest();
    return oldest ? std::optional(std::max(*oldest, send_began_)) : std::nullopt;
  }
  /// Returns how many bytes were sent.
  [[nodiscard]] std::uint64_t sent_bytes() const noexcept { return outbox_.consumed(); }
  /// Returns the bytes sent, and those still to be sent.
  [[nodiscard]] SendProgress progress() const noexcept {
    return {.taken = sent_bytes(), .pending = outbox_.bytes()};
  }

  /// Queues a frame.
  /// @param delivery  notified when the frame is sent; null if nobody waits
  void push(const Frame& frame, std::shared_ptr<Delivery> delivery, Clock::time_point now) {
    if (delivery) ++delivery->pending;
    deliveries_.push_back(std::move(delivery));
    outbox_.push(frame, now);
  }
  Queueing offer(const Frame& frame, const FramePolicy& policy, Clock::time_point now) {
    const Queueing queueing = outbox_.offer(frame, now, policy, [this](std::size_t i) {
      deliveries_.erase(deliveries_.begin() + static_cast<std::ptrdiff_t>(i));
    });
    if (queueing.result == Queueing::Result::taken) deliveries_.push_back(nullptr);
    return queueing;
  }

  /// Notifies all who wait for a delivery, and queues the @p parked frames last.
  /// @param is_flushed  whether queued frames are still to be sent
  void end(Backpressure& parked, bool is_flushed) {
    watch({});
    for (const auto& delivery : std::exchange(deliveries_, {})) {
      if (delivery) delivery->settle_one();
    }
    while (auto one = parked.take()) {
      outbox_.push(one->frame, {});
      if (one->delivery) one->delivery->settle_one();
    }
    if (!is_flushed) outbox_.discard();
  }

  /// Returns whether a pump sends the queued frames.
  [[nodiscard]] bool is_pumping() const noexcept { return is_pumping_; }
  /// Sends all frames until none is queued. @pre not `is_pumping()`
  /// @param owner  keeps this alive, and is dropped when a send fails; then nothing more is sent
  void pump(const Loop& loop, std::shared_ptr<Connection<Ws>> owner, std::shared_ptr<Ws> socket) {
    is_pumping_ = true;
    boost::asio::co_spawn(loop.executor,
                          run_pump(*this, std::move(owner), std::move(socket), loop.clock),
                          [running = Running(loop.executor)](std::exception_ptr) {});
  }

  /// Waits until all frames are sent. Frames left when @p patience is over are discarded.
  /// @returns whether all were sent
  /// @pre this, @p loop and @p patience outlive the coroutine
  boost::asio::awaitable<bool> wait_flushed(const Loop& loop, Patience& patience) {
    struct Rest {
      Outbox& outbox;
      ~Rest() { outbox.discard(); }
    };
    const Rest rest{outbox_};
    bool is_in_time = true;
    while (is_in_time && is_pumping_) {
      const bool is_told = co_await wait(pump_ended_, loop, patience.next_look());
      is_in_time = is_told || !patience.is_over(loop.now(), progress());
    }
    co_return !is_pumping_;
  }

 private:
  // Owns socket and frame, so that a send that never ends does not block anything else.
  static boost::asio::awaitable<void> run_pump(PlainQueue& self,
                                               std::shared_ptr<Connection<Ws>> owner,
                                               std::shared_ptr<Ws> socket, Clock& clock) {
    // The socket must not be called during a broadcast.
    co_await next_turn();
    while (!self.outbox_.empty()) {
      self.send_began_ = clock.now();  // each message has its own time limit
      self.outbox_.mark_blocked();
      self.outbox_.start_front();
      const Frame frame = self.outbox_.front().frame;
      std::exception_ptr error;
      try {
        if (frame.opcode() == Opcode::text) {
          co_await socket->send_text(frame.payload_text());
        } else {
          co_await socket->send_bytes(frame.payload());
        }
      } catch (...) {
        error = std::current_exception();
      }
      if (error) {
        self.outbox_.discard();
        parts_of(*owner).drop({.reason = DisconnectReason::send_failed, .text = describe(error)});
      } else if (!self.outbox_.empty()) {
        self.finish_front(frame);
      }
    }
    self.is_pumping_ = false;
    self.pump_ended_.notify_all();
  }

  void finish_front(const Frame& sent) {
    std::shared_ptr<Delivery> delivery;
    if (!deliveries_.empty()) {  // empty after `end`
      delivery = std::move(deliveries_.front());
      deliveries_.pop_front();
    }
    outbox_.consume(sent.size());
    if (delivery) delivery->settle_one();
  }

  Outbox outbox_;
  std::deque<std::shared_ptr<Delivery>> deliveries_;  // one for each entry; null if nobody waits
  Clock::time_point send_began_{};
  bool is_pumping_ = false;
  WaitList pump_ended_;
};

}  // namespace detail
}  // namespace roost

namespace roost::detail {

/// How far a socket has come with its frames. The socket knows it, or, if it does not accept
/// frames, the `Queue` in front of it.
template <class Ws, class Queue>
struct Backlog {
  Ws& socket;
  const Queue& queue;

  /// Returns the memory of the queued frames.
  [[nodiscard]] std::size_t bytes() const {
    if constexpr (HasOutbox<Ws>) {
      return socket.queued_bytes();
    } else if constexpr (!TakesFrames<Ws>) {
      return queue.cost();
    } else {
      return 0;
    }
  }

  /// Returns when the oldest byte was queued, in the time of @p loop. A socket uses the clock of
  /// the application.
  [[nodiscard]] std::optional<Clock::time_point> oldest(
      [[maybe_unused]] const LoopClock& loop) const {
    if constexpr (HasOutbox<Ws>) {
      std::optional<Clock::time_point> oldest = socket.oldest_queued();
      if (oldest) oldest = loop.from_base(*oldest);
      return oldest;
    } else if constexpr (!TakesFrames<Ws>) {
      return queue.oldest();
    } else {
      return std::nullopt;
    }
  }

  /// Returns the progress of the peer, for a `Pace`.
  [[nodiscard]] SendProgress pace(const LoopClock& loop) const {
    if constexpr (TellsProgress<Ws>) {
      return socket.send_progress();
    } else if constexpr (!TakesFrames<Ws>) {
      return {.taken = queue.sent_bytes()};
    } else if (const auto time = oldest(loop)) {
      // Any change of the oldest byte counts as a large progress.
      return {.taken = static_cast<std::uint64_t>(time->time_since_epoch().count())};
    }
    return {};
  }

  /// Returns the progress of the peer, once no more frames are queued.
  [[nodiscard]] SendProgress rest() const {
    if constexpr (TellsProgress<Ws>) {
      return socket.send_progress();
    } else if constexpr (!TakesFrames<Ws>) {
      return queue.progress();
    } else {
      const std::size_t queued = bytes();
      return {.taken = std::uint64_t{0} - queued, .pending = queued};  // gone means taken
    }
  }
};
}  // namespace roost::detail
