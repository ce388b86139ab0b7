// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace roost {

/// The codes of a close frame that roost itself sends or reports (RFC 6455, section 7.4.1).
///
/// Functions that take a close code take any `std::uint16_t`, so that applications can use
/// 4000-4999; these are the names of the registered ones.
namespace close_code {

inline constexpr std::uint16_t normal = 1000;            ///< The purpose has been fulfilled.
inline constexpr std::uint16_t going_away = 1001;        ///< The server stops, or the page is left.
inline constexpr std::uint16_t protocol_error = 1002;    ///< The peer broke RFC 6455.
inline constexpr std::uint16_t unsupported_data = 1003;  ///< Binary where text is wanted.
inline constexpr std::uint16_t no_status = 1005;         ///< Never sent: a frame without a code.
inline constexpr std::uint16_t abnormal = 1006;          ///< Never sent: there was no close frame.
inline constexpr std::uint16_t invalid_payload = 1007;   ///< No UTF-8, or no valid JSON.
inline constexpr std::uint16_t policy_violation = 1008;  ///< Refused by a hook or a limit.
inline constexpr std::uint16_t message_too_big = 1009;   ///< Over the limit on message size.
inline constexpr std::uint16_t internal_error = 1011;    ///< The handler failed.
inline constexpr std::uint16_t service_restart = 1012;   ///< The server restarts: come back later.
inline constexpr std::uint16_t try_again_later = 1013;   ///< The server is full.

/// Whether @p code may be sent in a close frame: 1000-1003, 1007-1014 or 3000-4999.
[[nodiscard]] constexpr bool may_be_sent(std::uint16_t code) noexcept {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace close_code

/// A close frame's reason is at most 123 bytes (RFC 6455, section 5.5); cut at a character.
[[nodiscard]] constexpr std::string_view clip_close_reason(std::string_view reason) noexcept {
  if (reason.size() <= 123) return reason;
  std::size_t end = 123;
  while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xC0) == 0x80) --end;
  return reason.substr(0, end);
}

}  // namespace roost
