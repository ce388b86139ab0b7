// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// The hash of maps that are searched with a `std::string_view`.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};

/// Returns the length of the well-formed UTF-8 sequence at the beginning of @p text, or 0 (RFC
/// 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
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

/// Returns whether @p text starts with a control character (C0, DEL, C1) or a line separator
/// (U+2028, U+2029). @pre its first sequence is well-formed and has @p length bytes
[[nodiscard]] constexpr bool is_control(std::string_view text, std::size_t length) noexcept {
  const auto first = static_cast<std::uint8_t>(text[0]);
  if (length == 1) return first < 0x20 || first == 0x7F;
  if (length == 2) return first == 0xC2 && static_cast<std::uint8_t>(text[1]) < 0xA0;
  return length == 3 && (text.starts_with("\xE2\x80\xA8") || text.starts_with("\xE2\x80\xA9"));
}

/// Returns whether @p text is well-formed UTF-8.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// Returns whether @p text contains a control character or a line separator. @pre `is_utf8(text)`
[[nodiscard]] bool has_control(std::string_view text) noexcept;

/// Encodes @p bytes as base64 with padding (RFC 4648, section 4).
[[nodiscard]] std::string base64_encode(std::span<const std::byte> bytes);

/// Decodes base64. Returns nothing unless @p text is exactly what `base64_encode` produces: padded,
/// without white space, with unused bits zero (RFC 4648, section 3.5).
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

/// Percent-decodes @p text (RFC 3986, section 2.1). Returns nothing if a `%` is not followed by two
/// hexadecimal digits.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);

/// Returns @p value made safe for one line of a log: control characters, quotes, backslashes and
/// bytes that are not UTF-8 become `\xNN`; all but the first 256 bytes are cut off.
[[nodiscard]] std::string escape_for_log(std::string_view value);

/// Returns the text of an exception, for a log or an error message.
[[nodiscard]] std::string describe(const std::exception_ptr& error);

/// Returns 128 random bits from the system's generator as 32 hexadecimal digits. Clients cannot
/// guess such an id.
ROOST_WHEN_USED [[nodiscard]] std::string random_id();

void validate_room_name(std::string_view name, std::size_t max_bytes);

void validate_connection_id(std::string_view id);

void validate_user(std::string_view user);

/// Checks the field `rooms` of a rule for rooms.
/// @param rule  the name of the rule, for the error
/// @par Errors  `errc::invalid_option`.
void validate_rule_rooms(std::string_view rooms, std::string_view rule);

/// Returns whether a rule for @p rooms, a name or a prefix followed by `*`, matches @p room.
[[nodiscard]] constexpr bool matches_rule(std::string_view rooms, std::string_view room) noexcept {
  return rooms.ends_with('*') ? room.starts_with(rooms.substr(0, rooms.size() - 1)) : room == rooms;
}

/// Returns the first of `options.rules` that matches @p room; null if none does.
template <class Options>
[[nodiscard]] constexpr auto find_rule(const Options& options, std::string_view room) noexcept
    -> decltype(options.rules.data()) {
  for (const auto& rule : options.rules) {
    if (matches_rule(rule.rooms, room)) return &rule;
  }
  return nullptr;
}

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/text.ipp"
#endif
