// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>

#include "roost/clock.hpp"
#include "roost/names.hpp"

namespace roost {

/// How one connection over Beast treats its peer, from the first byte to the last.
struct StreamOptions {
  /// From the accepted socket to the end of the upgrade; then the socket is aborted.
  Clock::duration handshake_timeout = std::chrono::seconds(15);
  /// How long a close handshake may take; then the socket is aborted.
  Clock::duration close_timeout = std::chrono::seconds(5);
  /// How long the last bytes may take to leave, where no manager watches over them.
  Clock::duration send_timeout = std::chrono::seconds(5);
  /// How long the peer may take to close its side after ours is shut down; then it is closed.
  Clock::duration linger_timeout = std::chrono::seconds(2);
  /// Bytes of the request line and the headers; more is refused with 431.
  std::size_t max_header_bytes = 8'192;
  /// Bytes per message received, until a manager sets its own limit. 0: no limit.
  std::size_t max_message_bytes = 1'048'576;
  /// What the kernel may hold for a peer that does not read. 0: the system's default.
  std::size_t send_buffer_bytes = 262'144;
  Clock* clock = &Clock::system();
};

struct AcceptOptions {
  /// Subprotocols that the server speaks, best first: the first that the client offers is chosen
  /// (RFC 6455, section 4.2.2). Empty, or none in common: none.
  Names subprotocols = {};
  /// The `Server` header of the response; empty: Beast's, which names its version.
  std::string_view server = {};
};

static_assert(std::is_trivially_destructible_v<StreamOptions>);
static_assert(std::is_trivially_destructible_v<AcceptOptions>);

}  // namespace roost
