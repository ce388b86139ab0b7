// SPDX-License-Identifier: MIT
#pragma once

#include <cstring>

#include "roost/base/text/utf8.hpp"

namespace roost::detail {

ROOST_DECL bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    // Most text is ASCII: look at eight bytes at once.
    while (text.size() >= 8) {
      std::uint64_t word;
      std::memcpy(&word, text.data(), 8);
      if ((word & 0x8080808080808080U) != 0) break;
      text.remove_prefix(8);
    }
    if (text.empty()) break;
    const std::size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

ROOST_DECL bool has_control(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (is_control(text, length)) return true;
    text.remove_prefix(length);
  }
  return false;
}

}  // namespace roost::detail
