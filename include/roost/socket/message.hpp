// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace roost {

/// A whole message from a peer.
struct Message {
  /// Whether it came as text; else it is binary.
  bool is_text = true;
  std::string payload;  ///< UTF-8 if it is text, any bytes if not.

  /// The payload as text, whichever it is.
  [[nodiscard]] std::string_view text() const noexcept { return payload; }
  /// The payload as bytes, whichever it is.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return std::as_bytes(std::span(payload));
  }
};

}  // namespace roost
