// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/core/string_type.hpp>
#include <boost/beast/http/fields.hpp>
#include <optional>
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

}  // namespace roost::detail
