// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <system_error>

#include "roost/base/text/json_scanner.hpp"

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

}  // namespace roost::detail
