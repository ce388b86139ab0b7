// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// roost over TLS. It has the same `BeastWebSocket`, so plain and TLS clients can share a manager.
/// Needs OpenSSL; CMake target `roost::beast_tls`.

#include <boost/asio/ssl/context.hpp>

#include "roost/beast.hpp"
#include "roost/beast/transport/tls_transport.hpp"

namespace roost {

/// Listens like `roost::listen`, but over TLS. The TLS handshake counts towards
/// `handshake_timeout`.
/// @param manager   see `roost::listen`
/// @param context   has the certificate and the key; must outlive the listener
/// @param endpoint  see `roost::listen`
/// @param handler   see `roost::listen`
/// @param options   see `roost::listen`
template <WebSocketLike Ws, detail::HandlesUpgrades Handler>
Listener listen(const ConnectionManager<Ws>& manager,
                const boost::asio::ip::tcp::endpoint& endpoint, boost::asio::ssl::context& context,
                ListenOptions options, Handler handler) {
  return detail::start_listening(
      manager, endpoint, std::move(options), std::move(handler),
      [&context](boost::asio::ip::tcp::socket socket, const detail::SharedByLinks& shared) {
        return std::make_shared<detail::LinkOver<detail::TlsTransport>>(
            shared.flusher, shared.options, std::move(socket), context.native_handle());
      });
}

}  // namespace roost
