// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// @p value made safe for one line of a log: control characters, quotes, backslashes and bytes
/// that are no UTF-8 become `\xNN`; what is longer than 256 bytes is cut.
[[nodiscard]] std::string escape_for_log(std::string_view value);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/escape.ipp"
#endif
