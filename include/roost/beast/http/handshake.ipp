// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/beast/websocket/error.hpp>
#include <utility>

#include "roost/beast/http/handshake.hpp"
#include "roost/beast/http/header_value.hpp"

namespace roost::detail {

inline constexpr std::string_view nonce_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

ROOST_DECL std::string_view trimmed(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

ROOST_DECL bool has_token(std::string_view list, std::string_view token) noexcept {
  while (true) {
    const std::size_t comma = list.find(',');
    const std::string_view element = trimmed(list.substr(0, comma));
    if (boost::beast::iequals({element.data(), element.size()}, {token.data(), token.size()})) {
      return true;
    }
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

ROOST_DECL bool any_line_has(const RequestHeader& request, boost::beast::http::field name,
                             std::string_view token) {
  const auto range = request.equal_range(name);
  return std::any_of(range.first, range.second,
                     [&](const auto& header) { return has_token(to_std(header.value()), token); });
}

ROOST_DECL bool asks_for_websocket(const RequestHeader& request) {
  using boost::beast::http::field;
  return request.version() >= 11 && request.method() == boost::beast::http::verb::get &&
         any_line_has(request, field::connection, "upgrade") &&
         any_line_has(request, field::upgrade, "websocket");
}

/// Whether it may stand in a `Host` header: host and port, not empty, nothing else.
ROOST_DECL bool is_authority(std::string_view text) noexcept {
  const auto is_wrong = [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '\x7f' ||
           std::string_view(",/?#@\\<>\"").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::none_of(text.begin(), text.end(), is_wrong);
}

ROOST_DECL Refusal bad_target() {
  return {.status = 400,
          .error = boost::beast::http::error::bad_target,
          .why = "the request target is neither a path nor a URL"};
}

/// From `ws://host/path?query` to `/path?query`; the rest goes into the `Host` header.
ROOST_DECL std::optional<Refusal> leave_absolute_form(RequestHeader& request) {
  constexpr std::array<std::string_view, 4> schemes{"ws://", "wss://", "http://", "https://"};
  const std::string target(to_std(request.target()));
  const auto* const scheme = std::find_if(schemes.begin(), schemes.end(), [&](auto candidate) {
    return boost::beast::iequals(target.substr(0, candidate.size()),
                                 {candidate.data(), candidate.size()});
  });
  if (scheme == schemes.end()) return bad_target();
  const std::string_view rest = std::string_view(target).substr(scheme->size());
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (!is_authority(authority)) return bad_target();
  std::string path(rest.substr(authority.size()));
  if (!path.starts_with('/')) path.insert(0, 1, '/');
  request.set(boost::beast::http::field::host,
              boost::beast::string_view(authority.data(), authority.size()));
  request.target(path);
  return std::nullopt;
}

ROOST_DECL std::optional<Refusal> normalise(RequestHeader& request) {
  namespace http = boost::beast::http;
  join_upgrade_headers(request);
  const auto host = header_value(request, "Host");
  if (request.version() >= 11 && !host) {
    return Refusal{.status = 400,
                   .error = boost::beast::websocket::error::no_host,
                   .why = "there must be a Host header"};
  }
  if (host && !host->empty() && !is_authority(*host)) {
    return Refusal{.status = 400,
                   .error = http::error::bad_value,
                   .why = "there must be one Host header, with a host and no more"};
  }
  const std::string_view target = to_std(request.target());
  if (target.find('#') != std::string_view::npos) return bad_target();
  if (target.starts_with('/') || target == "*" || request.method() == http::verb::connect) {
    return std::nullopt;
  }
  return leave_absolute_form(request);
}

/// 16 bytes in base64. The bits that encode nothing may be anything: there are clients that make up
/// the text, not the bytes.
ROOST_DECL bool is_nonce(std::string_view key) noexcept {
  constexpr std::size_t digits = 22;
  if (key.size() != digits + 2 || !key.ends_with("==")) return false;
  key.remove_suffix(2);
  return key.find_first_not_of(nonce_alphabet) == std::string_view::npos;
}

ROOST_DECL std::optional<Refusal> check_handshake(const RequestHeader& request) {
  using boost::beast::websocket::error;
  const auto version = header_value(request, "Sec-WebSocket-Version");
  if (!version) {
    return Refusal{.status = 400,
                   .error = error::no_sec_version,
                   .why = "there must be a Sec-WebSocket-Version header"};
  }
  if (version->find(',') != std::string_view::npos) {
    return Refusal{.status = 400,
                   .error = error::bad_sec_version,
                   .why = "there must be one Sec-WebSocket-Version"};
  }
  if (*version != "13") {
    return Refusal{
        .status = 426, .error = error::bad_sec_version, .why = "Sec-WebSocket-Version must be 13"};
  }
  const auto key = header_value(request, "Sec-WebSocket-Key");
  if (!key) {
    return Refusal{.status = 400,
                   .error = error::no_sec_key,
                   .why = "there must be a Sec-WebSocket-Key header"};
  }
  if (!is_nonce(*key)) {
    return Refusal{.status = 400,
                   .error = error::bad_sec_key,
                   .why = "Sec-WebSocket-Key must be 16 bytes in base64"};
  }
  return std::nullopt;
}

}  // namespace roost::detail
