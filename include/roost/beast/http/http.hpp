// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/string_body.hpp>

#include "roost/beast/http/handshake.hpp"
#include "roost/beast/transport/link.hpp"

namespace roost::detail {

struct ResponseOptions {
  bool is_head = false;
  std::optional<std::chrono::seconds> retry_after = {};
  std::string_view challenge = "Bearer";  ///< The scheme of a 401.
};

/// The bytes of a response.
ROOST_DECL std::string serialize(
    const boost::beast::http::response<boost::beast::http::string_body>& response);

/// A complete response with a plain text body; by default the body is the name of the status.
ROOST_DECL std::string http_response(unsigned status, std::string_view body, unsigned version,
                                     const ResponseOptions& options = {});

/// The response to a request that is refused: the status and why.
ROOST_DECL std::string refusal_response(const Refusal& refusal, unsigned version);

/// The response to a request that does not ask for a WebSocket.
ROOST_DECL std::string not_an_upgrade_response(
    const boost::beast::http::request<boost::beast::http::empty_body>& request);

/// Queues the bytes of a response.
ROOST_DECL void send_response(Link& link, std::string_view response);

/// Sends a response, and closes the link once the response has arrived.
ROOST_DECL boost::asio::awaitable<void> respond(std::shared_ptr<Link> link, std::string response);

/// Sends the refusal of a request.
/// @par Errors  `RefusedRequest`, always.
ROOST_DECL boost::asio::awaitable<void> refuse(std::shared_ptr<Link> link, Refusal refusal);

/// Reads the head of a request and normalises it with `normalise`. Bytes after the head stay in the
/// link.
/// @par Errors  `RefusedRequest` and other errors of Beast, after the peer was answered.
ROOST_DECL boost::asio::awaitable<boost::beast::http::request<boost::beast::http::empty_body>>
read_request(std::shared_ptr<Link> link);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/http/http.ipp"
#endif
