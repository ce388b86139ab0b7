// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "roost/beast/beast_websocket.hpp"
#include "roost/detail/config.hpp"
#include "roost/detail/scoped_value.hpp"
#include "roost/detail/wait.hpp"
#include "roost/error.hpp"

namespace roost {

ROOST_DECL BeastWebSocket::~BeastWebSocket() {
  // From any thread; if there still is a conversation, its context lives.
  if (auto conversation = conversation_.lock()) {
    const auto executor = conversation->channel().get_executor();
    boost::asio::dispatch(executor,
                          [conversation = std::move(conversation)] { conversation->abandon(); });
  }
}

ROOST_DECL boost::asio::awaitable<Message> BeastWebSocket::receive() {
  if (is_receiving_) throw Error(errc::already_receiving);
  const detail::ScopedValue receiving(is_receiving_, true);
  while (!inbox_->message && !inbox_->ended) {
    co_await inbox_->receiver.sleep(inbox_->executor);
  }
  if (!inbox_->message) throw Error(errc::connection_closed);
  // Woken after it was cancelled: whoever cancelled it does not look at the result any more.
  const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != boost::asio::cancellation_type::none) {
    throw boost::system::system_error(boost::asio::error::operation_aborted);
  }
  Message message = std::move(*inbox_->message);
  inbox_->message.reset();
  if (inbox_->conversation) {
    channel()->note_activity();  // what came behind it is read only now
    inbox_->conversation->resume();
  }
  co_return message;
}

ROOST_DECL boost::asio::awaitable<void> BeastWebSocket::close(
    std::uint16_t code, std::string_view reason, std::optional<Clock::duration> timeout) {
  if (inbox_->conversation) {
    inbox_->conversation->close(code, reason, timeout.value_or(close_timeout_));
  }
  return wait_until_down();
}

ROOST_DECL boost::asio::awaitable<void> BeastWebSocket::send(Frame frame) {
  if (!try_send(frame)) throw Error(errc::connection_closed);
  co_return;
}

ROOST_DECL boost::asio::awaitable<void> BeastWebSocket::wait_until_down() {
  while (inbox_->conversation) {
    co_await detail::wait(inbox_->downed, inbox_->executor, clock_);
  }
}

}  // namespace roost
