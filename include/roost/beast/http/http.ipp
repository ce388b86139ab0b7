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
#include <boost/beast/http/verb.hpp>
#include <boost/beast/http/write.hpp>
#include <cstring>
#include <iterator>
#include <sstream>

#include "roost/beast/http/http.hpp"
#include "roost/beast/http/target.hpp"

namespace roost::detail {

ROOST_DECL std::string serialize(
    const boost::beast::http::response<boost::beast::http::string_body>& response) {
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
  if (status == 401) response.set(http::field::www_authenticate, options.challenge);
  if (options.retry_after) {  // RFC 9110, section 10.2.3
    response.set(http::field::retry_after, std::to_string(options.retry_after->count()));
  }
  response.body() =
      body.empty() ? std::string(to_std(response.reason())) + "\n" : std::string(body);
  response.keep_alive(false);
  if (status == 426) {  // RFC 9110, sections 7.8 and 15.5.22; RFC 6455, section 4.4
    response.set(http::field::upgrade, "websocket");
    response.set(http::field::connection, "upgrade, close");
    response.set(http::field::sec_websocket_version, "13");
  }
  response.prepare_payload();
  if (options.is_head) response.body().clear();  // RFC 9110, section 9.3.2: its length only
  return serialize(response);
}

ROOST_DECL std::string not_an_upgrade_response(
    const boost::beast::http::request<boost::beast::http::empty_body>& request) {
  return http_response(426, "This is a WebSocket endpoint.\n", request.version(),
                       {.is_head = request.method() == boost::beast::http::verb::head});
}

ROOST_DECL void send_response(Link& link, std::string_view response) {
  Frame bytes = Frame::raw(response.size());
  std::memcpy(bytes.data(), response.data(), response.size());
  link.try_send(bytes, Outbox::EntryClass::control);
}

ROOST_DECL boost::asio::awaitable<void> respond(std::shared_ptr<Link> link, std::string response) {
  send_response(*link, response);
  link->clear_deadline();  // of the handshake
  co_await Link::linger(link);
}

ROOST_DECL std::string refusal_response(const Refusal& refusal, unsigned version) {
  std::string body = refusal.why;
  body += '\n';
  return http_response(refusal.status, body, version);
}

/// Checks a request for a size above a limit, and a request for a WebSocket for a body.
ROOST_DECL std::optional<Refusal> refusal_of(
    boost::beast::http::request_parser<boost::beast::http::empty_body>& parser,
    const StreamOptions& options) {
  namespace http = boost::beast::http;
  auto& request = parser.get();
  const auto fields = static_cast<std::size_t>(std::distance(request.begin(), request.end()));
  if (request.target().size() > options.max_target_bytes) {
    return Refusal{.status = 414,
                   .error = http::error::header_limit,
                   .why = "the request target has too many bytes",
                   .unit = "bytes",
                   .size = request.target().size(),
                   .limit = options.max_target_bytes};
  }
  if (fields > options.max_header_fields) {
    return Refusal{.status = 431,
                   .error = http::error::header_limit,
                   .why = "the request has too many header fields",
                   .unit = "fields",
                   .size = fields,
                   .limit = options.max_header_fields};
  }
  if (auto refusal = normalise(request)) return refusal;
  // The bytes of a body would be taken for frames.
  const bool has_body = header_value(request, http::field::transfer_encoding) ||
                        parser.content_length().value_or(0) > 0;
  if (has_body && asks_for_websocket(request)) {
    return Refusal{.status = 400,
                   .error = http::error::unexpected_body,
                   .why = "a request for a WebSocket must not have a body"};
  }
  return std::nullopt;
}

/// Why the head of a request could not be read; `nullopt` if the peer has left.
/// @param bytes  how many bytes of the head have arrived
ROOST_DECL std::optional<Refusal> refusal_of(error_code error, std::size_t bytes,
                                             const StreamOptions& options) {
  namespace http = boost::beast::http;
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return Refusal{.status = 431,
                   .error = error,
                   .why = "the head of the request has too many bytes",
                   .unit = "bytes",
                   .size = bytes,
                   .limit = options.max_header_bytes};
  }
  const bool is_malformed = error.category() == make_error_code(http::error::bad_method).category();
  if (!is_malformed || error == http::error::end_of_stream ||
      error == http::error::partial_message) {
    return std::nullopt;
  }
  return Refusal{.status = 400, .error = error, .why = error.message()};
}

/// The buffer, stream and parser with which the head of a request is read. They are not in the
/// frame of `read_request`: Asio reuses that memory for coroutines that live as long as the
/// connection.
struct HeadReader {
  explicit HeadReader(const std::shared_ptr<Link>& link)
      : buffer(link->options().max_header_bytes + 4'096), stream(link) {
    parser.header_limit(static_cast<std::uint32_t>(link->options().max_header_bytes));
  }

  boost::beast::http::request_parser<boost::beast::http::empty_body> parser;
  boost::beast::flat_buffer buffer;
  LinkStream stream;
  error_code error;
  std::optional<Refusal> refusal;

  /// Decides what becomes of the request.
  /// @param parsed  how many bytes the parser has taken
  void judge(std::size_t parsed) {
    const Link& link = stream.link();
    if (error && link.is_down() && error != boost::beast::http::error::end_of_stream) {
      throw Error(errc::timed_out, "the handshake");
    }
    refusal = error ? refusal_of(error, parsed + buffer.size(), link.options())
                    : refusal_of(parser, link.options());
  }
};

ROOST_DECL boost::asio::awaitable<boost::beast::http::request<boost::beast::http::empty_body>>
read_request(std::shared_ptr<Link> link) {
  const auto head = std::make_unique<HeadReader>(link);
  if (link->needs_open()) co_await link->open(head->error);
  if (head->error) {
    link->end();
    throw boost::system::system_error(head->error, "the TLS handshake");
  }
  const std::size_t parsed = co_await boost::beast::http::async_read_header(
      head->stream, head->buffer, head->parser,
      boost::asio::redirect_error(boost::asio::use_awaitable, head->error));
  head->judge(parsed);
  if (head->refusal) {
    co_await respond(link, refusal_response(*head->refusal, 11));
    link->end();
    throw RefusedRequest(*head->refusal);
  }
  if (head->error) {
    link->end();
    throw boost::system::system_error(head->error, "reading the upgrade request");
  }
  link->put_back(head->buffer.cdata());
  co_return head->parser.release();
}

}  // namespace roost::detail
