// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/option.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/beast/websocket/stream_base.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "roost/beast/detail/link.hpp"
#include "roost/beast/detail/link_stream.hpp"
#include "roost/disconnect.hpp"
#include "roost/frame.hpp"
#include "roost/message.hpp"

namespace roost::detail {

/// The reading side of one WebSocket: Beast's stream over a `Link`, with a read always
/// outstanding, so that pings, pongs and closes are seen while the application only pushes.
///
/// Owned by that read: it ends with its `io_context`. Beast parses, checks and answers; all frames
/// of our own, close frames included, go straight to the link.
class Conversation final : public std::enable_shared_from_this<Conversation>,
                           private Link::Listener {
 public:
  using Stream = boost::beast::websocket::stream<LinkStream, /*deflateSupported=*/false>;

  /// Who gets the messages. May go before the conversation, and says so by `set_listener(nullptr)`.
  class Listener {
   public:
    /// @returns whether there is room for another message; if not, `resume` asks for it later.
    virtual bool on_message(Message message) = 0;
    /// Nothing more will be received or sent.
    virtual void on_ended(const Disconnect& how) = 0;
    /// The transport is closed: the conversation is about to be destroyed.
    virtual void on_down() = 0;

   protected:
    ~Listener() = default;
  };

  explicit Conversation(std::shared_ptr<Link> link)
      : link_(std::move(link)), stream_(LinkStream(link_)) {
    namespace websocket = boost::beast::websocket;
    // Beast's own timeouts differ between its versions: roost's are on the injected clock.
    stream_.set_option(websocket::stream_base::timeout{websocket::stream_base::none(),
                                                       websocket::stream_base::none(), false});
    stream_.auto_fragment(false);
    set_max_message_bytes(link_->options().max_message_bytes);
  }
  ~Conversation() {
    link_->set_listener(nullptr);
    link_->abort();
    if (listener_) listener_->on_down();
  }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  [[nodiscard]] Stream& stream() noexcept { return stream_; }
  [[nodiscard]] Link& link() noexcept { return *link_; }
  void set_listener(Listener* listener) noexcept { listener_ = listener; }
  void set_max_message_bytes(std::size_t n) { stream_.read_message_max(n); }

  /// Starts to read. @pre the upgrade is done
  void start() {
    link_->set_listener(this);
    stream_.control_callback(
        [this](boost::beast::websocket::frame_type type, boost::beast::string_view reason) {
          if (type == boost::beast::websocket::frame_type::close) on_peer_closes(reason);
        });
    read();
  }

  /// There is room for a message again.
  void resume() { space_.notify_all(); }

  /// Sends a close frame after what is queued; messages that still come are discarded. If the peer
  /// does not answer by the deadline, the link is aborted.
  void close(std::uint16_t code, std::string_view reason) {
    if (is_closing_ || link_->is_down()) return;
    is_closing_ = true;
    link_->send_close(Frame::close(code, reason));
    link_->set_deadline(link_->options().close_timeout);
    end({.reason = DisconnectReason::disconnected, .code = code, .text = std::string(reason)});
    resume();
  }

 private:
  void read() {
    stream_.async_read(buffer_, [self = shared_from_this()](error_code error, std::size_t) {
      self->on_read(error);
    });
  }

  void on_read(error_code error) {
    if (error) return on_read_failed(error);
    if (is_closing_ || !listener_) {
      buffer_.clear();
      return read();
    }
    const auto data = buffer_.cdata();
    Message message{.is_text = stream_.got_text(),
                    .payload = std::string(static_cast<const char*>(data.data()), data.size())};
    buffer_.clear();
    // An idle connection keeps no large buffer.
    if (buffer_.capacity() > largest_kept_buffer) buffer_ = boost::beast::flat_buffer();
    if (listener_->on_message(std::move(message))) return read();
    when_notified(space_, link_->get_executor(), link_->clock(), Timer::never(),
                  [self = shared_from_this()](bool) {
                    if (!self->link_->is_down()) self->read();
                  });
  }

  void on_read_failed(error_code error) {
    if (error == boost::beast::websocket::error::closed) {
      end({.reason = DisconnectReason::peer_closed,
           .code = stream_.reason().code == 0 ? close_code::no_status : stream_.reason().code,
           .text = {}});
    }
    end({});
    link_->close();
  }

  void on_peer_closes(boost::beast::string_view reason) {
    const std::uint16_t code = stream_.reason().code;
    end({.reason = DisconnectReason::peer_closed,
         .code = code == 0 ? close_code::no_status : code,
         .text = std::string(reason.data(), reason.size())});
  }

  void on_close_frame_written(std::uint16_t code) override {
    // An answer to the peer's close frame finds the conversation ended.
    end({.reason = code == close_code::message_too_big ? DisconnectReason::message_too_big
                                                       : DisconnectReason::protocol_error,
         .code = code,
         .text = {}});
  }

  void on_down() override {
    end({});
    resume();
  }

  void end(Disconnect how) {
    if (std::exchange(has_ended_, true)) return;
    if (listener_) listener_->on_ended(how);
  }

  static constexpr std::size_t largest_kept_buffer = 16'384;

  const std::shared_ptr<Link> link_;
  Stream stream_;
  boost::beast::flat_buffer buffer_;
  WaitList space_;
  Listener* listener_ = nullptr;
  bool is_closing_ = false;
  bool has_ended_ = false;
};

}  // namespace roost::detail
