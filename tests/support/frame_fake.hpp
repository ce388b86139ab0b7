// A socket that takes frames, with an outbox of its own and no network: it drains when told to.
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <roost/roost.hpp>
#include <roost/socket/detail/outbox.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace roost::test {

/// 20 bytes on the wire.
inline std::string message(int i) {
  const std::string text = std::to_string(i);
  return std::string(18 - text.size(), '.') + text;
}

class FrameFake {
 public:
  explicit FrameFake(Clock& clock = Clock::system()) : clock_(clock) {}

  // From now on nothing is drained by itself.
  void stall() { is_stalled_ = true; }
  /// The peer takes @p n bytes.
  void drain(std::size_t n) {
    is_draining_ = true;  // what is told of it may send more
    while (n > 0 && !outbox_.empty()) {
      std::array<std::span<const std::byte>, 1> next{};
      outbox_.gather(next);
      const std::size_t step = std::min(n, next[0].size());
      if (step == next[0].size()) record(outbox_.front().frame);
      outbox_.consume(step);
      n -= step;
    }
    is_draining_ = false;
  }
  void drain_all() {
    is_stalled_ = false;
    drain(std::numeric_limits<std::size_t>::max());
  }
  void peer_closes(std::uint16_t code) {
    end({.reason = DisconnectReason::peer_closed, .code = code, .text = {}});
  }

  std::vector<std::string> texts;
  std::optional<std::uint16_t> close_code;
  bool is_aborted = false;
  std::size_t frames = 0;

  // --- WebSocketLike, TakesFrames, HasOutbox, Aborts, KnowsItsEnd ---

  bool try_send(const Frame& frame) {
    if (outbox_.is_sealed()) return false;
    outbox_.push(frame, clock_.now());
    ++frames;
    if (is_stalled_) {
      outbox_.mark_blocked();
    } else if (!is_draining_) {
      drain_all();
    }
    return true;
  }
  Queueing offer(const Frame& frame, const FramePolicy& policy) {
    if (outbox_.is_sealed()) return {.result = Queueing::Result::closed};
    const Queueing queueing = outbox_.offer(frame, clock_.now(), policy, [](std::size_t) {});
    if (is_stalled_) {
      outbox_.mark_blocked();
    } else if (!is_draining_) {
      drain_all();
    }
    return queueing;
  }
  /// Some of what is queued may be on the wire.
  void start_writing() {
    std::array<std::span<const std::byte>, 1> next{};
    outbox_.gather(next);
  }
  void observe(OutboxWatch watch) {
    observer_ = watch.observer;
    outbox_.watch(watch);
  }
  std::size_t queued_bytes() const { return outbox_.bytes(); }
  std::optional<Clock::time_point> oldest_queued() const { return outbox_.oldest(); }
  SendProgress send_progress() const {
    return {.taken = outbox_.consumed(), .pending = outbox_.bytes()};
  }
  boost::asio::awaitable<void> send_text(std::string_view text) {
    try_send(Frame::text(text));
    co_return;
  }
  boost::asio::awaitable<void> send_bytes(std::span<const std::byte> bytes) {
    try_send(Frame::binary(bytes));
    co_return;
  }
  boost::asio::awaitable<void> close(std::uint16_t code) {
    close_code = code;
    outbox_.seal();
    co_return;
  }
  void abort() {
    is_aborted = true;
    outbox_.discard();
  }
  std::optional<Disconnect> ended() const { return ended_; }

 private:
  void record(const Frame& frame) { texts.emplace_back(frame.payload_text()); }
  void end(Disconnect how) {
    outbox_.seal();
    ended_ = how;
    if (observer_) observer_->on_closed(how);
  }

  Clock& clock_;
  detail::Outbox outbox_;
  SocketObserver* observer_ = nullptr;
  std::optional<Disconnect> ended_;
  bool is_stalled_ = false;
  bool is_draining_ = false;
};

}  // namespace roost::test

#if defined(ROOST_SEPARATE_COMPILATION)
// Compiled once, by `instances.cpp`.
namespace roost {
extern template class Connection<test::FrameFake>;
extern template class ConnectionManager<test::FrameFake>;
extern template class detail::Child<std::shared_ptr<Connection<test::FrameFake>>>;
}  // namespace roost
#endif
