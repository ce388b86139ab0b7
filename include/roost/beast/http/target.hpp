// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/fields.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "roost/base/text/text.hpp"

namespace roost::detail {

inline std::string_view to_std(boost::beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

inline bool equals_in_any_case(std::string_view a, std::string_view b) noexcept {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

/// The first value of a header; `nullopt` if there is none.
inline std::optional<std::string_view> header_value(const boost::beast::http::fields& fields,
                                                    std::string_view name) {
  const auto found = fields.find(boost::beast::string_view(name.data(), name.size()));
  if (found == fields.end()) return std::nullopt;
  return to_std(found->value());
}

/// The first value of a header. Faster than a look-up by text, which compares names in any case.
inline std::optional<std::string_view> header_value(const boost::beast::http::fields& fields,
                                                    boost::beast::http::field name) {
  for (const auto& line : fields) {
    if (line.name() == name) return to_std(line.value());
  }
  return std::nullopt;
}

/// Decodes a segment of a path; `nullopt` if an escape is malformed or the result is not UTF-8.
inline std::optional<std::string> decode_segment(std::string_view text) {
  auto decoded = percent_decode(text);
  if (decoded && !is_utf8(*decoded)) decoded.reset();
  return decoded;
}

/// Decodes a part of a query like a segment of a path, with a plus as a space.
inline std::optional<std::string> decode_parameter(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return decode_segment(spaced);
}

inline std::string_view path_of(std::string_view target) noexcept {
  return target.substr(0, target.find('?'));
}

inline std::optional<std::string> segment_after(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (path.empty() || path.find('/') != std::string_view::npos) return std::nullopt;
  return decode_segment(path);
}

inline std::optional<std::string> query_parameter(std::string_view target, std::string_view name) {
  const std::size_t start = target.find('?');
  if (start == std::string_view::npos) return std::nullopt;
  std::string_view rest = target.substr(start + 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    const std::size_t equals = pair.find('=');
    const auto key = decode_parameter(pair.substr(0, equals));
    if (!key || *key != name) continue;
    if (equals == std::string_view::npos) return std::string{};
    return decode_parameter(pair.substr(equals + 1));
  }
  return std::nullopt;
}

}  // namespace roost::detail
