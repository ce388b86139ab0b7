// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>
#include <functional>
#include <type_traits>

#include "roost/access/connection_limiter.hpp"
#include "roost/base/names.hpp"
#include "roost/beast/request.hpp"

namespace roost {

/// Compression of messages (permessage-deflate, RFC 7692), in both directions if the client asks
/// for it, without context takeover unless an option says otherwise.
///
/// A broadcast is compressed once for all connections with the same parameters. Compression trades
/// processor time for network traffic, and is meant for large texts. As with HTTP, do not put a
/// secret and text chosen by a stranger into one message: the compressed size can reveal the
/// secret.
struct Compression {
  /// Shorter messages are sent uncompressed. In bytes; less than 16 MiB.
  std::size_t min_bytes = 256;
  /// The level: 1 (fast) to 9 (small).
  unsigned level = 6;
  /// Whether clients may refer in one message to the messages before it. Clients on Apple's systems
  /// (`URLSessionWebSocketTask`) do so even when told not to: without this option their second
  /// compressed message may end the connection with 1007. With it, each client that compresses
  /// costs up to 32 KiB of memory, for its most recent bytes, while it is connected. Messages from
  /// the server never refer to earlier ones.
  bool client_context_takeover = false;
};

/// Options of one connection over Beast, from the first byte to the last.
struct StreamOptions {
  /// From the accepted socket to the end of the upgrade; then the socket is aborted. Once a drain
  /// has begun, the request must arrive within `close_timeout` if that is less. 1 ms to 1 day.
  Clock::duration handshake_timeout = std::chrono::seconds(15);
  /// How long the peer may take to answer a close frame once it has taken everything sent before;
  /// then the socket is aborted. Until then the peer must take each 32 KiB, or all that is left,
  /// within this time, and everything within twelve times this time. 1 ms to 1 day.
  Clock::duration close_timeout = std::chrono::seconds(5);
  /// How long the peer may take for each 32 KiB of the last bytes, or for all that is left, if no
  /// manager enforces its own timeout: for an HTTP response, or for the queue when the peer ends
  /// the conversation. The peer may take twelve times as long in total. It is also how long a peer
  /// that keeps asking for pongs may read nothing. 1 ms to 1 day.
  Clock::duration send_timeout = std::chrono::seconds(5);
  /// How long the peer may take to close its side after it has taken everything and ours is shut
  /// down; then the socket is closed. 1 ms to 1 day.
  Clock::duration linger_timeout = std::chrono::seconds(2);
  /// Limit on the request line and the headers, cookies included, in bytes; a longer request is
  /// refused with 431. Common reverse proxies accept 16 to 32 KiB. A request costs as much memory
  /// as it has bytes, and the headers are kept as long as the connection. 256 to 1 048 576. The
  /// name and the value of one header field may have up to 65 533 bytes each.
  std::size_t max_header_bytes = 32'768;
  /// Limit on the header fields of a request; more are refused with 431. 8 to 10 000.
  std::size_t max_header_fields = 100;
  /// Limit on the request target, path and query, in bytes; a longer one is refused with 414. 1 to
  /// `max_header_bytes`.
  std::size_t max_target_bytes = 4'096;
  /// Limit on a received message, in bytes, until a manager sets its own. 0: no limit.
  std::size_t max_message_bytes = 1'048'576;
  /// Compression to offer to clients that ask for it; not set: none. `max_message_bytes` applies to
  /// the inflated message; a compressed one may take an eighth more on the wire. Not used for
  /// wrapped streams, which have their own setting.
  std::optional<Compression> compression = {};
  /// How many bytes the kernel may buffer for a peer that does not read. 0: the system's default;
  /// at most 1 GiB.
  std::size_t send_buffer_bytes = 262'144;
  /// The clock of all timeouts. Time in which the event loop did not run does not count. Not null;
  /// must outlive the connection.
  Clock* clock = &Clock::system();
};

/// Options of `listen`: how clients are treated until they have a WebSocket.
struct ListenOptions {
  /// Options of each connection. `max_message_bytes` is taken from the manager.
  StreamOptions stream = {};
  /// Answers requests that do not ask for a WebSocket, for example with a page or a health check;
  /// `path_of` gives the path. The connection is closed after each response. Called on the executor
  /// of the manager, with the head of the request only. If it throws, the answer is 500. Not set:
  /// the answer is 426.
  std::function<HttpResponse(const HttpRequest&)> on_http = {};
  /// Limits for all connections with the same key.
  KeyLimits per_key = {};
  /// Maps a peer's address to its key. An empty key has no limit; by default the addresses of
  /// proxies (loopback, private, link-local) have none. Called before anything is read. A
  /// connection over the limit is closed without an answer, so that a flood costs little.
  std::function<std::string(const boost::asio::ip::address&)> address_key = roost::address_key;
  /// Maps a request to its key, for example to the address that your proxy wrote into a header. If
  /// set, it replaces `address_key`. A request over the limit gets a 429 with `Retry-After`.
  std::function<std::string(const HttpRequest&, const boost::asio::ip::tcp::endpoint&)>
      request_key = {};
  /// How many connections may be in their handshake at the same time. One more, and the oldest of
  /// them is closed, so that clients that are slow on purpose do not keep others out. At least 1.
  std::size_t max_handshakes = 1'000;
  /// How many connections the kernel queues until they are accepted. The default is the system's
  /// maximum.
  int backlog = boost::asio::socket_base::max_listen_connections;
  /// Whether several listeners may share the port (`SO_REUSEPORT`), for example one for each
  /// thread, or one of an old and one of a new process. The kernel distributes new connections over
  /// them. Throws `errc::address_unavailable` on systems that cannot do so.
  ///
  /// Such a listener stops when a drain begins, so that new connections go to the other listeners.
  /// Connections that the kernel has completed are accepted before it stops, and get a 503. A
  /// connection that the kernel is just completing is reset, unless the system has
  /// `net.ipv4.tcp_migrate_req=1`, which moves it to another listener. A health check that asks
  /// only this process finds the port closed.
  bool reuse_port = false;
};

/// Options of `Upgrade::accept`.
struct AcceptOptions {
  /// Subprotocols of the server, best first: the first one that the client offers is chosen (RFC
  /// 6455, section 4.2.2). If it is empty, or none is in common, the connection has no subprotocol.
  Names subprotocols = {};
  /// The `Server` header of the response; empty: Beast's default, which names its version.
  std::string_view server = {};
};

/// Options of `Upgrade::reject`: what the response contains besides its status.
struct RejectOptions {
  /// When the client may try again, for a 503 or 429 (RFC 9110, section 10.2.3).
  std::optional<std::chrono::seconds> retry_after = {};
  /// The authentication scheme to use, for a 401 (RFC 9110, section 11.6.1).
  std::string_view challenge = "Bearer";
};

namespace detail {

inline void validate(const StreamOptions& options) {
  check_limit(options.handshake_timeout, "handshake_timeout");
  check_limit(options.close_timeout, "close_timeout");
  check_limit(options.send_timeout, "send_timeout");
  check_limit(options.linger_timeout, "linger_timeout");
  check_option(options.max_header_bytes >= 256 && options.max_header_bytes <= 1'048'576,
               "max_header_bytes must be 256 to 1048576");
  check_option(options.max_header_fields >= 8 && options.max_header_fields <= 10'000,
               "max_header_fields must be 8 to 10000");
  check_option(options.max_target_bytes >= 1, "max_target_bytes must be at least 1");
  check_option(options.send_buffer_bytes <= 1'073'741'824,
               "send_buffer_bytes must be at most 1073741824");
  check_option(!options.compression || options.compression->min_bytes < 16'777'216,
               "compression.min_bytes must be less than 16777216");
  check_option(
      !options.compression || (options.compression->level >= 1 && options.compression->level <= 9),
      "compression.level must be 1 to 9");
  check_option(options.clock != nullptr, "clock must not be null");
}

}  // namespace detail

static_assert(std::is_trivially_destructible_v<StreamOptions>);
static_assert(std::is_trivially_destructible_v<AcceptOptions>);
static_assert(std::is_trivially_destructible_v<RejectOptions>);

}  // namespace roost
