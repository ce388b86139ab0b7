// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// roost over TLS: the same `BeastWebSocket`, so that plain and TLS clients share a manager. Needs
/// OpenSSL; CMake target `roost::beast_tls`.

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <utility>

#include "roost/beast.hpp"
#include "roost/beast/transport/tls_transport.hpp"

namespace roost {

/// `listen` over TLS. The TLS handshake is part of `handshake_timeout`.
/// @param context  with certificate and key; must outlive the listener
template <WebSocketLike Ws, detail::HandlesUpgrades Handler>
Listener listen(const ConnectionManager<Ws>& manager,
                const boost::asio::ip::tcp::endpoint& endpoint, boost::asio::ssl::context& context,
                ListenOptions options, Handler handler) {
  return detail::start_listening(manager, endpoint, std::move(options), std::move(handler),
                                 [&context](boost::asio::ip::tcp::socket socket) {
                                   return std::make_unique<detail::TlsTransport>(
                                       detail::TlsTransport::Stream(std::move(socket), context),
                                       /*is_open=*/false);
                                 });
}

}  // namespace roost
