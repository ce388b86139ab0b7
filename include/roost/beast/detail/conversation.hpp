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
  /// Who gets the messages. May go before the conversation, and says so by `set_listener(nullptr)`.
  class Listener {
   public:
    /// Room for another message is asked for by `resume`.
    virtual void on_message(Message message) = 0;
    /// Nothing more will be received or sent.
    virtual void on_ended(const Disconnect& how) = 0;
    /// The transport is closed: the conversation is about to be destroyed.
    virtual void on_down() = 0;

   protected:
    ~Listener() = default;
  };

  virtual ~Conversation() {
    if (listener_) listener_->on_down();
  }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  [[nodiscard]] Channel& channel() noexcept { return *channel_; }
  void set_listener(Listener* listener) noexcept { listener_ = listener; }

  virtual void set_max_message_bytes(std::size_t n) = 0;
  /// Starts to read. @pre the upgrade is done
  virtual void start() = 0;

  /// There is room for a message again.
  void resume() { space_.notify_all(); }

  /// Sends a close frame after what is queued; messages that still come are discarded. If the peer
  /// does not answer by the deadline, the channel is aborted.
  void close(std::uint16_t code, std::string_view reason) {
    if (is_closing_ || channel_->is_down()) return;
    is_closing_ = true;
    channel_->send_close(Frame::close(code, reason));
    channel_->set_deadline(channel_->options().close_timeout);
    end({.reason = DisconnectReason::disconnected, .code = code, .text = std::string(reason)});
    resume();
  }

 protected:
  explicit Conversation(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}

  void end(const Disconnect& how) {
    if (std::exchange(has_ended_, true)) return;
    if (listener_) listener_->on_ended(how);
  }
  void on_channel_down() {
    end({});
    resume();
  }
  [[nodiscard]] bool is_discarding() const noexcept { return is_closing_ || !listener_; }

  const std::shared_ptr<Channel> channel_;
  Listener* listener_ = nullptr;
  WaitList space_;

 private:
  bool is_closing_ = false;
  bool has_ended_ = false;
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
  void read() {
    stream_.async_read(buffer_, [this, self = shared_from_this()](error_code error, std::size_t) {
      on_read(error);
    });
  }

  void on_read(error_code error) {
    if (error) return on_read_failed(error);
    if (is_discarding()) {
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
    listener_->on_message(std::move(message));
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

  void on_control(boost::beast::websocket::frame_type type, boost::beast::string_view) {
    channel_->note_activity();
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
