// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/system/system_error.hpp>
#include <cstddef>
#include <iterator>
#include <sstream>
#include <utility>

#include "roost/beast/detail/header_value.hpp"
#include "roost/beast/detail/http.hpp"
#include "roost/beast/detail/link_stream.hpp"
#include "roost/detail/config.hpp"
#include "roost/error.hpp"

namespace roost::detail {

template <class Body>
std::string serialize(const boost::beast::http::response<Body>& response) {
  std::ostringstream out;
  out << response;
  return out.str();
}

ROOST_DECL std::string http_response(unsigned status, std::string_view body, unsigned version,
                                     const ResponseOptions& options) {
  namespace http = boost::beast::http;
  http::response<http::string_body> response(http::int_to_status(status), version);
  response.result(status);
  response.set(http::field::content_type, "text/plain; charset=utf-8");
  if (status == 426) response.set(http::field::upgrade, "websocket");
  if (status == 401) response.set(http::field::www_authenticate, options.challenge);
  if (options.retry_after) {  // RFC 9110, section 10.2.3
    response.set(http::field::retry_after, std::to_string(options.retry_after->count()));
  }
  response.body() =
      body.empty() ? std::string(to_std(response.reason())) + "\n" : std::string(body);
  response.keep_alive(false);
  response.prepare_payload();
  if (options.is_head) response.body().clear();  // RFC 9110, section 9.3.2: its length only
  return serialize(response);
}

ROOST_DECL std::string not_an_upgrade_response(
    const boost::beast::http::request<boost::beast::http::empty_body>& request) {
  return http_response(426, "This is a WebSocket endpoint.\n", request.version(),
                       {.is_head = request.method() == boost::beast::http::verb::head});
}

ROOST_DECL boost::asio::awaitable<void> respond(std::shared_ptr<Link> link, std::string response) {
  Frame bytes = Frame::raw(response.size());
  boost::asio::buffer_copy(boost::asio::buffer(bytes.data(), bytes.size()),
                           boost::asio::buffer(response));
  link->try_send(bytes);
  co_await Link::linger(link);
}

/// The status that answers a request with too much in it; 0: it is fine.
ROOST_DECL unsigned refusal(const boost::beast::http::request_header<>& request,
                            const StreamOptions& options) {
  if (request.target().size() > options.max_target_bytes) return 414;
  const auto fields = static_cast<std::size_t>(std::distance(request.begin(), request.end()));
  return fields > options.max_header_fields ? 431 : 0;
}

ROOST_DECL boost::asio::awaitable<boost::beast::http::request<boost::beast::http::empty_body>>
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
  if (const unsigned status = refusal(parser.get().base(), link->options())) {
    co_await respond(link, http_response(status, {}, 11));
    throw boost::system::system_error(http::error::header_limit, "the upgrade request");
  }
  link->put_back(buffer.cdata());
  join_repeated_origins(parser.get());
  co_return parser.release();
}

}  // namespace roost::detail
