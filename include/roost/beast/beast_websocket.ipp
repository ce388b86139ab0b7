// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/cancellation_state.hpp>

#include "roost/beast/beast_websocket.hpp"

namespace roost {

ROOST_DECL BeastWebSocket::~BeastWebSocket() {
  // May run on any thread. If the conversation still exists, so does its context.
  if (auto conversation = conversation_.lock()) {
    const auto executor = conversation->channel().get_executor();
    boost::asio::dispatch(executor,
                          [conversation = std::move(conversation)] { conversation->let_go(); });
  }
}

ROOST_DECL boost::asio::awaitable<Message> BeastWebSocket::receive() {
  const auto receiving = begin_receive();
  while (!has_next()) co_await until_next();
  const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
  co_return take_next(cancellation.cancelled() != boost::asio::cancellation_type::none);
}

ROOST_DECL Message BeastWebSocket::take_next(bool is_cancelled) {
  if (!inbox_->message) throw Error(errc::connection_closed);
  if (is_cancelled) throw boost::system::system_error(boost::asio::error::operation_aborted);
  Message message = std::move(*inbox_->message);
  inbox_->message.reset();
  if (inbox_->conversation) {
    channel()->note_activity();  // bytes behind the message are read only now
    inbox_->conversation->resume();
  }
  return message;
}

ROOST_DECL boost::asio::awaitable<void> BeastWebSocket::close(
    std::uint16_t code, std::string_view reason, std::optional<Clock::duration> timeout) {
  if (inbox_->conversation) {
    inbox_->conversation->close(code, reason, timeout);
  }
  return wait_until_down();
}

ROOST_DECL boost::asio::awaitable<void> BeastWebSocket::send(Frame frame) {
  if (!try_send(frame)) throw Error(errc::connection_closed);
  co_return;
}

ROOST_DECL boost::asio::awaitable<void> BeastWebSocket::wait_until_down() {
  while (inbox_->conversation) {
    co_await detail::wait(inbox_->downed, inbox_->executor(), *options_->clock);
  }
}

}  // namespace roost
