// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <system_error>

#include "roost/base/error.hpp"
#include "roost/base/text/json.hpp"

namespace roost::detail {

ROOST_DECL bool JsonScanner::skip_value(std::size_t depth) noexcept {
  if (at_ == end_) return false;
  switch (*at_) {
    case '"': return skip_string();
    case '{': return depth > 0 && skip_members(depth - 1);
    case '[': return depth > 0 && skip_elements(depth - 1);
    case 't': return skip_word("true");
    case 'f': return skip_word("false");
    case 'n': return skip_word("null");
    default: return skip_number();
  }
}

ROOST_DECL bool JsonScanner::skip_members(std::size_t depth) noexcept {
  ++at_;
  if (take('}')) return true;
  do {
    if (string().empty() || !take(':') || value(depth).empty()) return false;
  } while (take(','));
  return take('}');
}

ROOST_DECL bool JsonScanner::skip_elements(std::size_t depth) noexcept {
  ++at_;
  if (take(']')) return true;
  do {
    if (value(depth).empty()) return false;
  } while (take(','));
  return take(']');
}

ROOST_DECL bool JsonScanner::skip_word(std::string_view word) noexcept {
  if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word)) return false;
  at_ += word.size();
  return true;
}

ROOST_DECL bool JsonScanner::skip_number() noexcept {
  if (*at_ == '-') ++at_;
  if (at_ != end_ && *at_ == '0') {
    ++at_;
  } else if (!skip_digits()) {
    return false;
  }
  if (at_ != end_ && *at_ == '.') {
    ++at_;
    if (!skip_digits()) return false;
  }
  if (at_ == end_ || (*at_ != 'e' && *at_ != 'E')) return true;
  ++at_;
  if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
  return skip_digits();
}

ROOST_DECL bool JsonScanner::skip_digits() noexcept {
  const char* const begin = at_;
  while (is_digit()) ++at_;
  return at_ != begin;
}

ROOST_DECL bool JsonScanner::skip_string() noexcept {
  if (at_ == end_ || *at_ != '"') return false;
  ++at_;
  for (;;) {
    skip_plain();
    if (at_ == end_) return false;
    if (*at_ == '"') break;
    if (*at_ != '\\' || !skip_escape()) return false;
  }
  ++at_;
  return true;
}

ROOST_DECL void JsonScanner::skip_plain() noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  constexpr std::uint64_t tops = 0x8080808080808080U;
  const auto has_zero = [](std::uint64_t word) { return (word - ones) & ~word & tops; };
  while (end_ - at_ >= 8) {
    std::uint64_t word;
    std::memcpy(&word, at_, 8);
    const std::uint64_t is_below_space = (word - 0x20 * ones) & ~word & tops;
    if (has_zero(word ^ ('"' * ones)) | has_zero(word ^ ('\\' * ones)) | is_below_space) break;
    at_ += 8;
  }
  while (at_ != end_ && *at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20) {
    ++at_;
  }
}

ROOST_DECL bool JsonScanner::skip_escape() noexcept {
  ++at_;
  if (at_ == end_) return false;
  const char kind = *at_++;
  if (kind != 'u') return std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
  return take_unit() <= 0xFFFF;
}

ROOST_DECL unsigned JsonScanner::take_unit() noexcept {
  constexpr unsigned none = 0x10000;
  if (end_ - at_ < 4) return none;
  unsigned unit = 0;
  const auto [end, error] = std::from_chars(at_, at_ + 4, unit, 16);
  at_ += 4;
  return error == std::errc() && end == at_ ? unit : none;
}

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

/// Returns the code unit of the escape with four hexadecimal digits at the beginning of @p text;
/// 0 if @p text does not begin with one.
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
      json.replace(at + 2, 4, "fffd");  // the same length as the digits it replaces
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

// Stops at the limit, so that this recursion cannot overflow the stack either.
ROOST_WHEN_USED bool is_nested_over(const nlohmann::json& value, std::size_t limit) {
  if (!value.is_structured()) return false;
  if (limit == 0) return true;
  for (const auto& element : value) {
    if (is_nested_over(element, limit - 1)) return true;
  }
  return false;
}

ROOST_WHEN_USED_DEF std::string dump_json(const nlohmann::json& value, std::size_t max_depth) {
  if (is_nested_over(value, max_depth)) {
    throw Error(errc::invalid_json, "nested deeper than " + std::to_string(max_depth) + " levels");
  }
  try {
    return value.dump();
  } catch (const nlohmann::json::exception& error) {
    throw Error(errc::invalid_json, error.what());
  }
}

ROOST_WHEN_USED_DEF nlohmann::json parse_json(std::string_view text) {
  nlohmann::json value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_discarded()) return value;
  std::string mended(text);
  if (mend_surrogates(mended)) {
    value = nlohmann::json::parse(mended, nullptr, /*allow_exceptions=*/false);
  }
  return value;
}

ROOST_WHEN_USED_DEF nlohmann::json decode_json(std::string_view text) {
  if (json_depth(text) > max_json_depth) {
    throw Error(errc::invalid_json,
                "nested deeper than " + std::to_string(max_json_depth) + " levels");
  }
  nlohmann::json value = parse_json(text);
  if (value.is_discarded()) {
    throw Error(errc::invalid_json, "a message of " + std::to_string(text.size()) + " bytes");
  }
  return value;
}

}  // namespace roost::detail
