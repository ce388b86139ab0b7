// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"

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

/// What a JSON string says. Half of a surrogate pair, which has no UTF-8, becomes U+FFFD.
/// @pre `JsonScanner` took it: its quotes are there, its escapes are whole
[[nodiscard]] std::string json_string_value(std::string_view quoted);

/// Walks over the JSON in a text without making values of it.
///
/// What it takes is JSON (RFC 8259), maybe after a byte order mark and before a byte of zero, as
/// parsers take it. A parser that makes values may refuse some of it: half of a surrogate pair in
/// an escape has no UTF-8, and a number may be too large for a `double`.
/// @pre the text is UTF-8
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) noexcept
      : at_(text.data()), end_(text.data() + text.size()) {
    if (text.starts_with("\xEF\xBB\xBF")) at_ += 3;
  }

  [[nodiscard]] bool is_at_end() noexcept {
    skip_space();
    return at_ == end_ || *at_ == '\0';
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

  /// Takes an object whose values are nested to at most @p depth levels. Calls
  /// `visit(name, value)` for each member until that returns false: with the name as it reads once
  /// its escapes are decoded, and the value as it stands in the text.
  /// @returns false if the text, as far as it was read, is not such an object
  template <class Visit>
  [[nodiscard]] bool members(std::size_t depth, Visit visit) {
    if (!take('{')) return false;
    bool is_closed = take('}');
    while (!is_closed) {
      const std::string_view name = string();
      if (name.empty() || !take(':')) return false;
      const std::string_view its_value = value(depth);
      is_closed = take('}');
      if (its_value.empty() || (!is_closed && !take(','))) return false;
      const bool is_plain = name.find('\\') == std::string_view::npos;
      if (is_plain ? !visit(name.substr(1, name.size() - 2), its_value)
                   : !visit(std::string_view(json_string_value(name)), its_value)) {
        return true;
      }
    }
    return true;
  }

 private:
  [[nodiscard]] std::string_view since(const char* begin) const noexcept {
    return {begin, static_cast<std::size_t>(at_ - begin)};
  }
  [[nodiscard]] bool is_digit() const noexcept { return at_ != end_ && *at_ >= '0' && *at_ <= '9'; }
  void skip_space() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  bool skip_value(std::size_t depth) noexcept;
  bool skip_members(std::size_t depth) noexcept;
  bool skip_elements(std::size_t depth) noexcept;
  bool skip_word(std::string_view word) noexcept;
  bool skip_number() noexcept;
  // False if there is none.
  bool skip_digits() noexcept;
  bool skip_string() noexcept;
  // Up to what needs a look: a quote, a backslash, a control character, or the end.
  void skip_plain() noexcept;
  bool skip_escape() noexcept;
  // Four hexadecimal digits; over 0xFFFF if they are not there.
  unsigned take_unit() noexcept;

  const char* at_;
  const char* end_;
};

/// Appends @p text as a JSON string, as nlohmann/json writes it. @pre it is UTF-8
void append_json_string(std::string& out, std::string_view text);

/// Replaces each escape of half a surrogate pair in a JSON text by that of U+FFFD: a browser that
/// cuts an emoji in two sends such an escape, RFC 8259 (section 8.2) allows it, and parsers that
/// make UTF-8 of it refuse the whole text.
/// @returns whether there was one
bool mend_surrogates(std::string& json) noexcept;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/json.ipp"
#endif
