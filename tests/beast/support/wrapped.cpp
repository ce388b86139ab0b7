// SPDX-License-Identifier: MIT
#include "beast/support/wrapped.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <roost/beast/wrap.hpp>
#include <utility>

namespace roost::test {

boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> accept_wrapped(
    boost::asio::ip::tcp::socket socket, const StreamOptions& options) {
  namespace websocket = boost::beast::websocket;
  const boost::asio::any_io_executor executor = socket.get_executor();
  websocket::stream<boost::beast::tcp_stream> stream(std::move(socket));
  websocket::permessage_deflate deflate;
  deflate.server_enable = true;
  stream.set_option(deflate);
  co_await stream.async_accept(boost::asio::use_awaitable);
  co_return wrap(executor, std::move(stream), {}, options);
}

}  // namespace roost::test
