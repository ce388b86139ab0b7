// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/error.hpp"
#include "roost/beast/beast_websocket.hpp"
#include "roost/beast/conversation/wrapped_conversation.hpp"
#include "roost/beast/options.hpp"
#include "roost/runtime/detail/loop_clock.hpp"

namespace roost {

/// Makes a `BeastWebSocket` from a `websocket::stream` that is already open, over any next layer.
/// It behaves like one from `Upgrade::accept`, but Beast writes each message separately, so it is
/// slower.
///
/// From now on roost reads from the stream, and owns the options `control_callback` and `timeout`.
/// It also sets `TCP_NODELAY` and the send buffer of the socket. No operation may be under way on
/// the stream. If the peer shuts down its side without a close frame, Beast writes nothing more,
/// and frames that are still queued are lost.
/// @param executor  that of the manager
/// @param request   the request that was upgraded, for `header`
/// @par Errors  `errc::wrong_executor`; `connection_closed` if the stream is not open;
///              `invalid_option`, naming the field. After an error the stream is unchanged.
template <class Next, bool deflate>
std::shared_ptr<BeastWebSocket> wrap(const boost::asio::any_io_executor& executor,
                                     boost::beast::websocket::stream<Next, deflate>&& stream,
                                     BeastWebSocket::RequestHeader request = {},
                                     const StreamOptions& options = {}) {
  if (boost::asio::any_io_executor(stream.get_executor()) != executor) {
    throw Error(errc::wrong_executor, "an open stream must be on the executor of its manager");
  }
  detail::validate(options);
  if (!stream.is_open()) throw Error(errc::connection_closed, "the stream is not open");
  auto channel = std::make_shared<detail::WrappedChannel>(
      detail::Flusher::of(executor),
      detail::LoopClock::own(executor, options, &StreamOptions::clock));
  const auto conversation =
      std::make_shared<detail::WrappedConversation<Next, deflate>>(channel, std::move(stream));
  return std::make_shared<BeastWebSocket>(conversation, std::move(request), std::string(),
                                          boost::asio::ip::tcp::endpoint());
}

}  // namespace roost
