// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/sending/backpressure.hpp"
#include "roost/manager/sending/patience.hpp"
#include "roost/runtime/detail/loop.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/runtime/running.hpp"
#include "roost/socket/detail/outbox.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost {

template <class Ws>
class Connection;

namespace detail {

/// The outbox of a socket that takes no frames: they queue up here, and one pump at a time sends
/// them as messages.
template <class Ws>
class PlainQueue {
 public:
  void watch(const OutboxWatch& watch) { outbox_.watch(watch); }
  [[nodiscard]] std::size_t cost() const noexcept { return outbox_.cost(); }
  /// When the send under way began, or what waits for the next one was queued.
  [[nodiscard]] std::optional<Clock::time_point> oldest() const {
    const auto oldest = outbox_.oldest();
    return oldest ? std::optional(std::max(*oldest, send_began_)) : std::nullopt;
  }
  /// Bytes that were sent.
  [[nodiscard]] std::uint64_t sent_bytes() const noexcept { return outbox_.consumed(); }
  /// What was sent, and what is still to be sent.
  [[nodiscard]] SendProgress progress() const noexcept {
    return {.taken = sent_bytes(), .pending = outbox_.bytes()};
  }

  /// @param delivery  told when it is sent; null where nobody waits
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

  /// Whoever waits for a delivery is told, and @p parked comes last.
  /// @param is_flushed  whether what is queued is still to be sent
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

  /// Whether what is queued is being sent, and what comes next will be.
  [[nodiscard]] bool is_pumping() const noexcept { return is_pumping_; }
  /// Sends all there is. @pre not `is_pumping()`
  /// @param owner  keeps this, and is told when a send fails; then nothing is sent any more
  void pump(const Loop& loop, std::shared_ptr<Connection<Ws>> owner, std::shared_ptr<Ws> socket) {
    is_pumping_ = true;
    boost::asio::co_spawn(loop.executor,
                          run_pump(*this, std::move(owner), std::move(socket), loop.clock),
                          [running = Running(loop.executor)](std::exception_ptr) {});
  }

  /// Waits until all is sent. What is not when @p patience is over never will be.
  /// @pre this, @p loop and @p patience outlive it
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
  // Owns socket and frame: a send that never ends holds nobody but itself.
  static boost::asio::awaitable<void> run_pump(PlainQueue& self,
                                               std::shared_ptr<Connection<Ws>> owner,
                                               std::shared_ptr<Ws> socket, Clock& clock) {
    // The socket must not be called while a broadcast is under way.
    co_await next_turn();
    while (!self.outbox_.empty()) {
      self.send_began_ = clock.now();  // each message has its own time
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
    if (!deliveries_.empty()) {  // none once it is only flushed
      delivery = std::move(deliveries_.front());
      deliveries_.pop_front();
    }
    outbox_.consume(sent.size());
    if (delivery) delivery->settle_one();
  }

  Outbox outbox_;
  std::deque<std::shared_ptr<Delivery>> deliveries_;  // one for each entry, null where none waits
  Clock::time_point send_began_{};
  bool is_pumping_ = false;
  WaitList pump_ended_;
};

}  // namespace detail
}  // namespace roost
