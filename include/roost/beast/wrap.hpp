// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <memory>
#include <string>
#include <utility>

#include "roost/base/error.hpp"
#include "roost/beast/beast_websocket.hpp"
#include "roost/beast/conversation/wrapped_conversation.hpp"
#include "roost/beast/options.hpp"
#include "roost/runtime/detail/loop_clock.hpp"

namespace roost {

/// Makes a `BeastWebSocket` of a `websocket::stream` that is already open, over any next layer. The
/// contract is that of `Upgrade::accept`, the speed is Beast's: one write per message.
///
/// roost owns the reads from now on, and the `control_callback` and `timeout` options, and sets
/// `TCP_NODELAY` and the send buffer of the socket; nothing may be under way on the stream. Beast
/// writes nothing more to a peer that has shut down its side without a close frame: what is still
/// queued then is lost.
/// @param executor  that of the manager
/// @param request   the request that was upgraded, for `header`
/// @par Errors  `errc::wrong_executor`; `connection_closed` if it is not open; `invalid_option`,
///              naming the field. Then the stream is untouched.
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
      executor, detail::LoopClock::own(executor, options, &StreamOptions::clock));
  const auto conversation =
      std::make_shared<detail::WrappedConversation<Next, deflate>>(channel, std::move(stream));
  return std::make_shared<BeastWebSocket>(conversation, std::move(request), std::string(),
                                          boost::asio::ip::tcp::endpoint());
}

}  // namespace roost
