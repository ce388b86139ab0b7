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

#include "roost/beast/detail/conversation.hpp"
#include "roost/beast/detail/header_value.hpp"
#include "roost/detail/encode.hpp"
#include "roost/detail/on_executor.hpp"
#include "roost/disconnect.hpp"
#include "roost/error.hpp"
#include "roost/frame.hpp"
#include "roost/message.hpp"
#include "roost/socket_observer.hpp"

namespace roost {

/// A WebSocket over Beast with everything that a `ConnectionManager` can use. Made by
/// `Upgrade::accept`, always in a `shared_ptr`.
///
/// Reads by itself and keeps one message at most until it is taken: then it stops reading, and the
/// peer feels it.
///
/// @par Lifetime       Destroying it aborts the connection. It may outlive its `io_context`: then
///                     it has ended.
/// @par Thread safety  None: to be used on its executor.
class BeastWebSocket final : private detail::Conversation::Listener {
 public:
  using RequestHeader = boost::beast::http::request_header<>;

  BeastWebSocket(const std::shared_ptr<detail::Conversation>& conversation, RequestHeader request,
                 std::string subprotocol, boost::asio::ip::tcp::endpoint remote_endpoint)
      : conversation_(conversation.get()),
        executor_(conversation->channel().get_executor()),
        clock_(conversation->channel().clock()),
        request_(std::move(request)),
        subprotocol_(std::move(subprotocol)),
        remote_endpoint_(std::move(remote_endpoint)) {
    conversation->set_listener(this);
    conversation->start();
  }
  BeastWebSocket(const BeastWebSocket&) = delete;
  BeastWebSocket& operator=(const BeastWebSocket&) = delete;
  ~BeastWebSocket() {
    if (!conversation_) return;
    conversation_->set_listener(nullptr);
    conversation_->channel().outbox().watch({});
    conversation_->channel().abort();
  }

  // --- what is known of it ---

  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept {
    return executor_;
  }
  /// A header of the upgrade request; names in any case. The view lives as long as this.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const {
    return detail::header_value(request_, name);
  }
  /// The request that was upgraded.
  [[nodiscard]] const RequestHeader& request() const noexcept { return request_; }
  /// The subprotocol that was agreed on; empty: none.
  [[nodiscard]] const std::string& subprotocol() const noexcept { return subprotocol_; }
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& remote_endpoint() const noexcept {
    return remote_endpoint_;
  }
  /// How the conversation ended; nothing while it goes on.
  [[nodiscard]] const std::optional<Disconnect>& ended() const noexcept { return ended_; }
  /// When bytes last came from the peer.
  [[nodiscard]] Clock::time_point last_activity() const noexcept {
    return conversation_ ? conversation_->channel().last_activity() : last_activity_;
  }

  // --- sending ---

  /// Takes a frame over; it is written at the end of the burst. Never suspends.
  /// @returns false once the conversation has ended.
  bool try_send(const Frame& frame) {
    return conversation_ && conversation_->channel().try_send(frame);
  }
  /// Queues a text message. Waits for nobody: use a manager for backpressure.
  /// @par Errors  `errc::connection_closed`; at the call `invalid_utf8`.
  boost::asio::awaitable<void> send_text(std::string_view text) {
    return send(detail::encode_text(text));
  }
  boost::asio::awaitable<void> send_bytes(std::span<const std::byte> bytes) {
    return send(Frame::binary(bytes));
  }
  /// Sends a ping frame; @p payload is cut to 125 bytes (RFC 6455, section 5.5).
  void ping(std::string_view payload = {}) {
    if (!conversation_) return;
    conversation_->channel().try_send(Frame::ping(payload.substr(0, 125)),
                                      detail::Outbox::EntryClass::control);
  }

  // --- receiving ---

  /// The next message.
  /// @par Errors        `errc::connection_closed` once the conversation has ended and all is taken;
  ///                    `already_receiving`.
  /// @par Cancellation  harms nothing: the next receive gets the message.
  boost::asio::awaitable<Message> receive() {
    if (is_receiving_) throw Error(errc::already_receiving);
    struct Receiving {
      bool& flag;
      ~Receiving() { flag = false; }
    };
    is_receiving_ = true;
    const Receiving receiving{is_receiving_};
    while (!inbound_ && !ended_) co_await detail::wait(changed_, executor_, clock_);
    if (!inbound_) throw Error(errc::connection_closed);
    Message message = std::move(*inbound_);
    inbound_.reset();
    if (conversation_) conversation_->resume();
    co_return message;
  }

  /// Bytes per message received; 0: no limit. The peer that sends more is closed with 1009.
  void set_max_message_bytes(std::size_t n) {
    if (conversation_) conversation_->set_max_message_bytes(n);
  }

  // --- the end ---

  /// Flushes what is queued, sends a close frame and waits until the peer has answered and the
  /// transport is closed; aborts it after `close_timeout`. What is received meanwhile is discarded.
  boost::asio::awaitable<void> close(std::uint16_t code, std::string_view reason = {}) {
    if (conversation_) conversation_->close(code, reason);
    return wait_until_down();
  }
  /// Ends the transport at once; what is queued is lost.
  void abort() noexcept {
    if (conversation_) conversation_->channel().abort();
  }

  // --- for the manager ---

  void observe(OutboxWatch watch) {
    observer_ = watch.observer;
    if (conversation_) conversation_->channel().outbox().watch(watch);
  }
  [[nodiscard]] std::size_t queued_bytes() const noexcept {
    return conversation_ ? conversation_->channel().outbox().bytes() : 0;
  }
  /// When the oldest byte that is not written yet was queued.
  [[nodiscard]] std::optional<Clock::time_point> oldest_queued() const noexcept {
    return conversation_ ? conversation_->channel().outbox().oldest() : std::nullopt;
  }

 private:
  boost::asio::awaitable<void> send(Frame frame) {
    if (!try_send(frame)) throw Error(errc::connection_closed);
    co_return;
  }

  boost::asio::awaitable<void> wait_until_down() {
    while (conversation_) co_await detail::wait(changed_, executor_, clock_);
  }

  void on_message(Message message) override {
    inbound_ = std::move(message);
    changed_.notify_all();
  }
  void on_ended(const Disconnect& how) override {
    ended_ = how;
    changed_.notify_all();
    if (observer_) observer_->on_closed(how);
  }
  void on_down() override {
    last_activity_ = conversation_->channel().last_activity();
    conversation_->channel().outbox().watch({});
    conversation_ = nullptr;
    if (!ended_) ended_ = Disconnect{};
    changed_.notify_all();
  }

  detail::Conversation* conversation_;  // null once it is down
  const boost::asio::any_io_executor executor_;
  Clock& clock_;
  const RequestHeader request_;
  const std::string subprotocol_;
  const boost::asio::ip::tcp::endpoint remote_endpoint_;

  std::optional<Message> inbound_;
  bool is_receiving_ = false;
  std::optional<Disconnect> ended_;
  SocketObserver* observer_ = nullptr;
  Clock::time_point last_activity_{};
  detail::WaitList changed_;  // a message came, or it ended
};

}  // namespace roost
