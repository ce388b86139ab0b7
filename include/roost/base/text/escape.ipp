// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "roost/base/text/escape.hpp"
#include "roost/base/text/utf8.hpp"

namespace roost::detail {

ROOST_DECL std::string escape_for_log(std::string_view value) {
  constexpr std::size_t longest = 256;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  const auto escape = [&](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  };
  std::string_view rest = value.substr(0, longest);
  while (!rest.empty()) {
    const std::size_t length = utf8_sequence(rest);
    const bool is_quoting = rest.front() == '"' || rest.front() == '\\';
    if (length == 0 || is_quoting) {
      escape(rest.front());
      rest.remove_prefix(1);
    } else {
      for (std::size_t i = 0; i < length; ++i) {
        if (is_control(rest, length)) {
          escape(rest[i]);
        } else {
          out += rest[i];
        }
      }
      rest.remove_prefix(length);
    }
  }
  if (value.size() > longest) out += "...";
  return out;
}

}  // namespace roost::detail
