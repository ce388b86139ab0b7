// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

namespace roost::detail {

/// How deep what a peer sends may be nested: recursion over deeper values overflows the stack.
inline constexpr std::size_t max_json_depth = 64;

/// How deep arrays and objects of the JSON @p text are nested. Looks at brackets and strings only,
/// so that it can run before a parser sees the text.
[[nodiscard]] constexpr std::size_t json_depth(std::string_view text) noexcept {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > deepest) deepest = depth;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace roost::detail
