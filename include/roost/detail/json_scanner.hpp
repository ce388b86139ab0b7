// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <system_error>

#include "roost/detail/json_depth.hpp"

namespace roost::detail {

/// Walks over the JSON in a text without making values of it.
///
/// What it takes, a parser takes too; what it refuses, a parser may still take: it leaves the rare
/// to one (numbers that may be too large for a `double`, bytes of zero, a byte order mark). So it
/// must be followed by a parser wherever it says no.
/// @pre the text is UTF-8
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) noexcept
      : at_(text.data()), end_(text.data() + text.size()) {}

  [[nodiscard]] bool is_at_end() noexcept {
    skip_space();
    return at_ == end_;
  }
  /// Takes @p symbol, if it comes next.
  [[nodiscard]] bool take(char symbol) noexcept {
    skip_space();
    if (at_ == end_ || *at_ != symbol) return false;
    ++at_;
    return true;
  }
  /// Takes a value, nested to at most @p depth levels. @returns its text; empty: there is none.
  [[nodiscard]] std::string_view value(std::size_t depth = max_json_depth) noexcept {
    skip_space();
    const char* const begin = at_;
    return skip_value(depth) ? since(begin) : std::string_view();
  }
  /// Takes a string. @returns it with its quotes; empty: there is none.
  [[nodiscard]] std::string_view string() noexcept {
    skip_space();
    const char* const begin = at_;
    return skip_string() ? since(begin) : std::string_view();
  }

 private:
  [[nodiscard]] std::string_view since(const char* begin) const noexcept {
    return {begin, static_cast<std::size_t>(at_ - begin)};
  }
  [[nodiscard]] bool is_digit() const noexcept { return at_ != end_ && *at_ >= '0' && *at_ <= '9'; }
  void skip_space() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  bool skip_value(std::size_t depth) noexcept {
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
  bool skip_members(std::size_t depth) noexcept {
    ++at_;
    if (take('}')) return true;
    do {
      if (string().empty() || !take(':') || value(depth).empty()) return false;
    } while (take(','));
    return take('}');
  }
  bool skip_elements(std::size_t depth) noexcept {
    ++at_;
    if (take(']')) return true;
    do {
      if (value(depth).empty()) return false;
    } while (take(','));
    return take(']');
  }
  bool skip_word(std::string_view word) noexcept {
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word))
      return false;
    at_ += word.size();
    return true;
  }
  bool skip_number() noexcept {
    constexpr std::ptrdiff_t longest = 300;  // of those that surely fit a double
    const char* const begin = at_;
    if (*at_ == '-') ++at_;
    if (!is_digit()) return false;
    if (*at_ == '0') {
      ++at_;
    } else {
      while (is_digit()) ++at_;
    }
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      if (!is_digit()) return false;
      while (is_digit()) ++at_;
    }
    const bool has_exponent = at_ != end_ && (*at_ == 'e' || *at_ == 'E');
    return !has_exponent && at_ - begin <= longest;
  }

  bool skip_string() noexcept {
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

  // Up to what needs a look: a quote, a backslash, a control character, or the end.
  void skip_plain() noexcept {
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

  bool skip_escape() noexcept {
    ++at_;
    if (at_ == end_) return false;
    const char kind = *at_++;
    if (kind != 'u') return std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
    const unsigned unit = take_unit();
    if (unit < 0xD800 || unit > 0xDFFF) return unit <= 0xFFFF;
    if (unit > 0xDBFF || !skip_word("\\u")) return false;
    const unsigned low = take_unit();
    return low >= 0xDC00 && low <= 0xDFFF;
  }
  // Four hexadecimal digits; over 0xFFFF if they are not there.
  unsigned take_unit() noexcept {
    constexpr unsigned none = 0x10000;
    if (end_ - at_ < 4) return none;
    unsigned unit = 0;
    const auto [end, error] = std::from_chars(at_, at_ + 4, unit, 16);
    at_ += 4;
    return error == std::errc() && end == at_ ? unit : none;
  }

  const char* at_;
  const char* end_;
};

}  // namespace roost::detail
