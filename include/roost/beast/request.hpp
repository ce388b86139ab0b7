// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>  // field.hpp of Boost 1.83 uses it and does not include it

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include "roost/beast/http/target.hpp"

namespace roost {

/// The head of any request: the one given to `on_http`, `Upgrade::request()`, or one that an
/// existing Beast server has read.
using RequestHead = boost::beast::http::request_header<>;

/// A request that does not ask for a WebSocket. The body is not read. Repeated lines of a header
/// that matters for an upgrade (`Connection`, `Host`, ...) are joined. The target is a path with
/// its query, also if the request had a URL.
using HttpRequest = boost::beast::http::request<boost::beast::http::empty_body>;
/// The response of `ListenOptions::on_http`.
using HttpResponse = boost::beast::http::response<boost::beast::http::string_body>;

/// The path of a request, percent-encoded as it came: `/page` for the target `/page?from=mail`.
///
/// Compare paths, not targets: a link with a query, for example of a campaign, leads to the same
/// page.
/// @par Lifetime  The result is a view into @p request.
[[nodiscard]] inline std::string_view path_of(const RequestHead& request) {
  return detail::path_of(detail::to_std(request.target()));
}

/// The first parameter named @p name in the query of a request, decoded; `nullopt` if there is
/// none.
[[nodiscard]] inline std::optional<std::string> query_of(const RequestHead& request,
                                                         std::string_view name) {
  return detail::query_parameter(detail::to_std(request.target()), name);
}

/// The token of the header `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
///
/// The name of the scheme may be in any case, and one or more spaces may follow it (RFC 9110,
/// sections 11.1 and 11.4).
/// @returns `nullopt` if the scheme is another one, if the token is empty or contains spaces, and
///          if the header is missing or occurs more than once.
/// @par Lifetime  The result is a view into @p request.
[[nodiscard]] inline std::optional<std::string_view> bearer_token(const RequestHead& request) {
  constexpr std::string_view scheme = "bearer";
  constexpr std::string_view spaces = " \t";
  if (request.count(boost::beast::http::field::authorization) != 1) return std::nullopt;
  std::string_view value = detail::to_std(request[boost::beast::http::field::authorization]);
  const std::size_t end = value.find_first_of(spaces);
  if (end == std::string_view::npos || !detail::equals_in_any_case(value.substr(0, end), scheme)) {
    return std::nullopt;
  }
  const std::size_t start = value.find_first_not_of(spaces, end);
  if (start == std::string_view::npos) return std::nullopt;
  value.remove_prefix(start);
  value = value.substr(0, value.find_last_not_of(spaces) + 1);
  if (value.find_first_of(spaces) != std::string_view::npos) return std::nullopt;
  return value;
}

}  // namespace roost
