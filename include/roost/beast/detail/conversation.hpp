// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "roost/beast/detail/channel.hpp"
#include "roost/beast/detail/inbox.hpp"
#include "roost/detail/loop_clock.hpp"
#include "roost/detail/wait_list.hpp"
#include "roost/disconnect.hpp"
#include "roost/frame.hpp"
#include "roost/websocket_like.hpp"

namespace roost::detail {

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

  /// Nobody is interested any more. A conversation that the peer has ended goes on to its own end,
  /// in time: the peer has still to be told, and what was sent to it has still to leave.
  void abandon() {
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
