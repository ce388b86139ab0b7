// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string_type.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/beast/websocket/stream_base.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "roost/beast/detail/conversation.hpp"
#include "roost/detail/wait.hpp"
#include "roost/message.hpp"

namespace roost::detail {

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
    // Beast does the same for a dynamic buffer, in one more operation around this one, and with a
    // larger buffer for who waits for a message.
    const std::size_t space =
        stream_.is_message_done() ? first_piece_ : stream_.read_size_hint(buffer_);
    stream_.async_read_some(buffer_.prepare(space),
                            [this, self = shared_from_this()](error_code error, std::size_t n) {
                              buffer_.commit(n);
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
    if (inbox_->message) {
      // The one before is not taken yet: nothing is read until it is.
      when_notified(space_, channel_->get_executor(), channel_->clock(), Timer::never(),
                    [this, self = shared_from_this()](bool) {
                      if (!channel_->is_down()) on_read({});
                    });
      return;
    }
    const auto data = buffer_.cdata();
    Message message{.is_text = stream_.got_text(),
                    .payload = std::string(static_cast<const char*>(data.data()), data.size())};
    first_piece_ = std::clamp(data.size(), smallest_piece, largest_first_piece);
    buffer_.clear();
    // An idle connection keeps no large buffer.
    if (buffer_.capacity() > largest_kept_buffer) buffer_ = boost::beast::flat_buffer();
    // Whoever waits takes it at once. Else nothing is read until it is taken.
    const bool is_awaited = inbox_->receiver.is_sleeping();
    if (!is_awaited) {
      when_notified(space_, channel_->get_executor(), channel_->clock(), Timer::never(),
                    [this, self = shared_from_this()](bool) {
                      if (!channel_->is_down()) read();
                    });
    }
    inbox_->message = std::move(message);
    inbox_->receiver.wake();
    if (is_awaited) read();
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
  static constexpr std::size_t smallest_piece = 128;
  static constexpr std::size_t largest_first_piece = 2'048;
  std::size_t first_piece_ = smallest_piece;  // a message is expected to be like the one before
  boost::beast::flat_buffer buffer_;
};

}  // namespace roost::detail
