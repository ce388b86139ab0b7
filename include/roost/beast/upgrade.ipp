// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/dispatch.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/websocket/option.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/beast/websocket/stream_base.hpp>
#include <boost/system/system_error.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"
#include "roost/beast/conversation/link_conversation.hpp"
#include "roost/beast/http/handshake.hpp"
#include "roost/beast/http/http.hpp"
#include "roost/beast/upgrade.hpp"

namespace roost {

ROOST_DECL Upgrade::~Upgrade() {
  if (!link_) return;
  // The link lives on the manager's executor; this may be another.
  const auto executor = link_->get_executor();
  boost::asio::dispatch(executor, [link = std::move(link_), unanswered = std::move(unanswered_)] {
    if (const auto taker = unanswered.lock()) {
      *taker = link;
    } else {
      link->close();
    }
  });
}

ROOST_DECL boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> Upgrade::accept(
    const AcceptOptions& options) {
  std::string subprotocol = detail::choose_subprotocol(request_, options.subprotocols);
  const std::shared_ptr<detail::Link> link = take_link();
  return detail::on_executor(link->get_executor(),
                             complete_handshake(link, std::move(request_), std::move(subprotocol),
                                                std::string(options.server), remote_endpoint_));
}

ROOST_DECL boost::asio::awaitable<void> Upgrade::reject(unsigned status, std::string_view body,
                                                        const RejectOptions& options) {
  std::string response =
      detail::http_response(status, body, request_.version(),
                            {.retry_after = options.retry_after, .challenge = options.challenge});
  const std::shared_ptr<detail::Link> link = take_link();
  return detail::on_executor(link->get_executor(), detail::respond(link, std::move(response)));
}

ROOST_DECL void Upgrade::require_upgrade(const Request& request) {
  if (is_upgrade(request)) return;
  // Without the query, which may hold a token.
  const std::string_view path = detail::path_of(detail::to_std(request.target()));
  throw Error(errc::not_an_upgrade, std::string(detail::to_std(request.method_string())) + " " +
                                        detail::escape_for_log(path));
}

ROOST_DECL std::shared_ptr<detail::Link> Upgrade::take_link() {
  if (!link_) throw Error(errc::connection_closed, "the upgrade was answered already");
  return std::exchange(link_, nullptr);
}

ROOST_DECL boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> Upgrade::complete_handshake(
    std::shared_ptr<detail::Link> link, Request request, std::string subprotocol,
    std::string server, boost::asio::ip::tcp::endpoint remote_endpoint) {
  namespace http = boost::beast::http;
  if (link->is_down()) throw Error(errc::connection_closed, "before the upgrade was answered");
  std::unique_ptr<detail::Link, detail::AbortLink> unless_all_goes_well(link.get());
  if (auto refusal = detail::normalise(request);
      refusal || (refusal = detail::check_handshake(request))) {
    co_await detail::respond(link, detail::refusal_response(*refusal, request.version()));
    throw detail::RefusedRequest(*refusal);
  }
  // Beast does not read a list of products with their versions (RFC 9110, section 7.8).
  request.set(http::field::connection, "Upgrade");
  request.set(http::field::upgrade, "websocket");
  // Beast answers the request; from then on it has no part in the conversation.
  namespace websocket = boost::beast::websocket;
  websocket::stream<detail::LinkStream> stream{detail::LinkStream(link)};
  stream.set_option(websocket::stream_base::timeout{websocket::stream_base::none(),
                                                    websocket::stream_base::none(), false});
  const auto deflate = detail::agree_on_deflate(
      detail::header_value(request, "Sec-WebSocket-Extensions").value_or(std::string_view()),
      link->options().compression);
  stream.set_option(websocket::stream_base::decorator([&](websocket::response_type& response) {
    if (!server.empty()) response.set(http::field::server, server);
    if (!subprotocol.empty()) response.set(http::field::sec_websocket_protocol, subprotocol);
    if (deflate) response.set(http::field::sec_websocket_extensions, deflate->response);
  }));
  boost::system::error_code error;
  co_await stream.async_accept(request,
                               boost::asio::redirect_error(boost::asio::use_awaitable, error));
  if (error) {
    // Beast has answered what is no proper handshake: that must arrive.
    co_await detail::Link::linger(link);
    throw boost::system::system_error(error, "accept");
  }
  static_cast<void>(unless_all_goes_well.release());
  link->clear_deadline();
  // What has done its service: this is kept for each connection.
  for (const http::field field :
       {http::field::connection, http::field::upgrade, http::field::sec_websocket_key,
        http::field::sec_websocket_version, http::field::sec_websocket_extensions}) {
    request.erase(field);
  }
  const auto conversation = std::make_shared<detail::LinkConversation>(
      link, detail::form_of(deflate, link->options().compression),
      deflate && deflate->keeps_client_context);
  co_return std::make_shared<BeastWebSocket>(conversation, std::move(request.base()),
                                             std::move(subprotocol), remote_endpoint);
}

namespace detail {

ROOST_DECL boost::asio::awaitable<Upgrade> read_upgrade(
    std::shared_ptr<Link> link, boost::asio::ip::tcp::endpoint remote_endpoint) {
  link->set_deadline(link->options().handshake_timeout);
  Upgrade::Request request = co_await read_request(link);
  if (!is_upgrade(request)) {
    co_await respond(link, not_an_upgrade_response(request));
  }
  co_return Upgrade(std::move(link), std::move(request), std::move(remote_endpoint));
}

}  // namespace detail
}  // namespace roost
