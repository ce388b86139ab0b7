// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "roost/socket/frame.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// The form in which a connection gets its frames: the form that its socket wants, with or without
/// a line before the payload that states the client's position. 0: unchanged.
enum class WireForm : std::uint64_t { as_it_is = 0 };

inline constexpr std::uint64_t lined_bit = std::uint64_t{1} << 32U;

[[nodiscard]] constexpr WireForm wire_form(FrameForm of_socket, bool is_lined) noexcept {
  return static_cast<WireForm>(of_socket | (is_lined ? lined_bit : 0));
}
[[nodiscard]] constexpr FrameForm of_socket(WireForm form) noexcept {
  return static_cast<FrameForm>(static_cast<std::uint64_t>(form) & 0xFFFF'FFFFU);
}
[[nodiscard]] constexpr bool is_lined(WireForm form) noexcept {
  return (static_cast<std::uint64_t>(form) & lined_bit) != 0;
}

/// One message in each form that was made of it.
using FormedFrames = std::vector<std::pair<WireForm, Frame>>;

}  // namespace roost::detail
