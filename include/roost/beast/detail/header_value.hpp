// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/core/string_type.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/fields.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace roost::detail {

inline std::string_view to_std(boost::beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

/// The first value of a header, if there is one.
inline std::optional<std::string_view> header_value(const boost::beast::http::fields& fields,
                                                    std::string_view name) {
  const auto found = fields.find(boost::beast::string_view(name.data(), name.size()));
  if (found == fields.end()) return std::nullopt;
  return to_std(found->value());
}

/// Makes one of all headers of a name (RFC 9110, section 5.2): who asks for one of these, which may
/// be there once only, then gets what is no valid value of it, and not one that was chosen for him.
inline void join_repeated(boost::beast::http::fields& fields, boost::beast::http::field name) {
  if (fields.count(name) < 2) return;
  std::string all;
  const auto range = fields.equal_range(name);
  for (auto header = range.first; header != range.second; ++header) {
    if (header != range.first) all += ", ";
    all += to_std(header->value());
  }
  fields.set(name, all);
}

/// What decides whether a page may connect.
inline void join_repeated_origins(boost::beast::http::fields& fields) {
  join_repeated(fields, boost::beast::http::field::origin);
  join_repeated(fields, boost::beast::http::field::host);
}

}  // namespace roost::detail
