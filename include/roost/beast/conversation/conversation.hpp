// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "roost/beast/transport/channel.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"

namespace roost::detail {

class Conversation;

/// Shared by a conversation and its `BeastWebSocket`, so that either may be destroyed first: the
/// message that waits to be taken, and how the conversation ended.
struct Inbox {
  // Shared with the channel; null once down: the context may be gone.
  std::shared_ptr<const boost::asio::any_io_executor> home;
  Conversation* conversation = nullptr;  // null once down
  std::optional<Message> message;
  std::optional<Disconnect> ended;
  Clock::time_point last_activity{};
  SocketObserver* observer = nullptr;
  Sleeper receiver;  // sleeps until a message or the end
  WaitList downed;

  [[nodiscard]] const boost::asio::any_io_executor& executor() const noexcept {
    static const boost::asio::any_io_executor none;
    return home ? *home : none;
  }
  void pong(std::string_view payload) {
    if (observer) observer->on_pong(payload);
  }
  void end(const Disconnect& how) {
    if (ended) return;
    ended = how;
    receiver.wake();
    if (observer) observer->on_closed(how);
  }
  void go_down(Clock::time_point activity) {
    last_activity = activity;
    if (!ended) ended = Disconnect{};
    if (auto* const told = std::exchange(observer, nullptr)) told->on_sink_gone();
    conversation = nullptr;
    receiver.wake();
    home.reset();
    downed.notify_all();
  }
};

/// One WebSocket after its upgrade. It has a channel for outgoing frames, and reads whenever no
/// message waits to be taken, so that pings, pongs and closes are handled even if the application
/// only sends.
///
/// The pending read owns the conversation, which therefore ends with its `io_context`.
class Conversation : public std::enable_shared_from_this<Conversation>, protected Channel::Owner {
 public:
  virtual ~Conversation() {
    channel_->outbox().watch({});
    inbox_->go_down(LoopClock::shown(channel_->clock(), channel_->last_activity()));
  }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  [[nodiscard]] Channel& channel() noexcept { return *channel_; }
  [[nodiscard]] const std::shared_ptr<Inbox>& inbox() const noexcept { return inbox_; }

  virtual void set_max_message_bytes(std::size_t n) = 0;
  /// The form in which the peer wants its frames.
  [[nodiscard]] virtual FrameForm frame_form() const noexcept { return 0; }
  /// Starts reading. @pre the upgrade is done
  virtual void start_reading() = 0;

  /// Called when the buffered message was taken: there is room for the next.
  virtual void resume() { space_.notify_all(); }

  /// Sends a close frame after the queued frames, and discards messages that still arrive. If the
  /// peer does not answer within @p timeout, the channel is aborted. Without a timeout, the peer
  /// has `close_timeout` once it has taken everything.
  void close(std::uint16_t code, std::string_view reason, std::optional<Clock::duration> timeout) {
    if (has_ended() || channel_->is_down()) return;
    is_discarding_ = true;
    channel_->send_close(Frame::close(code, reason));
    const Clock::duration usual = channel_->options().close_timeout;
    timeout ? channel_->set_deadline(*timeout) : channel_->set_flush_deadline(usual, usual);
    inbox_->end(
        {.reason = DisconnectReason::disconnected, .code = code, .text = std::string(reason)});
    resume();
  }

  /// Called when the `BeastWebSocket` is gone. A conversation that the peer has ended completes
  /// within its deadline: the queue and the close frame have still to reach the peer. Any other is
  /// aborted.
  void let_go() {
    is_discarding_ = true;
    channel_->outbox().watch({});
    if (!is_finishing_) channel_->abort();
  }

 protected:
  explicit Conversation(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {
    inbox_->home = channel_->shared_executor();
    inbox_->conversation = this;
  }

  [[nodiscard]] bool has_ended() const noexcept { return inbox_->ended.has_value(); }
  void on_channel_down() final {
    inbox_->end({});
    resume();
  }

  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  const std::shared_ptr<Channel> channel_;
  WaitList space_;
  bool is_discarding_ = false;
  bool is_finishing_ = false;  // ends by itself within a deadline
};

}  // namespace roost::detail
