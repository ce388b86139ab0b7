// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "roost/socket/disconnect.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// How a socket says that it ended; a lost connection if it cannot say.
template <class Ws>
[[nodiscard]] Disconnect how_it_ended(const Ws& socket) {
  if constexpr (KnowsItsEnd<Ws>) {
    if (const std::optional<Disconnect> how = socket.ended()) return *how;
  }
  return {};
}

}  // namespace roost::detail
