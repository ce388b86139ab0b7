// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "roost/beast/impl/http.ipp"
#include "roost/beast/listen.hpp"
#include "roost/detail/config.hpp"
#include "roost/detail/describe.hpp"
#include "roost/detail/wait.hpp"

namespace roost {
namespace detail {

ROOST_DECL boost::asio::ip::tcp::acceptor open_acceptor(
    const boost::asio::any_io_executor& executor, const boost::asio::ip::tcp::endpoint& endpoint,
    int backlog) {
  boost::asio::ip::tcp::acceptor acceptor(executor);
  try {
    acceptor.open(endpoint.protocol());
    acceptor.set_option(boost::asio::socket_base::reuse_address(true));
    acceptor.bind(endpoint);
    acceptor.listen(backlog);
  } catch (const boost::system::system_error& error) {
    std::ostringstream what;
    what << "cannot listen on " << endpoint << ": " << error.code().message();
    throw Error(errc::address_unavailable, what.str());
  }
  return acceptor;
}

/// What a handler lets escape ends its connection, not the server.
ROOST_DECL void report(const Logger& logger, const std::exception_ptr& error) noexcept {
  if (!error) return;
  Severity severity = Severity::error;
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error&) {
    severity = Severity::debug;  // a peer that left, or a refusal that is in the log already
  } catch (...) {
  }
  log(logger, severity, "connection_failed", {{"why", describe(error)}});
}

ROOST_DECL void spawn(const boost::asio::any_io_executor& executor,
                      const std::shared_ptr<Listening>& listening,
                      boost::asio::awaitable<void> coroutine) {
  boost::asio::co_spawn(executor, std::move(coroutine),
                        [listening, running = Running(executor)](const std::exception_ptr& error) {
                          report(listening->logger, error);
                        });
}

ROOST_DECL boost::asio::awaitable<void> serve(std::shared_ptr<Listening> listening,
                                              std::shared_ptr<Link> link,
                                              boost::asio::ip::tcp::endpoint remote_endpoint) {
  HttpRequest request;
  {
    listening->handshakes.insert(link.get());
    const Listening::Handshake handshake{*listening, link.get()};
    request = co_await read_request(link);
  }
  if (listening->is_stopped) co_return link->close();
  const unsigned version = request.version();
  if (!boost::beast::websocket::is_upgrade(request)) {
    std::string response = not_an_upgrade_response(request);
    if (listening->options.on_http) {
      HttpResponse own = listening->options.on_http(request);
      own.version(version);
      own.keep_alive(false);
      own.prepare_payload();
      if (request.method() == boost::beast::http::verb::head) own.body().clear();
      response = serialize(own);
    }
    co_await respond(link, std::move(response));
    co_return;
  }
  if (!listening->gate->is_open()) {
    const auto retry = std::chrono::ceil<std::chrono::seconds>(listening->gate->next_retry());
    co_await respond(link, http_response(503, {}, version, {.retry_after = retry}));
    co_return;
  }
  const auto origin = header_value(request, "Origin");
  if (!listening->origins.allows(origin, header_value(request, "Host"))) {
    log(listening->logger, Severity::warning, "origin_denied",
        {{"origin", origin.value_or("(none)")}});
    co_await respond(link, http_response(403, "This page may not connect.\n", version));
    co_return;
  }
  // In a coroutine of its own: this one, with all that reading a request needs, is done.
  const auto executor = link->get_executor();
  Upgrade upgrade(std::move(link), std::move(request), std::move(remote_endpoint));
  spawn(executor, listening, listening->handler(std::move(upgrade)));
}

ROOST_DECL void begin_serving(const boost::asio::any_io_executor& executor,
                              const std::shared_ptr<Listening>& listening,
                              std::shared_ptr<Link> link,
                              const boost::asio::ip::tcp::endpoint& remote_endpoint) {
  link->set_deadline(listening->options.stream.handshake_timeout);
  spawn(executor, listening, serve(listening, std::move(link), remote_endpoint));
}

ROOST_DECL boost::asio::awaitable<void> accept_all(std::shared_ptr<Listening> listening,
                                                   boost::asio::ip::tcp::acceptor acceptor) {
  listening->acceptor = &acceptor;
  const Listening::Acceptor registration{*listening};
  const boost::asio::any_io_executor executor = acceptor.get_executor();
  while (!listening->is_stopped) {
    boost::asio::ip::tcp::socket socket(executor);
    boost::asio::ip::tcp::endpoint peer;
    boost::system::error_code error;
    co_await acceptor.async_accept(socket, peer,
                                   boost::asio::redirect_error(boost::asio::use_awaitable, error));
    if (error == boost::asio::error::operation_aborted || listening->is_stopped) co_return;
    if (error) {
      // No file descriptors, most likely: those that are connected must end first.
      log(listening->logger, Severity::error, "accept_failed", {{"why", error.message()}});
      Clock& clock = *listening->options.stream.clock;
      co_await sleep_until(executor, clock, clock.now() + std::chrono::milliseconds(100));
      continue;
    }
    auto link = std::make_shared<Link>(executor, listening->make_transport(std::move(socket)),
                                       listening->options.stream);
    begin_serving(executor, listening, std::move(link), peer);
  }
}

ROOST_DECL void start_listening(const boost::asio::any_io_executor& executor,
                                const boost::asio::ip::tcp::endpoint& endpoint,
                                const std::shared_ptr<Listening>& listening) {
  auto acceptor = open_acceptor(executor, endpoint, listening->options.backlog);
  listening->local_endpoint = acceptor.local_endpoint();
  listening->gate->add(listening);
  boost::asio::co_spawn(
      executor, accept_all(listening, std::move(acceptor)),
      [listening, running = Running(executor)](const std::exception_ptr& error) {
        if (!error) return;
        log(listening->logger, Severity::error, "listener_failed", {{"why", describe(error)}});
      });
}

ROOST_DECL void Listening::shut() noexcept {
  is_stopped = true;
  error_code ignored;
  if (acceptor) acceptor->close(ignored);
  for (Link* link : handshakes) link->abort();  // also where accepting has ended by itself
}

}  // namespace detail

ROOST_DECL void Listener::stop() noexcept {
  if (listening_) listening_->shut();
}

}  // namespace roost
