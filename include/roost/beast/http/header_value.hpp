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

/// Makes one line of all header lines of a name. For a list that is what they mean (RFC 9110,
/// section 5.3). For a header that may be there once only, such as `Host`, the result is no valid
/// value, so that no line is preferred to another.
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

/// Joins the lines of each header that decides about an upgrade. Subprotocols stay as they came:
/// whoever asks for them looks at all lines.
inline void join_upgrade_headers(boost::beast::http::fields& fields) {
  using boost::beast::http::field;
  for (const field name :
       {field::origin, field::host, field::connection, field::upgrade, field::sec_websocket_key,
        field::sec_websocket_version, field::sec_websocket_extensions}) {
    join_repeated(fields, name);
  }
}

}  // namespace roost::detail
