// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/beast/transport/channel.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// A coroutine that sleeps until it is woken; one at a time. Owns it meanwhile.
///
/// Cheaper than a timer that is cancelled, and can be woken without a turn of the loop.
class Sleeper {
 public:
  Sleeper() = default;
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  [[nodiscard]] bool is_sleeping() const noexcept { return static_cast<bool>(handler_); }

  /// What a coroutine awaits.
  /// @param home  where `wake_here` is called
  /// @pre nobody sleeps
  /// @par Cancellation  throws `operation_aborted`.
  [[nodiscard]] auto sleep(const boost::asio::any_io_executor& home) {
    return boost::asio::async_initiate<const boost::asio::deferred_t,
                                       void(boost::system::error_code)>(
        [](auto handler, Sleeper* self, const boost::asio::any_io_executor& executor) {
          self->executor_ = boost::asio::get_associated_executor(handler, executor);
          self->is_at_home_ = self->executor_ == executor;
          self->fall_asleep(std::move(handler));
        },
        boost::asio::deferred, this, home);
  }

  /// A coroutine that sleeps goes on in a later turn of its executor.
  void wake(boost::system::error_code error = {}) {
    if (!is_sleeping()) return;
    const auto executor = std::exchange(executor_, boost::asio::any_io_executor());
    boost::asio::post(
        executor, [handler = std::move(handler_), error]() mutable { std::move(handler)(error); });
  }
  /// A coroutine that sleeps at home goes on before this returns; others as with `wake`.
  /// @pre nothing that called it minds what the application does now
  void wake_here() {
    if (!is_at_home_) return wake();
    if (!is_sleeping()) return;
    executor_ = boost::asio::any_io_executor();
    Handler handler(std::move(handler_));
    std::move(handler)(boost::system::error_code());
  }

 private:
  using Handler = boost::asio::any_completion_handler<void(boost::system::error_code)>;

  template <class AnyHandler>
  void fall_asleep(AnyHandler handler) {
    Handler(std::move(handler)).swap(handler_);
    // Of the erased handler: it has taken over the slot of the one within.
    auto slot = boost::asio::get_associated_cancellation_slot(handler_);
    if (!slot.is_connected()) return;
    slot.assign([this](boost::asio::cancellation_type type) {
      if (type != boost::asio::cancellation_type::none) {
        wake(boost::asio::error::operation_aborted);
      }
    });
  }

  Handler handler_;
  boost::asio::any_io_executor executor_;  // while it sleeps: the context may go before this
  bool is_at_home_ = false;
};

class Conversation;

/// What a conversation and its `BeastWebSocket` share, so that either may go first: the message
/// that waits to be taken, and how it ended.
struct Inbox {
  boost::asio::any_io_executor executor;  // none once it is down: the context may be gone
  Conversation* conversation = nullptr;   // null once it is down
  std::optional<Message> message;
  std::optional<Disconnect> ended;
  Clock::time_point last_activity{};
  SocketObserver* observer = nullptr;
  Sleeper receiver;  // until a message has come, or it has ended
  WaitList downed;

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
    executor = boost::asio::any_io_executor();
    downed.notify_all();
  }
};

/// One WebSocket after its upgrade: a channel for what is sent, and a read that goes on while no
/// message waits to be taken, so that pings, pongs and closes are seen while the application only
/// pushes.
///
/// Owned by that read: it ends with its `io_context`.
class Conversation : public std::enable_shared_from_this<Conversation> {
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
  /// How the peer wants its frames.
  [[nodiscard]] virtual FrameForm frame_form() const noexcept { return 0; }
  /// Starts to read. @pre the upgrade is done
  virtual void start() = 0;

  /// There is room for a message again.
  virtual void resume() { space_.notify_all(); }

  /// Sends a close frame after what is queued; messages that still come are discarded. If the peer
  /// does not answer within @p timeout, the channel is aborted; without one the peer has
  /// `close_timeout` for that once it has taken all.
  void close(std::uint16_t code, std::string_view reason, std::optional<Clock::duration> timeout) {
    if (has_ended() || channel_->is_down()) return;
    is_discarding_ = true;
    channel_->send_close(Frame::close(code, reason));
    const Clock::duration usual = channel_->options().close_timeout;
    timeout ? channel_->set_deadline(*timeout) : channel_->set_flush_deadline(usual, usual);
    end({.reason = DisconnectReason::disconnected, .code = code, .text = std::string(reason)});
    resume();
  }

  /// Its `BeastWebSocket` is gone. A conversation that the peer has ended goes on to its own end,
  /// in time: the peer has still to be told, and what was sent to it has still to leave.
  void drop() {
    is_discarding_ = true;
    channel_->outbox().watch({});
    if (!is_finishing_) channel_->abort();
  }

 protected:
  explicit Conversation(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {
    inbox_->executor = channel_->get_executor();
    inbox_->conversation = this;
  }

  [[nodiscard]] bool has_ended() const noexcept { return inbox_->ended.has_value(); }
  void end(const Disconnect& how) { inbox_->end(how); }
  void on_channel_down() {
    end({});
    resume();
  }

  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  const std::shared_ptr<Channel> channel_;
  WaitList space_;
  bool is_discarding_ = false;
  bool is_finishing_ = false;  // it ends by itself, and has a deadline
};

}  // namespace roost::detail
