// SPDX-License-Identifier: MIT
#pragma once

#include "roost/beast/listening/listening.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/request.hpp"
#include "roost/beast/upgrade.hpp"
#include "roost/manager/connection_manager.hpp"

namespace roost {

/// A listening socket. Destroying it stops it; connections that have become an `Upgrade` go on.
///
/// @par Lifetime       May outlive its `io_context`.
/// @par Thread safety  None: use it on the executor of its manager, or while nothing runs it.
class [[nodiscard]] Listener {
 public:
  /// @private For `listen`.
  explicit Listener(std::shared_ptr<detail::Listening> listening)
      : listening_(std::move(listening)) {}
  /// Takes the socket over; the moved-from object must only be destroyed or assigned to.
  Listener(Listener&&) noexcept = default;
  /// Stops this listener, then takes the socket of @p other over.
  Listener& operator=(Listener&& other) noexcept {
    stop();
    listening_ = std::move(other.listening_);
    return *this;
  }
  ~Listener() { stop(); }

  /// The address on which it listens. If port 0 was requested, it has the port that the system
  /// chose.
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& local_endpoint() const noexcept {
    return listening_->local_endpoint;
  }
  /// The port of `local_endpoint`.
  [[nodiscard]] std::uint16_t port() const noexcept { return local_endpoint().port(); }

  /// Stops accepting. Connections that have not become an `Upgrade` are aborted.
  void stop() noexcept {
    if (listening_) listening_->stop();
  }

 private:
  std::shared_ptr<detail::Listening> listening_;
};

namespace detail {

template <class Ws, class Handler, class MakeLink>
Listener start_listening(const ConnectionManager<Ws>& manager,
                         const boost::asio::ip::tcp::endpoint& endpoint, ListenOptions options,
                         Handler handler, MakeLink make_link) {
  validate(options.stream);
  validate(options.per_key.rate, "per_key.rate");
  check_option(options.max_handshakes > 0, "max_handshakes must be at least 1");
  const auto& own = manager.options();
  options.stream.max_message_bytes = own.max_message_bytes.value_or(0);
  auto listening = std::make_shared<Listening>(std::move(options));
  listening->origins =
      own.allowed_origins.is_set() ? own.allowed_origins : OriginPolicy::same_host();
  listening->logger = own.logger;
  listening->gate = ManagerAccess::state(manager)->gate();
  listening->make_link = std::move(make_link);
  listening->handler = std::move(handler);
  start_listening(manager.get_executor(), endpoint, listening);
  return Listener(std::move(listening));
}

template <class Handler>
concept HandlesUpgrades =
    std::is_same_v<std::invoke_result_t<Handler&, Upgrade>, boost::asio::awaitable<void>>;

}  // namespace detail

/// Listens on @p endpoint, and calls @p handler with an `Upgrade` for each request for a WebSocket
/// whose origin is allowed by the manager's `allowed_origins`. If no origins are set, a browser's
/// page must come from the requested host, and clients that are not browsers are allowed. Other
/// origins get 403.
///
/// While the manager drains, requests get 503 with `Retry-After`. The listener stops at the end of
/// the drain, or with its manager; with `reuse_port` it stops at the beginning of the drain.
/// Programs that the process starts do not inherit its sockets.
/// @param endpoint  an address of this machine; port 0: the system chooses, see `Listener::port`
/// @param handler   called with an `Upgrade`, returns `awaitable<void>`. If it throws, that is
///                  logged, and answered with 500 unless the upgrade was answered. A drain waits
///                  for it, and cancels it in the end, as for the handlers of sessions.
/// @par Errors      `errc::address_unavailable`, naming the address; `invalid_option`, naming the
///                  field; `draining` once a drain has begun.
template <WebSocketLike Ws, detail::HandlesUpgrades Handler>
Listener listen(const ConnectionManager<Ws>& manager,
                const boost::asio::ip::tcp::endpoint& endpoint, ListenOptions options,
                Handler handler) {
  return detail::start_listening(
      manager, endpoint, std::move(options), std::move(handler),
      [](boost::asio::ip::tcp::socket socket, const detail::SharedByLinks& shared) {
        return std::make_shared<detail::LinkOver<detail::TcpTransport>>(
            shared.flusher, shared.options, std::move(socket), shared.poller);
      });
}

}  // namespace roost
