// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

/// Where a Redis is, and as whom to log in.
struct RedisUrl {
  enum class Transport { tcp, tls, unix_socket };

  Transport transport = Transport::tcp;
  std::string host = {};  ///< A name or an address, IPv6 without brackets.
  std::uint16_t port = 6379;
  std::string path = {};  ///< Of a unix socket.
  std::string user = {};
  std::string password = {};
  std::uint32_t database = 0;

  /// For messages: never the password.
  [[nodiscard]] std::string where() const {
    if (transport == Transport::unix_socket) return path;
    const bool is_v6 = host.find(':') != std::string::npos;
    return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }
};

// What is wrong is named by its place: the text of a URL may hold a password anywhere.
[[noreturn]] inline void invalid_url(const std::string& why) {
  throw Error(errc::invalid_url, "the Redis URL: " + why);
}

/// The text before the first @p separator, cut off from @p text; all of it if there is none.
inline std::string_view cut(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  const std::string_view before = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return before;
}

inline std::string decode_part(std::string_view text, const char* what) {
  auto decoded = percent_decode(text);
  if (!decoded) {
    invalid_url(std::string("a % of the ") + what + " is not followed by two hex digits");
  }
  return std::move(*decoded);
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

inline std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

inline std::uint32_t parse_database(std::string_view text) {
  const auto database = parse_number<std::uint32_t>(text);
  if (!database) invalid_url("the database must be a number");
  return *database;
}

inline void parse_credentials(std::string_view text, RedisUrl& url) {
  const bool has_password = text.find(':') != std::string_view::npos;
  url.user = decode_part(cut(text, ':'), "user");
  url.password = decode_part(text, "password");
  if (!has_password || url.password.empty()) {
    invalid_url(
        "user or @ without a password (redis://user:password@host, redis://:password@host)");
  }
}

inline void parse_address(std::string_view text, RedisUrl& url) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) invalid_url("a [ of the host is not closed");
    url.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && !text.starts_with(':')) invalid_url("] of the host is followed by more");
  } else {
    url.host = decode_part(text.substr(0, text.find(':')), "host");
    text.remove_prefix(std::min(text.find(':'), text.size()));
  }
  if (url.host.empty()) invalid_url("there is no host");
  if (text.empty()) return;
  const auto port = parse_number<std::uint16_t>(text.substr(1));
  if (!port || *port == 0) invalid_url("the port must be a number from 1 to 65535");
  url.port = *port;
}

inline void parse_query(std::string_view query, RedisUrl& url) {
  while (!query.empty()) {
    std::string_view value = cut(query, '&');
    const std::string_view name = cut(value, '=');
    if (name != "db") {
      invalid_url("unknown parameter \"" + escape_for_log(name) + "\"; there is db");
    }
    url.database = parse_database(value);
  }
}

/// Understands
///   redis://[[user]:password@]host[:port][/database]
///   rediss://...                                      the same over TLS
///   valkey://..., valkeys://...                       other names of these two
///   unix://[[user]:password@]/path/of/socket[?db=database]
/// where user and password are percent-encoded, and the scheme may be written in any case.
/// @par Errors  `errc::invalid_url`, saying what is wrong but never the password.
[[nodiscard]] inline RedisUrl parse_redis_url(std::string_view text) {
  RedisUrl url;
  const std::size_t colon = text.find("://");
  const std::string scheme = lower_case(text.substr(0, colon));  // RFC 3986, section 3.1
  if (colon == std::string_view::npos) invalid_url("it does not begin with redis://");
  if (scheme == "rediss" || scheme == "valkeys") {
    url.transport = RedisUrl::Transport::tls;
  } else if (scheme == "unix") {
    url.transport = RedisUrl::Transport::unix_socket;
  } else if (scheme != "redis" && scheme != "valkey") {
    invalid_url("it must begin with redis://, rediss:// or unix:// (or valkey://, valkeys://)");
  }
  text.remove_prefix(colon + 3);

  std::string_view query = text;
  text = cut(query, '?');
  if (text.find('#') != std::string_view::npos || query.find('#') != std::string_view::npos) {
    invalid_url("a # must be percent-encoded");
  }
  // Else what follows the ? of a password would be named as a parameter.
  if (query.find('@') != std::string_view::npos) invalid_url("a ? must be percent-encoded");
  std::string_view path = text;
  const std::string_view authority = cut(path, '/');
  const std::size_t at = authority.rfind('@');
  if (at != std::string_view::npos) parse_credentials(authority.substr(0, at), url);
  const std::string_view address =
      at == std::string_view::npos ? authority : authority.substr(at + 1);

  if (url.transport == RedisUrl::Transport::unix_socket) {
    if (!address.empty()) invalid_url("the path of a unix socket must be absolute: unix:///path");
    if (path.empty()) invalid_url("there is no path of a unix socket");
    url.path = "/" + decode_part(path, "path");
  } else {
    if (path.find('@') != std::string_view::npos) invalid_url("a / must be percent-encoded");
    parse_address(address, url);
    if (!path.empty()) url.database = parse_database(path);
  }
  parse_query(query, url);
  return url;
}

}  // namespace roost::detail
