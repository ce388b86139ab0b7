// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>

#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/base/names.hpp"

namespace roost {

/// How messages are compressed (permessage-deflate, RFC 7692): in both directions where the client
/// asks for it, without context takeover unless an option says otherwise.
///
/// A broadcast is compressed once for all who agreed on the same. Costs processor time for network:
/// for large texts. As with HTTP, do not put a secret and what a stranger chooses into one message:
/// its size tells.
struct Compression {
  /// Messages of fewer bytes go out as they are. Less than 16 MiB.
  std::size_t min_bytes = 256;
  /// 1 (fast) to 9 (small).
  unsigned level = 6;
  /// Whether clients may refer in one message to those before it. Clients on Apple's systems do so
  /// even when they are told not to (`URLSessionWebSocketTask`): without this option their second
  /// compressed message may end the connection with 1007. With it a client that compresses costs up
  /// to 32 KiB of memory more, the last that it has sent, for as long as it is connected. What the
  /// server sends stands for itself in either case.
  bool client_context_takeover = false;
};

/// How one connection over Beast treats its peer, from the first byte to the last.
struct StreamOptions {
  /// From the accepted socket to the end of the upgrade; then the socket is aborted. Once a drain
  /// has begun a request has `close_timeout` to come, if that is less. 1 ms to 1 day, as for the
  /// next three.
  Clock::duration handshake_timeout = std::chrono::seconds(15);
  /// How long a close handshake may take, once the peer has taken all that was sent before; then
  /// the socket is aborted. Until then, so long for each 32 KiB, or for all that is left, at most
  /// twelve times.
  Clock::duration close_timeout = std::chrono::seconds(5);
  /// How long a peer may take for each 32 KiB, or for all that is left, of the last bytes, where no
  /// manager watches over them: an HTTP response, or what is queued when the peer ends the
  /// conversation. Twelve times that altogether. And how long a peer that keeps asking for pongs
  /// may take nothing.
  Clock::duration send_timeout = std::chrono::seconds(5);
  /// How long the peer may take to close its side after ours is shut down and it has taken all;
  /// then it is closed.
  Clock::duration linger_timeout = std::chrono::seconds(2);
  /// Bytes of the request line and the headers, cookies included; more is refused with 431. Servers
  /// in front let 16 to 32 KiB through. A request costs as much memory as it has bytes, and what is
  /// kept of it is kept for as long as its connection. 256 to 1 048 576.
  std::size_t max_header_bytes = 32'768;
  /// Header fields of the upgrade request; more is refused with 431. 8 to 10 000.
  std::size_t max_header_fields = 100;
  /// Bytes of the request target, path and query; more is refused with 414. 1 to
  /// `max_header_bytes`.
  std::size_t max_target_bytes = 4'096;
  /// Bytes per message received, until a manager sets its own limit. 0: no limit.
  std::size_t max_message_bytes = 1'048'576;
  /// Offered to clients that ask for it; not set: nothing is compressed. `max_message_bytes` is of
  /// messages as they are inflated; compressed they may have an eighth more. Not for wrapped
  /// streams, which bring their own.
  std::optional<Compression> compression = {};
  /// Bytes that the kernel may hold for a peer that does not read. 0: the system's default; at
  /// most 1 GiB.
  std::size_t send_buffer_bytes = 262'144;
  /// What the timeouts are measured by. Time in which the event loop did not run does not count.
  /// Not null; must outlive the connection.
  Clock* clock = &Clock::system();
};

/// How an upgrade is accepted.
struct AcceptOptions {
  /// Subprotocols that the server speaks, best first: the first that the client offers is chosen
  /// (RFC 6455, section 4.2.2). Empty, or none in common: none.
  Names subprotocols = {};
  /// The `Server` header of the response; empty: Beast's, which names its version.
  std::string_view server = {};
};

/// What a refusal says besides its status.
struct RejectOptions {
  /// When the client may come back, for a 503 or 429 (RFC 9110, section 10.2.3).
  std::optional<std::chrono::seconds> retry_after = {};
  /// How a client could say who it is, for a 401 (RFC 9110, section 11.6.1).
  std::string_view challenge = "Bearer";
};

namespace detail {

inline void validate(const StreamOptions& options) {
  const auto is_limit = [](Clock::duration d) {
    return d >= std::chrono::milliseconds(1) && d <= std::chrono::hours(24);
  };
  check_option(is_limit(options.handshake_timeout), "handshake_timeout must be 1 ms to 1 day");
  check_option(is_limit(options.close_timeout), "close_timeout must be 1 ms to 1 day");
  check_option(is_limit(options.send_timeout), "send_timeout must be 1 ms to 1 day");
  check_option(is_limit(options.linger_timeout), "linger_timeout must be 1 ms to 1 day");
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
