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
#include <vector>

#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

/// A host and a port.
struct RedisPlace {
  std::string host = {};  ///< A name or an address, IPv6 without brackets.
  std::uint16_t port = 6379;

  [[nodiscard]] std::string text() const {
    const bool is_v6 = host.find(':') != std::string::npos;
    return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }
  [[nodiscard]] bool operator==(const RedisPlace&) const noexcept = default;
};

/// The address of a Redis, and the account to log in with.
struct RedisUrl {
  enum class Transport { tcp, tls, unix_socket };

  Transport transport = Transport::tcp;
  std::string host = {};  ///< A name or an address, IPv6 without brackets.
  std::uint16_t port = 6379;
  std::string path = {};  ///< The path of a unix socket.
  std::string user = {};
  std::string password = {};
  std::uint32_t database = 0;

  std::vector<RedisPlace> sentinels = {};  ///< Empty: the URL names the host.
  std::string primary = {};                ///< The name of the primary for the Sentinels.
  std::string sentinel_user = {};
  std::string sentinel_password = {};

  /// The address for logs and errors, without the password.
  [[nodiscard]] std::string where() const {
    if (transport == Transport::unix_socket) return path;
    if (sentinels.empty()) return RedisPlace{host, port}.text();
    std::string where = "\"" + escape_for_log(primary) + "\", by the Sentinels ";
    for (std::size_t i = 0; i < sentinels.size(); ++i) {
      where += (i == 0 ? "" : ", ") + sentinels[i].text();
    }
    return where;
  }
};

// Errors name the part of the URL that is wrong, but never quote it: any part of a malformed URL
// may contain a password.
[[noreturn]] inline void invalid_url(const std::string& why) {
  throw Error(errc::invalid_url, "the Redis URL: " + why);
}

/// Cuts the text before the first @p separator off from @p text, and returns it. Without a
/// separator in it, that is all of @p text.
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

[[nodiscard]] inline RedisPlace parse_address(std::string_view text, std::uint16_t default_port) {
  RedisPlace place{.port = default_port};
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) invalid_url("a [ of the host is not closed");
    place.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && !text.starts_with(':')) invalid_url("] of the host is followed by more");
  } else {
    place.host = decode_part(text.substr(0, text.find(':')), "host");
    text.remove_prefix(std::min(text.find(':'), text.size()));
  }
  if (place.host.empty()) invalid_url("there is no host");
  if (text.empty()) return place;
  const auto port = parse_number<std::uint16_t>(text.substr(1));
  if (!port || *port == 0) invalid_url("the port must be a number from 1 to 65535");
  place.port = *port;
  return place;
}

/// `host:port,host:port/primary[/database]`
inline void parse_sentinels(std::string_view hosts, std::string_view path, RedisUrl& url) {
  constexpr std::uint16_t sentinel_port = 26379;
  for (bool is_last = false; !is_last;) {
    is_last = hosts.find(',') == std::string_view::npos;
    url.sentinels.push_back(parse_address(cut(hosts, ','), sentinel_port));
  }
  url.primary = decode_part(cut(path, '/'), "name of the primary");
  if (url.primary.empty()) {
    invalid_url("the name of the primary is missing: redis+sentinel://host:port,host:port/name");
  }
  if (!path.empty()) url.database = parse_database(path);
}

inline void parse_query(std::string_view query, RedisUrl& url) {
  while (!query.empty()) {
    std::string_view value = cut(query, '&');
    const std::string_view name = cut(value, '=');
    if (name == "db") {
      url.database = parse_database(value);
    } else if (name == "sentinel_user" && !url.sentinels.empty()) {
      url.sentinel_user = decode_part(value, "sentinel_user");
    } else if (name == "sentinel_password" && !url.sentinels.empty()) {
      url.sentinel_password = decode_part(value, "sentinel_password");
    } else {
      invalid_url("unknown parameter \"" + escape_for_log(name) + "\"; there is db" +
                  (url.sentinels.empty() ? "" : ", sentinel_user and sentinel_password"));
    }
  }
}

/// Parses a URL of one of these forms:
///   redis://[[user]:password@]host[:port][/database]
///   rediss://...                                      over TLS
///   valkey://..., valkeys://...                       other names of these two
///   redis+sentinel://[[user]:password@]host[:port],.../primary[/database]
///       [?sentinel_user=user&sentinel_password=password]
///   rediss+sentinel://...                             the same over TLS
///   unix://[[user]:password@]/path/of/socket[?db=database]
/// User and password are percent-encoded. The scheme may be in any case.
/// @par Errors  `errc::invalid_url`, saying what is wrong but never the password.
[[nodiscard]] inline RedisUrl parse_redis_url(std::string_view text) {
  RedisUrl url;
  const std::size_t colon = text.find("://");
  std::string scheme = lower_case(text.substr(0, colon));  // RFC 3986, section 3.1
  const bool has_sentinels = scheme.ends_with("+sentinel");
  if (has_sentinels) scheme.resize(scheme.size() - std::string_view("+sentinel").size());
  if (colon == std::string_view::npos) invalid_url("it does not begin with redis://");
  if (scheme == "rediss" || scheme == "valkeys") {
    url.transport = RedisUrl::Transport::tls;
  } else if (scheme == "unix" && !has_sentinels) {
    url.transport = RedisUrl::Transport::unix_socket;
  } else if (scheme != "redis" && scheme != "valkey") {
    invalid_url(
        "it must begin with redis://, rediss:// or unix:// (or valkey://, valkeys://, or "
        "redis+sentinel://, rediss+sentinel://)");
  }
  text.remove_prefix(colon + 3);

  std::string_view query = text;
  text = cut(query, '?');
  if (text.find('#') != std::string_view::npos || query.find('#') != std::string_view::npos) {
    invalid_url("a # must be percent-encoded");
  }
  // Otherwise the error about an unknown parameter could quote the end of a password with a `?`.
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
    if (has_sentinels) {
      parse_sentinels(address, path, url);
    } else {
      RedisPlace place = parse_address(address, url.port);
      url.host = std::move(place.host);
      url.port = place.port;
      if (!path.empty()) url.database = parse_database(path);
    }
  }
  parse_query(query, url);
  return url;
}

}  // namespace roost::detail
