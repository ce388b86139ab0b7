// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "roost/base/error.hpp"
#include "roost/beast/conversation/conversation.hpp"
#include "roost/beast/conversation/deflate.hpp"
#include "roost/beast/http/target.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/socket/detail/encode.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost {

/// A WebSocket over Beast with everything that a `ConnectionManager` can use. Made by
/// `Upgrade::accept` or `wrap`, always in a `shared_ptr`.
///
/// Reads by itself and keeps one message at most until it is taken: then it stops reading, and the
/// peer feels it.
///
/// @par Lifetime       Destroying it aborts the connection. It may outlive its `io_context`: then
///                     it has ended.
/// @par Thread safety  None: to be used on its executor. May be destroyed on any thread.
class BeastWebSocket final {
 public:
  /// What is kept of the upgrade request.
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
    conversation->start();
  }
  BeastWebSocket(const BeastWebSocket&) = delete;
  BeastWebSocket& operator=(const BeastWebSocket&) = delete;
  ~BeastWebSocket();

  // --- what is known of it ---

  /// None once the transport is closed.
  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept {
    return inbox_->executor;
  }
  /// A header of the upgrade request; names in any case. The view lives as long as this.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const {
    return detail::header_value(request_, name);
  }
  /// The request that was upgraded, without the headers of the upgrade itself: `Connection`,
  /// `Upgrade`, `Sec-WebSocket-Key`, `-Version` and `-Extensions`.
  [[nodiscard]] const RequestHeader& request() const noexcept { return request_; }
  /// The subprotocol that was agreed on; empty: none.
  [[nodiscard]] const std::string& subprotocol() const noexcept { return subprotocol_; }
  /// The peer, or the proxy in front of it; unspecified for a wrapped stream.
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& remote_endpoint() const noexcept {
    return remote_endpoint_;
  }
  /// How the conversation ended; nothing while it goes on.
  [[nodiscard]] const std::optional<Disconnect>& ended() const noexcept { return inbox_->ended; }
  /// When bytes last came from the peer. Now, while a message waits to be taken: nothing is read
  /// then, and that is not the peer's silence.
  [[nodiscard]] Clock::time_point last_activity() const noexcept {
    if (!channel()) return inbox_->last_activity;
    const Clock::time_point last =
        inbox_->message ? options_->clock->now() : channel()->last_activity();
    return detail::LoopClock::shown(*options_->clock, last);
  }

  // --- sending ---

  /// Takes a frame over; it is written at the end of the burst. Never suspends.
  /// @returns false once the conversation has ended.
  bool try_send(const Frame& frame) {
    return inbox_->conversation && inbox_->conversation->channel().try_send(frame);
  }
  /// Queues a text message. Waits for nobody: use a manager for backpressure.
  /// @par Errors  `errc::connection_closed`; at the call `invalid_utf8`.
  boost::asio::awaitable<void> send_text(std::string_view text) {
    return send(detail::encode_text(text));
  }
  /// Queues a binary message. Likewise.
  boost::asio::awaitable<void> send_bytes(std::span<const std::byte> bytes) {
    return send(Frame::binary(bytes));
  }
  /// Sends a ping frame; @p payload is cut to 125 bytes (RFC 6455, section 5.5).
  void ping(std::string_view payload = {}) {
    if (!channel()) return;
    channel()->try_send(Frame::ping(payload.substr(0, 125)), detail::Outbox::EntryClass::control);
  }

  /// Writes what is queued now, as far as the kernel takes it.
  /// @returns whether some of it could be written, or is being written.
  bool flush() { return channel() && channel()->try_flush(); }

  // --- receiving ---

  /// The next message.
  /// @par Errors        `errc::connection_closed` once the conversation has ended and all is taken;
  ///                    `already_receiving`.
  /// @par Cancellation  harms nothing: the next receive gets the message.
  boost::asio::awaitable<Message> receive();
  /// @private A receive in steps, for a coroutine that has a frame of its own: while there is
  /// nothing to take, `until_next` is to be awaited. One at a time: keep what this returns.
  [[nodiscard]] detail::ScopedValue<bool> begin_receive() {
    if (is_receiving_) throw Error(errc::already_receiving);
    return detail::ScopedValue<bool>(is_receiving_, true);
  }
  /// @private
  [[nodiscard]] bool has_next() const noexcept { return inbox_->message || inbox_->ended; }
  /// @private
  [[nodiscard]] auto until_next() { return inbox_->receiver.sleep(inbox_->executor); }
  /// @private @pre `has_next()`
  /// @param is_cancelled  whoever cancelled it does not look at the result: the message stays
  [[nodiscard]] Message take_next(bool is_cancelled);

  /// Bytes per message received; 0: no limit. The peer that sends more is closed with 1009.
  void set_max_message_bytes(std::size_t n) {
    if (inbox_->conversation) inbox_->conversation->set_max_message_bytes(n);
  }

  // --- the end ---

  /// Flushes what is queued, sends a close frame and waits until the peer has answered and the
  /// transport is closed; aborts it after @p timeout, whatever the peer takes, or without one as
  /// `StreamOptions::close_timeout` says. What is received meanwhile is discarded. Does nothing
  /// once the conversation has ended.
  boost::asio::awaitable<void> close(std::uint16_t code, std::string_view reason = {},
                                     std::optional<Clock::duration> timeout = {});
  /// Ends the transport at once; what is queued is lost.
  void abort() noexcept {
    if (channel()) channel()->abort();
  }

  // --- for the manager ---

  /// What was agreed on about compression; `in_form` makes a frame so.
  [[nodiscard]] FrameForm frame_form() const noexcept {
    return inbox_->conversation ? inbox_->conversation->frame_form() : 0;
  }
  /// @p frame as `frame_form` wants it; the same where that is 0.
  [[nodiscard]] static Frame in_form(const Frame& frame, FrameForm form) {
    return form == 0 ? frame : detail::deflated(frame, detail::DeflateForm::of(form));
  }
  /// @private
  [[nodiscard]] detail::Channel* frame_sink() const noexcept { return channel(); }
  /// Tells @p watch what happens; one observer at a time.
  void observe(OutboxWatch watch) {
    if (!channel()) return;
    inbox_->observer = watch.observer;
    channel()->outbox().watch(watch);
  }
  /// About what the outbox costs in memory.
  [[nodiscard]] std::size_t queued_bytes() const noexcept {
    return channel() ? channel()->outbox().cost() : 0;
  }
  /// What the peer has taken, and what it has not. Two system calls.
  [[nodiscard]] SendProgress send_progress() const noexcept {
    return channel() ? channel()->send_progress() : SendProgress();
  }
  /// When the oldest byte that is not written yet was queued.
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
  const std::shared_ptr<const StreamOptions> options_;  // of many; its clock is that of the loop
  const RequestHeader request_;
  const std::string subprotocol_;
  const boost::asio::ip::tcp::endpoint remote_endpoint_;
  bool is_receiving_ = false;
};

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/beast_websocket.ipp"
#endif
