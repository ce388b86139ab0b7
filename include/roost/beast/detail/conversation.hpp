// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string_type.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/beast/websocket/stream_base.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "roost/beast/detail/channel.hpp"
#include "roost/beast/detail/inbox.hpp"
#include "roost/detail/wait.hpp"
#include "roost/detail/wait_list.hpp"
#include "roost/disconnect.hpp"
#include "roost/frame.hpp"
#include "roost/message.hpp"

namespace roost::detail {

/// One WebSocket after its upgrade: a channel for what is sent, and a read that is always
/// outstanding, so that pings, pongs and closes are seen while the application only pushes.
///
/// Owned by that read: it ends with its `io_context`. Beast parses, checks and answers.
class Conversation : public std::enable_shared_from_this<Conversation> {
 public:
  virtual ~Conversation() {
    channel_->outbox().watch({});
    inbox_->go_down(channel_->last_activity());
  }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  [[nodiscard]] Channel& channel() noexcept { return *channel_; }
  [[nodiscard]] const std::shared_ptr<Inbox>& inbox() const noexcept { return inbox_; }

  virtual void set_max_message_bytes(std::size_t n) = 0;
  /// Starts to read. @pre the upgrade is done
  virtual void start() = 0;

  /// There is room for a message again.
  void resume() { space_.notify_all(); }

  /// Sends a close frame after what is queued; messages that still come are discarded. If the peer
  /// does not answer by the deadline, the channel is aborted.
  void close(std::uint16_t code, std::string_view reason, Clock::duration timeout) {
    if (has_ended() || channel_->is_down()) return;
    is_discarding_ = true;
    channel_->send_close(Frame::close(code, reason));
    channel_->set_deadline(timeout);
    end({.reason = DisconnectReason::disconnected, .code = code, .text = std::string(reason)});
    resume();
  }

  /// Nobody is interested any more.
  void abandon() {
    is_discarding_ = true;
    channel_->outbox().watch({});
    channel_->abort();
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
};

/// The reading side, over any stream of Beast's.
template <class Stream>
class Reading : public Conversation {
 public:
  [[nodiscard]] Stream& stream() noexcept { return stream_; }
  void set_max_message_bytes(std::size_t n) override { stream_.read_message_max(n); }

  void start() override {
    stream_.control_callback(
        [this](boost::beast::websocket::frame_type type, boost::beast::string_view reason) {
          on_control(type, reason);
        });
    read();
  }

 protected:
  template <class... Arguments>
  explicit Reading(std::shared_ptr<Channel> channel, Arguments&&... arguments)
      : Conversation(std::move(channel)), stream_(std::forward<Arguments>(arguments)...) {
    namespace websocket = boost::beast::websocket;
    // Beast's own timeouts differ between its versions: roost's are on the injected clock.
    stream_.set_option(websocket::stream_base::timeout{websocket::stream_base::none(),
                                                       websocket::stream_base::none(), false});
    stream_.auto_fragment(false);
    set_max_message_bytes(this->channel_->options().max_message_bytes);
  }

  Stream stream_;

 private:
  // Piece by piece: each is a sign of life, also of a message that takes long.
  void read() {
    stream_.async_read_some(buffer_, 0,
                            [this, self = shared_from_this()](error_code error, std::size_t) {
                              if (!error) channel_->note_activity();
                              if (!error && !stream_.is_message_done()) return read();
                              on_read(error);
                            });
  }

  void on_read(error_code error) {
    if (error) return on_read_failed(error);
    if (is_discarding_) {
      buffer_.clear();
      return read();
    }
    const auto data = buffer_.cdata();
    Message message{.is_text = stream_.got_text(),
                    .payload = std::string(static_cast<const char*>(data.data()), data.size())};
    buffer_.clear();
    // An idle connection keeps no large buffer.
    if (buffer_.capacity() > largest_kept_buffer) buffer_ = boost::beast::flat_buffer();
    when_notified(space_, channel_->get_executor(), channel_->clock(), Timer::never(),
                  [this, self = shared_from_this()](bool) {
                    if (!channel_->is_down()) read();
                  });
    inbox_->put(std::move(message));
  }

  void on_read_failed(error_code error) {
    if (error == boost::beast::websocket::error::closed) end(peer_closed());
    if (error == boost::beast::websocket::error::message_too_big) {
      end({.reason = DisconnectReason::message_too_big,
           .code = close_code::message_too_big,
           .text = {}});
    }
    end({});
    channel_->close();
  }

  void on_control(boost::beast::websocket::frame_type type, boost::beast::string_view payload) {
    channel_->note_activity();
    if (type == boost::beast::websocket::frame_type::pong) {
      inbox_->pong({payload.data(), payload.size()});
    }
    if (type == boost::beast::websocket::frame_type::close) end(peer_closed());
  }

  [[nodiscard]] Disconnect peer_closed() const {
    const auto& reason = stream_.reason();
    return {.reason = DisconnectReason::peer_closed,
            .code = reason.code == 0 ? close_code::no_status : reason.code,
            .text = std::string(reason.reason.data(), reason.reason.size())};
  }

  static constexpr std::size_t largest_kept_buffer = 16'384;
  boost::beast::flat_buffer buffer_;
};

}  // namespace roost::detail
