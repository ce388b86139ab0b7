// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// The length of the well-formed UTF-8 sequence that @p text starts with, or 0 (RFC 3629: no
/// overlong forms, no surrogates, nothing above U+10FFFF).
[[nodiscard]] constexpr std::size_t utf8_sequence(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const std::uint8_t first = byte(0);
  const std::uint8_t second = byte(1);
  if (text.empty()) return 0;
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (first == 0xE0 && second < 0xA0) return 0;  // overlong
    if (first == 0xED && second > 0x9F) return 0;  // surrogate
    return continues(1) && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (first == 0xF0 && second < 0x90) return 0;  // overlong
    if (first == 0xF4 && second > 0x8F) return 0;  // above U+10FFFF
    return continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

/// Whether @p text, which starts with a well-formed sequence of @p length bytes, starts with a
/// control character (C0, DEL, C1), or with one that breaks lines (U+2028, U+2029).
[[nodiscard]] constexpr bool is_control(std::string_view text, std::size_t length) noexcept {
  const auto first = static_cast<std::uint8_t>(text[0]);
  if (length == 1) return first < 0x20 || first == 0x7F;
  if (length == 2) return first == 0xC2 && static_cast<std::uint8_t>(text[1]) < 0xA0;
  return length == 3 && (text.starts_with("\xE2\x80\xA8") || text.starts_with("\xE2\x80\xA9"));
}

/// Whether @p text is well-formed UTF-8.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// Whether there is a control character, or a line break, in @p text. @pre `is_utf8(text)`
[[nodiscard]] bool has_control(std::string_view text) noexcept;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/utf8.ipp"
#endif
