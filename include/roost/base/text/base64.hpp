// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// Base64 with padding (RFC 4648, section 4).
[[nodiscard]] std::string base64_encode(std::span<const std::byte> bytes);

/// The bytes that @p text encodes; nothing unless it is exactly what `base64_encode` makes of them:
/// padded, without white space, the bits that encode nothing all zero (RFC 4648, section 3.5).
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/base64.ipp"
#endif
