// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/beast/http/write.hpp>
#include <cstring>
#include <sstream>

#include "roost/beast/http/head_reader.hpp"
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

ROOST_DECL boost::asio::awaitable<void> refuse(std::shared_ptr<Link> link, Refusal refusal) {
  co_await respond(link, refusal_response(refusal, 11));
  link->end();
  throw RefusedRequest(std::move(refusal));
}

ROOST_DECL boost::asio::awaitable<boost::beast::http::request<boost::beast::http::empty_body>>
read_request(std::shared_ptr<Link> link) {
  const auto head = std::make_unique<HeadReader>(*link);
  error_code error;
  if (link->needs_open()) co_await link->open(error);
  if (error) fail_handshake(*link, error);
  head->take_leftover();
  while (!head->is_done()) co_await head->read();
  if (auto refusal = head->judge()) co_await refuse(link, std::move(*refusal));
  co_return head->parser.release();
}

}  // namespace roost::detail
