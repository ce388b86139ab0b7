// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/system/system_error.hpp>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "roost/beast/detail/header_value.hpp"
#include "roost/beast/detail/link.hpp"
#include "roost/beast/detail/link_stream.hpp"
#include "roost/beast/options.hpp"
#include "roost/error.hpp"

namespace roost::detail {

/// Moves a socket to @p executor, if it belongs to another.
template <class SocketExecutor>
boost::asio::ip::tcp::socket move_to(
    const boost::asio::any_io_executor& executor,
    boost::asio::basic_stream_socket<boost::asio::ip::tcp, SocketExecutor>&& socket) {
  using boost::asio::ip::tcp;
  if (boost::asio::any_io_executor(socket.get_executor()) == executor) {
    return tcp::socket(std::move(socket));
  }
  const tcp protocol = socket.local_endpoint().protocol();
  return tcp::socket(executor, protocol, socket.release());
}

/// How a stream of an application becomes a transport. Adapters specialise it.
template <class Stream>
struct TransportOf;

template <class SocketExecutor>
struct TransportOf<boost::asio::basic_stream_socket<boost::asio::ip::tcp, SocketExecutor>> {
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, SocketExecutor>;
  static std::unique_ptr<Transport> make(const boost::asio::any_io_executor& executor,
                                         Socket&& socket, const StreamOptions& options) {
    return std::make_unique<TcpTransport>(move_to(executor, std::move(socket)),
                                          options.send_buffer_bytes);
  }
};

template <class Stream>
std::shared_ptr<Link> make_link(const boost::asio::any_io_executor& executor, Stream&& stream,
                                const StreamOptions& options) {
  return std::make_shared<Link>(
      executor, TransportOf<Stream>::make(executor, std::move(stream), options), options);
}

template <class Body>
std::string serialize(const boost::beast::http::response<Body>& response) {
  std::ostringstream out;
  out << response;
  return out.str();
}

/// A complete response with a plain text body; its default is the name of the status.
inline std::string http_response(unsigned status, std::string_view body, unsigned version,
                                 bool is_head = false) {
  namespace http = boost::beast::http;
  http::response<http::string_body> response(http::int_to_status(status), version);
  response.result(status);
  response.set(http::field::content_type, "text/plain; charset=utf-8");
  if (status == 426) response.set(http::field::upgrade, "websocket");
  response.body() =
      body.empty() ? std::string(to_std(response.reason())) + "\n" : std::string(body);
  response.keep_alive(false);
  response.prepare_payload();
  if (is_head) response.body().clear();  // RFC 9110, section 9.3.2: its length only
  return serialize(response);
}

template <class Body>
std::string not_an_upgrade_response(const boost::beast::http::request<Body>& request) {
  return http_response(426, "This is a WebSocket endpoint.\n", request.version(),
                       request.method() == boost::beast::http::verb::head);
}

/// Sends a whole response and closes once it has arrived.
inline boost::asio::awaitable<void> respond(std::shared_ptr<Link> link, std::string response) {
  Frame bytes = Frame::raw(response.size());
  boost::asio::buffer_copy(boost::asio::buffer(bytes.data(), bytes.size()),
                           boost::asio::buffer(response));
  link->try_send(bytes);
  co_await Link::linger(link);
}

/// Reads the head of a request. What followed it stays in the link.
/// @par Errors  what Beast reports, after the peer was told.
inline boost::asio::awaitable<boost::beast::http::request<boost::beast::http::empty_body>>
read_request(std::shared_ptr<Link> link) {
  namespace http = boost::beast::http;
  error_code error;
  if (link->needs_open()) co_await link->open(error);
  if (error) {
    link->close();
    throw boost::system::system_error(error, "the TLS handshake");
  }
  http::request_parser<http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(link->options().max_header_bytes));
  boost::beast::flat_buffer buffer(link->options().max_header_bytes + 4'096);
  LinkStream stream(link);
  co_await http::async_read_header(stream, buffer, parser,
                                   boost::asio::redirect_error(boost::asio::use_awaitable, error));
  if (error) {
    if (link->is_down() && error != http::error::end_of_stream)
      throw Error(errc::timed_out, "the handshake");
    const bool is_too_long =
        error == http::error::header_limit || error == http::error::buffer_overflow;
    const bool is_malformed =
        error.category() == make_error_code(http::error::bad_method).category();
    if (is_too_long || (is_malformed && error != http::error::end_of_stream &&
                        error != http::error::partial_message)) {
      co_await respond(link, http_response(is_too_long ? 431 : 400, {}, 11));
    }
    link->close();
    throw boost::system::system_error(error, "reading the upgrade request");
  }
  link->put_back(buffer.cdata());
  co_return parser.release();
}

}  // namespace roost::detail
