// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>

#include "roost/beast/conversation/link_conversation.hpp"
#include "roost/beast/upgrade.hpp"

namespace roost {

ROOST_DECL Upgrade::~Upgrade() {
  if (!pending_ || !pending_->link) return;
  // The link must be used on the manager's executor; this may run on another.
  const auto executor = pending_->link->get_executor();
  boost::asio::dispatch(
      executor, [link = std::move(pending_->link), unanswered = std::move(pending_->unanswered)] {
        if (const auto taker = unanswered.lock()) {
          *taker = link;
        } else {
          link->end();
        }
      });
}

ROOST_DECL const Upgrade::Request& Upgrade::request() const {
  if (pending_) return pending_->request;
  // Not a `system_error`: that of an accepted connection would be taken for a peer that has left.
  throw std::logic_error("the request was handed over by accept, or the Upgrade was moved");
}

ROOST_DECL boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> Upgrade::accept(
    const AcceptOptions& options) {
  Pending& pending = unanswered();
  pending.subprotocol = detail::choose_subprotocol(pending.request, options.subprotocols);
  pending.server = options.server;
  pending.remote_endpoint = remote_endpoint_;
  std::shared_ptr<detail::Link> link = take_link();
  return complete_handshake(std::exchange(pending_, nullptr), std::move(link));
}

ROOST_DECL boost::asio::awaitable<void> Upgrade::reject(unsigned status, std::string_view body,
                                                        const RejectOptions& options) {
  std::string response =
      detail::http_response(status, body, unanswered().request.version(),
                            {.retry_after = options.retry_after, .challenge = options.challenge});
  const std::shared_ptr<detail::Link> link = take_link();
  return detail::on_executor(link->get_executor(), detail::respond(link, std::move(response)));
}

ROOST_DECL void Upgrade::require_upgrade(const Request& request) {
  if (is_upgrade(request)) return;
  // The query is left out: it may contain a token.
  const std::string_view path = detail::path_of(detail::to_std(request.target()));
  throw Error(errc::not_an_upgrade, std::string(detail::to_std(request.method_string())) + " " +
                                        detail::escape_for_log(path));
}

ROOST_DECL Upgrade::Pending& Upgrade::unanswered() {
  if (pending_ && pending_->link) return *pending_;
  throw Error(errc::connection_closed, "the upgrade was answered already");
}

ROOST_DECL std::shared_ptr<detail::Link> Upgrade::take_link() {
  return std::exchange(unanswered().link, nullptr);
}

ROOST_DECL boost::asio::awaitable<std::shared_ptr<BeastWebSocket>> Upgrade::complete_handshake(
    std::unique_ptr<Pending> pending, std::shared_ptr<detail::Link> link) {
  const boost::asio::any_io_executor home = link->get_executor();
  if (co_await boost::asio::this_coro::executor != home) {
    // This frame keeps no link, which must be destroyed on its own executor.
    auto there = complete_handshake(std::move(pending), std::move(link));
    co_return co_await detail::on_executor(home, std::move(there));
  }
  if (link->is_down()) throw Error(errc::connection_closed, "before the upgrade was answered");
  std::unique_ptr<detail::Link, detail::AbortLink> unless_all_goes_well(link.get());
  if (!pending->is_checked) co_await check(*pending, link);
  auto socket = start(*pending, link);
  static_cast<void>(unless_all_goes_well.release());
  co_return socket;
}

/// Answers a request that RFC 6455 does not allow.
/// @par Errors  `RefusedRequest`, after the answer.
ROOST_DECL boost::asio::awaitable<void> Upgrade::check(Pending& pending,
                                                       std::shared_ptr<detail::Link> link) {
  auto refusal = detail::normalise(pending.request);
  if (!refusal) refusal = detail::check_handshake(pending.request);
  if (!refusal) co_return;
  co_await detail::respond(link, detail::refusal_response(*refusal, pending.request.version()));
  throw detail::RefusedRequest(*refusal);
}

/// Accepts a request, and makes the socket.
ROOST_DECL std::shared_ptr<BeastWebSocket> Upgrade::start(
    Pending& pending, const std::shared_ptr<detail::Link>& link) {
  Request& request = pending.request;
  const auto& compression = link->options().compression;
  const auto deflate = detail::agree_on_deflate(
      detail::header_value(request, boost::beast::http::field::sec_websocket_extensions)
          .value_or(std::string_view()),
      compression);
  link->try_send(detail::acceptance(request, pending.server, pending.subprotocol, deflate),
                 detail::Outbox::EntryClass::control);
  link->clear_deadline();
  detail::forget_handshake(request);
  const auto conversation = std::make_shared<detail::LinkConversation>(
      link, detail::form_of(deflate, compression), deflate && deflate->keeps_client_context);
  return std::make_shared<BeastWebSocket>(conversation, std::move(request.base()),
                                          std::move(pending.subprotocol), pending.remote_endpoint);
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
