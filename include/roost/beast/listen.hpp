// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <utility>

#include "roost/beast/detail/http.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/upgrade.hpp"
#include "roost/connection_manager.hpp"
#include "roost/detail/describe.hpp"
#include "roost/detail/wait.hpp"
#include "roost/log.hpp"
#include "roost/origin_policy.hpp"

namespace roost {

using HttpRequest = boost::beast::http::request<boost::beast::http::empty_body>;
using HttpResponse = boost::beast::http::response<boost::beast::http::string_body>;

struct ListenOptions {
  StreamOptions stream = {};
  /// Answers requests that ask for no WebSocket: a page, a health check. The connection is closed
  /// after each. Not set: 426.
  std::function<HttpResponse(const HttpRequest&)> on_http = {};
  int backlog = boost::asio::socket_base::max_listen_connections;
};

namespace detail {

/// What a listener shares with its coroutines.
struct Listening {
  ListenOptions options;
  OriginPolicy origins;
  Logger logger;
  std::function<std::unique_ptr<Transport>(boost::asio::ip::tcp::socket)> make_transport;
  std::function<boost::asio::awaitable<void>(Upgrade)> handler;
  boost::asio::ip::tcp::endpoint local_endpoint;
  // Owned by the accepting coroutine, so that it goes with the context; null once that has ended.
  boost::asio::ip::tcp::acceptor* acceptor = nullptr;
  bool is_stopped = false;               // maybe before that coroutine has started
  std::unordered_set<Link*> handshakes;  // whose request is still being read
};

inline boost::asio::ip::tcp::acceptor open_acceptor(const boost::asio::any_io_executor& executor,
                                                    const boost::asio::ip::tcp::endpoint& endpoint,
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

/// One connection, from its first byte to the handler of the application.
inline boost::asio::awaitable<void> serve(std::shared_ptr<Listening> listening,
                                          std::shared_ptr<Link> link,
                                          boost::asio::ip::tcp::endpoint remote_endpoint) {
  struct Handshake {
    Listening& listening;
    Link* link;
    ~Handshake() { listening.handshakes.erase(link); }
  };
  HttpRequest request;
  {
    listening->handshakes.insert(link.get());
    const Handshake handshake{*listening, link.get()};
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
  const auto origin = header_value(request, "Origin");
  if (!listening->origins.allows(origin, header_value(request, "Host"))) {
    log(listening->logger, Severity::warning, "origin_denied",
        {{"origin", origin.value_or("(none)")}});
    co_await respond(link, http_response(403, "This page may not connect.\n", version));
    co_return;
  }
  Upgrade upgrade(std::move(link), std::move(request), std::move(remote_endpoint));
  co_await listening->handler(std::move(upgrade));
}

/// What a handler lets escape ends its connection, not the server.
inline void report(const Logger& logger, const std::exception_ptr& error) noexcept {
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

inline boost::asio::awaitable<void> accept_all(std::shared_ptr<Listening> listening,
                                               boost::asio::ip::tcp::acceptor acceptor) {
  struct Registration {
    Listening& listening;
    ~Registration() { listening.acceptor = nullptr; }
  };
  listening->acceptor = &acceptor;
  const Registration registration{*listening};
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
    link->set_deadline(listening->options.stream.handshake_timeout);
    boost::asio::co_spawn(
        executor, serve(listening, std::move(link), peer),
        [listening](const std::exception_ptr& e) { report(listening->logger, e); });
  }
}

}  // namespace detail

/// A socket that listens; stops when destroyed. Connections that asked for a WebSocket go on.
///
/// @par Lifetime       May outlive its `io_context`.
/// @par Thread safety  None: to be used on the executor of its manager, or while nothing runs it.
class [[nodiscard]] Listener {
 public:
  explicit Listener(std::shared_ptr<detail::Listening> listening)
      : listening_(std::move(listening)) {}
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&& other) noexcept {
    stop();
    listening_ = std::move(other.listening_);
    return *this;
  }
  ~Listener() { stop(); }

  /// Where it listens: the port that the system chose, if 0 was asked for.
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& local_endpoint() const noexcept {
    return listening_->local_endpoint;
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return local_endpoint().port(); }

  /// Accepts nothing any more. Connections whose request was not read yet are aborted.
  void stop() noexcept {
    if (!listening_) return;
    listening_->is_stopped = true;
    if (!listening_->acceptor) return;
    boost::system::error_code ignored;
    listening_->acceptor->close(ignored);
    for (detail::Link* link : listening_->handshakes) link->abort();
  }

 private:
  std::shared_ptr<detail::Listening> listening_;
};

namespace detail {

template <class Ws, class Handler, class MakeTransport>
Listener start_listening(const ConnectionManager<Ws>& manager,
                         const boost::asio::ip::tcp::endpoint& endpoint, ListenOptions options,
                         Handler handler, MakeTransport make_transport) {
  validate(options.stream);
  const auto& own = manager.options();
  options.stream.max_message_bytes = own.max_message_bytes.value_or(0);
  auto acceptor = open_acceptor(manager.get_executor(), endpoint, options.backlog);
  auto listening = std::make_shared<Listening>();
  listening->options = std::move(options);
  listening->origins =
      own.allowed_origins.is_set() ? own.allowed_origins : OriginPolicy::same_host();
  listening->logger = own.logger;
  listening->make_transport = std::move(make_transport);
  listening->handler = std::move(handler);
  listening->local_endpoint = acceptor.local_endpoint();
  boost::asio::co_spawn(
      manager.get_executor(), accept_all(listening, std::move(acceptor)),
      [listening](const std::exception_ptr& error) {
        if (!error) return;
        log(listening->logger, Severity::error, "listener_failed", {{"why", describe(error)}});
      });
  return Listener(std::move(listening));
}

template <class Handler>
concept HandlesUpgrades =
    std::is_same_v<std::invoke_result_t<Handler&, Upgrade>, boost::asio::awaitable<void>>;

}  // namespace detail

/// Listens at once, and calls @p handler with an `Upgrade` for each request that asks for a
/// WebSocket and that the manager's `allowed_origins` allow; where these are not set, the page must
/// come from the host that it asks, or be no browser at all. Others get 403.
/// @param handler  called with `Upgrade`, returns `awaitable<void>`. What it throws is logged.
/// @par Errors     `errc::address_unavailable`, naming the address.
template <WebSocketLike Ws, detail::HandlesUpgrades Handler>
Listener listen(const ConnectionManager<Ws>& manager,
                const boost::asio::ip::tcp::endpoint& endpoint, ListenOptions options,
                Handler handler) {
  const std::size_t send_buffer_bytes = options.stream.send_buffer_bytes;
  return detail::start_listening(manager, endpoint, std::move(options), std::move(handler),
                                 [send_buffer_bytes](boost::asio::ip::tcp::socket socket) {
                                   return std::make_unique<detail::TcpTransport>(std::move(socket),
                                                                                 send_buffer_bytes);
                                 });
}

}  // namespace roost
