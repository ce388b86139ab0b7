// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "roost/base/build/config.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/websocket_like.hpp"

// permessage-deflate (RFC 7692). Each message that is sent stands for itself, so that one
// compressed frame suits all who agreed on the same, and no connection keeps a state for it.

namespace roost::detail {

/// How messages to one peer are compressed; as a `FrameForm`, equal for all who want the same.
struct DeflateForm {
  unsigned window_bits = 15;  ///< 9 to 15, as negotiated.
  unsigned level = 6;         ///< 1 (fast) to 9 (small).
  std::size_t min_bytes = 0;  ///< Smaller messages go out as they are. Less than 2^24.

  [[nodiscard]] static constexpr DeflateForm of(FrameForm form) noexcept {
    return {form & 0xFU, form >> 4U & 0xFU, form >> 8U};
  }
  [[nodiscard]] constexpr FrameForm value() const noexcept {
    return window_bits | level << 4U | static_cast<FrameForm>(min_bytes) << 8U;
  }
};

/// The frame in that form; as it is, if that is not smaller.
ROOST_DECL Frame deflated(const Frame& frame, DeflateForm form);

enum class Inflated : std::uint8_t { whole, malformed, too_big };

/// @param deflated           the payload of a message; is changed
/// @param max_message_bytes  of @p out; 0: no limit
/// @param context            the end of what was inflated before, to which the message may refer;
///                           goes on to the end of this one. Null: there is none.
ROOST_DECL Inflated inflate(std::string& deflated, std::string& out, std::size_t max_message_bytes,
                            std::string* context = nullptr);

/// What a message of @p n bytes may take when it is compressed, however badly: zlib's bound for
/// any parameters. More is padding without end.
[[nodiscard]] constexpr std::size_t max_deflated_bytes(std::size_t n) noexcept {
  return n + n / 8 + n / 64 + 64;
}

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/conversation/deflate.ipp"
#endif
