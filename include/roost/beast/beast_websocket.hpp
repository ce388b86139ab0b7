// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>

#include "roost/base/error.hpp"
#include "roost/beast/conversation/conversation.hpp"
#include "roost/beast/conversation/deflate.hpp"
#include "roost/beast/http/target.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost {

/// A WebSocket connection over Beast, with everything that a `ConnectionManager` can use. Made by
/// `Upgrade::accept` or `wrap`, always in a `shared_ptr`.
///
/// The socket reads by itself and buffers one message at most. Until that message is taken it stops
/// reading, so TCP slows the peer down.
///
/// @par Lifetime       Destroying it aborts the connection. It may outlive its `io_context`; then
///                     the conversation has ended.
/// @par Thread safety  None: use it on its executor only. It may be destroyed on any thread.
class BeastWebSocket final {
 public:
  /// The part of the upgrade request that is kept.
  using RequestHeader = boost::beast::http::request_header<>;

  /// @private For `Upgrade` and `wrap`.
  BeastWebSocket(const std::shared_ptr<detail::Conversation>& conversation, RequestHeader request,
                 std::string subprotocol, boost::asio::ip::tcp::endpoint remote_endpoint)
      : inbox_(conversation->inbox()),
        conversation_(conversation),
        options_(conversation->channel().shared_options()),
        request_(std::move(request)),
        subprotocol_(std::move(subprotocol)),
        remote_endpoint_(std::move(remote_endpoint)) {
    conversation->start_reading();
  }
  BeastWebSocket(const BeastWebSocket&) = delete;
  BeastWebSocket& operator=(const BeastWebSocket&) = delete;
  ~BeastWebSocket();

  // --- properties ---

  /// The executor of the socket; an empty one once the transport is closed.
  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept {
    return inbox_->executor();
  }
  /// A header of the upgrade request; names are compared without regard to case. The view is valid
  /// as long as this socket exists.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const {
    return detail::header_value(request_, name);
  }
  /// The request that was upgraded, without the headers of the upgrade itself: `Connection`,
  /// `Upgrade`, `Sec-WebSocket-Key`, `-Version` and `-Extensions`.
  [[nodiscard]] const RequestHeader& request() const noexcept { return request_; }
  /// The negotiated subprotocol; empty if there is none.
  [[nodiscard]] const std::string& subprotocol() const noexcept { return subprotocol_; }
  /// The address of the peer, or of the proxy in front of it; unspecified for a wrapped stream.
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& remote_endpoint() const noexcept {
    return remote_endpoint_;
  }
  /// How the conversation ended; `nullopt` while it goes on.
  [[nodiscard]] const std::optional<Disconnect>& ended() const noexcept { return inbox_->ended; }
  /// When bytes last came from the peer. While a message waits to be taken this is the current
  /// time: nothing is read then, so the peer does not count as silent.
  [[nodiscard]] Clock::time_point last_activity() const noexcept {
    if (!channel()) return inbox_->last_activity;
    const Clock::time_point last =
        inbox_->message ? options_->clock->now() : channel()->last_activity();
    return detail::LoopClock::shown(*options_->clock, last);
  }

  // --- sending ---

  /// Queues a frame, which is written at the end of the burst. Never suspends.
  /// @returns false once the conversation has ended.
  bool try_send(const Frame& frame) {
    return inbox_->conversation && inbox_->conversation->channel().try_send(frame);
  }
  /// Queues a text message. Does not wait until the peer takes it; a manager adds backpressure.
  /// @par Errors  at the call `errc::invalid_utf8`; when awaited `connection_closed`.
  boost::asio::awaitable<void> send_text(std::string_view text) {
    return send(detail::encode_text(text));
  }
  /// Queues a binary message. Does not wait until the peer takes it; a manager adds backpressure.
  /// @par Errors  when awaited `errc::connection_closed`.
  boost::asio::awaitable<void> send_bytes(std::span<const std::byte> bytes) {
    return send(Frame::binary(bytes));
  }
  /// Sends a ping frame; @p payload is cut to 125 bytes (RFC 6455, section 5.5).
  void ping(std::string_view payload = {}) {
    if (!channel()) return;
    channel()->try_send(Frame::ping(payload.substr(0, 125)), detail::Outbox::EntryClass::control);
  }

  /// Writes queued bytes now, as far as the kernel accepts them.
  /// @returns whether some bytes could be written, or a write is under way.
  bool flush() { return channel() && channel()->try_flush(); }

  // --- receiving ---

  /// Waits for the next message.
  /// @par Errors        `errc::connection_closed` once the conversation has ended and all messages
  ///                    are taken; `already_receiving`.
  /// @par Suspends      until a message arrives or the conversation ends.
  /// @par Cancellation  loses nothing: the next call gets the message.
  boost::asio::awaitable<Message> receive();
  /// @private Receives in steps, for a coroutine that has a frame of its own: await `until_next`
  /// while `has_next` is false. Keep the returned value meanwhile: it makes a second receive an
  /// error.
  [[nodiscard]] detail::ScopedValue<bool> begin_receive() {
    if (is_receiving_) throw Error(errc::already_receiving);
    return detail::ScopedValue<bool>(is_receiving_, true);
  }
  /// @private
  [[nodiscard]] bool has_next() const noexcept { return inbox_->message || inbox_->ended; }
  /// @private
  [[nodiscard]] auto until_next() { return inbox_->receiver.sleep(inbox_->executor()); }
  /// @private @pre `has_next()`
  /// @param is_cancelled  true if the caller was cancelled and will not look at the result: the
  ///                      message stays
  [[nodiscard]] Message take_next(bool is_cancelled);

  /// Sets the limit on a received message, in bytes; 0: no limit. A peer that sends a longer
  /// message is closed with 1009.
  void set_max_message_bytes(std::size_t n) {
    if (inbox_->conversation) inbox_->conversation->set_max_message_bytes(n);
  }

  // --- closing ---

  /// Closes the connection: flushes the queue, sends a close frame and waits until the peer has
  /// answered and the transport is closed. Messages received meanwhile are discarded. Does nothing
  /// once the conversation has ended.
  /// @param code     the close code
  /// @param reason   cut to 123 bytes (RFC 6455, section 5.5)
  /// @param timeout  after this the connection is aborted; not set: see
  ///                 `StreamOptions::close_timeout`
  /// @par Suspends  until the transport is closed.
  boost::asio::awaitable<void> close(std::uint16_t code, std::string_view reason = {},
                                     std::optional<Clock::duration> timeout = {});
  /// Closes the transport immediately; queued frames are lost.
  void abort() noexcept {
    if (channel()) channel()->abort();
  }

  // --- for the manager ---

  /// The compression that was negotiated, for `in_form`; 0 if there is none.
  [[nodiscard]] FrameForm frame_form() const noexcept {
    return inbox_->conversation ? inbox_->conversation->frame_form() : 0;
  }
  /// Converts @p frame to a form that `frame_form` returned; unchanged if that is 0.
  [[nodiscard]] static Frame in_form(const Frame& frame, FrameForm form) {
    return form == 0 ? frame : detail::deflated(frame, detail::DeflateForm::of(form));
  }
  /// @private
  [[nodiscard]] detail::Channel* frame_sink() const noexcept { return channel(); }
  /// Makes @p watch the observer of this socket, in place of the one before.
  void observe(OutboxWatch watch) {
    if (!channel()) return;
    inbox_->observer = watch.observer;
    channel()->outbox().watch(watch);
  }
  /// How much memory the outbox takes, approximately, in bytes.
  [[nodiscard]] std::size_t queued_bytes() const noexcept {
    return channel() ? channel()->outbox().cost() : 0;
  }
  /// How many bytes the peer has taken, and how many it has not. Costs two system calls.
  [[nodiscard]] SendProgress send_progress() const noexcept {
    return channel() ? channel()->send_progress() : SendProgress();
  }
  /// When the oldest byte that has not been written yet was queued.
  [[nodiscard]] std::optional<Clock::time_point> oldest_queued() const noexcept {
    auto oldest = channel() ? channel()->outbox().oldest() : std::nullopt;
    if (oldest) oldest = detail::LoopClock::shown(*options_->clock, *oldest);
    return oldest;
  }

 private:
  [[nodiscard]] detail::Channel* channel() const noexcept {
    return inbox_->conversation ? &inbox_->conversation->channel() : nullptr;
  }

  boost::asio::awaitable<void> send(Frame frame);
  boost::asio::awaitable<void> wait_until_down();

  const std::shared_ptr<detail::Inbox> inbox_;
  const std::weak_ptr<detail::Conversation> conversation_;
  const std::shared_ptr<const StreamOptions> options_;  // shared; uses the loop's clock
  const RequestHeader request_;
  const std::string subprotocol_;
  const boost::asio::ip::tcp::endpoint remote_endpoint_;
  bool is_receiving_ = false;
};

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/beast_websocket.ipp"
#endif
