// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <system_error>

#include "roost/base/text/json_string.hpp"

namespace roost::detail {

ROOST_DECL void append_json_string(std::string& out, std::string_view text) {
  const auto needs_escape = [](char c) {
    return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
  };
  out += '"';
  std::size_t plain_at = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!needs_escape(text[i])) continue;
    out.append(text, plain_at, i - plain_at);
    plain_at = i + 1;
    constexpr std::string_view named = "\"\"\\\\\bb\ff\nn\rr\tt";
    std::size_t at = 0;
    while (at < named.size() && named[at] != text[i]) at += 2;
    if (at < named.size()) {
      out.append({'\\', named[at + 1]});
    } else {
      constexpr std::string_view digits = "0123456789abcdef";
      const auto code = static_cast<unsigned char>(text[i]);
      out.append("\\u00").append({digits[code >> 4], digits[code & 0xF]});
    }
  }
  out.append(text, plain_at).append("\"");
}

ROOST_DECL void append_utf8(std::string& out, std::uint32_t code) {
  const auto last_bits = [&](int shift) {
    return static_cast<char>(0x80 | ((code >> shift) & 0x3F));
  };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out.append({static_cast<char>(0xC0 | (code >> 6)), last_bits(0)});
  } else if (code < 0x10000) {
    out.append({static_cast<char>(0xE0 | (code >> 12)), last_bits(6), last_bits(0)});
  } else {
    out.append({static_cast<char>(0xF0 | (code >> 18)), last_bits(12), last_bits(6), last_bits(0)});
  }
}

ROOST_DECL bool is_high_surrogate(std::uint32_t unit) noexcept {
  return unit >= 0xD800 && unit <= 0xDBFF;
}
ROOST_DECL bool is_low_surrogate(std::uint32_t unit) noexcept {
  return unit >= 0xDC00 && unit <= 0xDFFF;
}

/// The unit of the escape "\uXXXX" that @p text begins with; 0 if it does not.
ROOST_DECL std::uint32_t escaped_unit(std::string_view text) noexcept {
  if (text.size() < 6 || !text.starts_with("\\u")) return 0;
  std::uint32_t unit = 0;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + 6, unit, 16);
  return error == std::errc() && end == text.data() + 6 ? unit : 0;
}

ROOST_DECL bool mend_surrogates(std::string& json) noexcept {
  bool is_mended = false;
  const std::string_view text = json;
  for (std::size_t at = text.find('\\'); at != std::string_view::npos; at = text.find('\\', at)) {
    const std::uint32_t unit = escaped_unit(text.substr(at));
    if (is_high_surrogate(unit) && is_low_surrogate(escaped_unit(text.substr(at + 6)))) {
      at += 12;
    } else if (is_high_surrogate(unit) || is_low_surrogate(unit)) {
      json.replace(at + 2, 4, "fffd");  // as long as what was there
      is_mended = true;
      at += 6;
    } else {
      at += 2;
    }
  }
  return is_mended;
}

ROOST_DECL std::string json_string_value(std::string_view quoted) {
  std::string_view rest = quoted.substr(1, quoted.size() - 2);
  std::string value;
  value.reserve(rest.size());
  for (;;) {
    const std::size_t plain = rest.find('\\');
    value.append(rest, 0, plain);
    if (plain == std::string_view::npos) return value;
    rest.remove_prefix(plain);
    if (rest[1] == 'u') {
      std::uint32_t code = escaped_unit(rest);
      rest.remove_prefix(6);
      const std::uint32_t low = is_high_surrogate(code) ? escaped_unit(rest) : 0;
      if (is_low_surrogate(low)) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        rest.remove_prefix(6);
      }
      const bool is_half = is_high_surrogate(code) || is_low_surrogate(code);
      append_utf8(value, is_half ? 0xFFFD : code);
      continue;
    }
    constexpr std::string_view named = "b\bf\fn\nr\rt\t";
    const std::size_t at = named.find(rest[1]);
    value += at == std::string_view::npos ? rest[1] : named[at + 1];
    rest.remove_prefix(2);
  }
}

}  // namespace roost::detail
