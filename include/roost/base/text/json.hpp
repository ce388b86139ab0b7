// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// The deepest nesting accepted from a peer: recursion over deeper values could overflow the stack.
inline constexpr std::size_t max_json_depth = 64;

/// Returns how deep the arrays and objects of the JSON @p text are nested. It looks only at
/// brackets and strings, so it can run before a parser sees the text.
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

/// Decodes a JSON string. An unpaired surrogate, which has no UTF-8 form, becomes U+FFFD.
/// @pre `JsonScanner` accepted @p quoted: it has its quotes, and its escapes are complete
[[nodiscard]] std::string json_string_value(std::string_view quoted);

/// Scans JSON text without building values.
///
/// It accepts JSON (RFC 8259), optionally after a byte order mark and before a zero byte, as
/// parsers do. A parser may still refuse some of it: an escape of an unpaired surrogate has no
/// UTF-8 form, and a number may be too large for a `double`.
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
  /// Consumes @p symbol if it comes next. @returns whether it did
  [[nodiscard]] bool take(char symbol) noexcept {
    skip_space();
    if (at_ == end_ || *at_ != symbol) return false;
    ++at_;
    return true;
  }
  /// Consumes a value nested at most @p depth levels deep. @returns its text, or nothing if no such
  /// value comes next
  [[nodiscard]] std::string_view value(std::size_t depth = max_json_depth) noexcept {
    skip_space();
    const char* const begin = at_;
    return skip_value(depth) ? since(begin) : std::string_view();
  }
  /// Consumes a string. @returns its text with the quotes, or nothing if no string comes next
  [[nodiscard]] std::string_view string() noexcept {
    skip_space();
    const char* const begin = at_;
    return skip_string() ? since(begin) : std::string_view();
  }

  /// Consumes an object whose values are nested at most @p depth levels deep. For each member it
  /// calls `visit(name, value)` until `visit` returns false. The name is decoded; the value is its
  /// text.
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
  // Returns false if no digit follows.
  bool skip_digits() noexcept;
  bool skip_string() noexcept;
  // Skips to the next quote, backslash or control character, or to the end.
  void skip_plain() noexcept;
  bool skip_escape() noexcept;
  // Consumes four hexadecimal digits. Returns more than 0xFFFF if they are not there.
  unsigned take_unit() noexcept;

  const char* at_;
  const char* end_;
};

/// Appends @p text as a JSON string, in the form that nlohmann/json writes. @pre @p text is UTF-8
void append_json_string(std::string& out, std::string_view text);

/// Replaces each escape of an unpaired surrogate in a JSON text with the escape of U+FFFD. A
/// browser that cuts an emoji in two sends such an escape. RFC 8259 (section 8.2) allows it, but
/// parsers that produce UTF-8 refuse the whole text.
/// @returns whether anything was replaced
bool mend_surrogates(std::string& json) noexcept;

/// Serialises @p value.
/// @par Errors  `errc::invalid_json`: it is nested deeper than @p max_depth, or holds text that is
/// not UTF-8.
ROOST_WHEN_USED std::string dump_json(const nlohmann::json& value,
                                      std::size_t max_depth = max_json_depth);

/// Parses a JSON text. Unpaired surrogates become U+FFFD. @returns a discarded value if the text is
/// not JSON
/// @pre @p text is not nested deeper than `max_json_depth`
ROOST_WHEN_USED nlohmann::json parse_json(std::string_view text);

/// Parses a JSON text from a peer. Unpaired surrogates become U+FFFD.
/// @par Errors  `errc::invalid_json`: it is not JSON, or nested deeper than `max_json_depth`.
ROOST_WHEN_USED nlohmann::json decode_json(std::string_view text);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/text/json.ipp"
#endif
