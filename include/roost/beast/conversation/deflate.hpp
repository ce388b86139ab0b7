// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "roost/base/build/config.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/websocket_like.hpp"

// permessage-deflate (RFC 7692). Each outgoing message is compressed independently, so that one
// compressed frame suits all connections with the same parameters, and no connection keeps a state
// for it.

namespace roost::detail {

/// The parameters of compression for one peer. Equal parameters give equal `FrameForm`s.
struct DeflateForm {
  unsigned window_bits = 15;  ///< 9 to 15, as negotiated.
  unsigned level = 6;         ///< 1 (fast) to 9 (small).
  std::size_t min_bytes = 0;  ///< Shorter messages are not compressed. Less than 2^24.

  [[nodiscard]] static constexpr DeflateForm of(FrameForm form) noexcept {
    return {form & 0xFU, form >> 4U & 0xFU, form >> 8U};
  }
  [[nodiscard]] constexpr FrameForm value() const noexcept {
    return window_bits | level << 4U | static_cast<FrameForm>(min_bytes) << 8U;
  }
};

/// Compresses a frame. Returns it unchanged if the result would not be smaller.
ROOST_DECL Frame deflated(const Frame& frame, DeflateForm form);

enum class Inflated : std::uint8_t { whole, malformed, too_big };

/// Inflates a message.
/// @param deflated           the payload of the message; is changed
/// @param max_message_bytes  limit on @p out; 0: no limit
/// @param context            the end of the messages inflated before, to which this message may
///                           refer; updated with the end of this message. Null: there is no
///                           context.
ROOST_DECL Inflated inflate(std::string& deflated, std::string& out, std::size_t max_message_bytes,
                            std::string* context = nullptr);

/// How many bytes a message of @p n bytes may have when it is compressed badly: zlib's upper bound
/// for any parameters. A longer one is padded without end.
[[nodiscard]] constexpr std::size_t max_deflated_bytes(std::size_t n) noexcept {
  return n + n / 8 + n / 64 + 64;
}

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/conversation/deflate.ipp"
#endif
