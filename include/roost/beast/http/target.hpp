// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/core/string_type.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "roost/base/names.hpp"
#include "roost/base/text/text.hpp"

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

/// Percent-decoding (RFC 3986, section 2.1); nothing if an escape is malformed, or if the result is
/// no UTF-8.
inline std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = digit(text[i + 1]);
      const int low = digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  if (!is_utf8(out)) return std::nullopt;
  return out;
}

inline std::string_view path_of(std::string_view target) noexcept {
  return target.substr(0, target.find('?'));
}

inline std::optional<std::string> segment_after(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (path.empty() || path.find('/') != std::string_view::npos) return std::nullopt;
  return percent_decode(path, /*plus_is_space=*/false);
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
    const auto key = percent_decode(pair.substr(0, equals), /*plus_is_space=*/true);
    if (!key || *key != name) continue;
    if (equals == std::string_view::npos) return std::string{};
    return percent_decode(pair.substr(equals + 1), /*plus_is_space=*/true);
  }
  return std::nullopt;
}

/// The first subprotocol that the client offers and that satisfies @p predicate.
template <class Predicate>
std::optional<std::string> find_subprotocol(const boost::beast::http::fields& request,
                                            Predicate predicate) {
  const auto range = request.equal_range(boost::beast::http::field::sec_websocket_protocol);
  for (auto header = range.first; header != range.second; ++header) {
    for (const auto& offered : boost::beast::http::token_list(header->value())) {
      if (predicate(to_std(offered))) return std::string(to_std(offered));
    }
  }
  return std::nullopt;
}

/// The first of @p spoken that the client offers.
inline std::string choose_subprotocol(const boost::beast::http::fields& request, Names spoken) {
  for (const std::string_view candidate : spoken) {
    const auto is_it = [&](std::string_view offered) { return offered == candidate; };
    if (find_subprotocol(request, is_it)) return std::string(candidate);
  }
  return {};
}

inline std::optional<std::string> subprotocol_after(const boost::beast::http::fields& request,
                                                    std::string_view prefix) {
  auto found = find_subprotocol(
      request, [&](std::string_view offered) { return offered.starts_with(prefix); });
  if (found) found->erase(0, prefix.size());
  return found;
}

}  // namespace roost::detail
