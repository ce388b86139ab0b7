// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace roost {

/// Why a client cannot get the messages that it missed in a room with a history.
enum class LossReason : std::uint8_t {
  epoch,        ///< The history of the room was lost or deleted, and began anew.
  gone,         ///< Some of the messages are no longer kept: see `HistoryRule`.
  unavailable,  ///< The history cannot be read, or the room has no history.
  malformed,    ///< The client sent something that is not a position.
};

/// Returns the name of @p reason, as clients see it in `lost=gone`.
[[nodiscard]] constexpr std::string_view to_string(LossReason reason) noexcept {
  switch (reason) {
    case LossReason::epoch: return "epoch";
    case LossReason::gone: return "gone";
    case LossReason::unavailable: return "unavailable";
    case LossReason::malformed: return "malformed";
  }
  return "unknown";
}

/// Which earlier messages of a room a connection gets when it joins.
struct Recovery {
  /// Whether the connection gets every message after the position that its client sent, each
  /// exactly once and in order.
  bool is_recovered = false;
  /// How many earlier messages it gets because of its position or of `last`.
  std::size_t replayed = 0;
  /// Why the client must fetch the state of the room anew. Not set if it need not, or sent no
  /// position.
  std::optional<LossReason> why = {};
};

}  // namespace roost
