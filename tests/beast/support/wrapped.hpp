// SPDX-License-Identifier: MIT
// The server end of a connection that Beast has accepted, and `wrap` taken over.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <roost/beast/beast_websocket.hpp>
#include <roost/beast/options.hpp>

namespace roost::test {

/// Answers the upgrade of the client of @p socket with a `websocket::stream<tcp_stream>`, which
/// compresses if the client does, and wraps that. Compiled once, for Beast's templates are most of
/// what a file with such a stream compiles.
boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> accept_wrapped(
    boost::asio::ip::tcp::socket socket, const StreamOptions& options);

}  // namespace roost::test
