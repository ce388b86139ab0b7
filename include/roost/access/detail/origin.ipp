// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <boost/system/error_code.hpp>
#include <charconv>
#include <system_error>

#include "roost/access/detail/origin.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

/// Parses an address without brackets. @p make is a function of Asio, which needs a null-terminated
/// string.
template <class Make>
auto parse_address(std::string_view text, Make make) noexcept {
  std::array<char, 46> copy{};  // the longest address and its terminator
  boost::system::error_code error;
  const bool is_plain =
      text.size() < copy.size() && text.find_first_not_of("0123456789abcdefABCDEF:.") == text.npos;
  if (is_plain) text.copy(copy.data(), text.size());
  const auto address = make(copy.data(), error);
  return is_plain && !error ? std::optional(address.to_bytes()) : std::nullopt;
}

ROOST_DECL std::optional<std::array<std::uint8_t, 4>> parse_ipv4(std::string_view text) noexcept {
  return parse_address(text, [](const char* copy, auto& error) {
    return boost::asio::ip::make_address_v4(copy, error);
  });
}

/// Returns the bytes of an IPv6 address without brackets, or nothing if @p text is not one.
ROOST_DECL std::optional<std::array<std::uint8_t, 16>> parse_ipv6(std::string_view text) noexcept {
  return parse_address(text, [](const char* copy, auto& error) {
    return boost::asio::ip::make_address_v6(copy, error);
  });
}

/// @returns what is wrong with the name or IPv4 address of a host, or null.
ROOST_DECL const char* fault_of_host(std::string_view host) noexcept {
  if (host.empty()) return "there is no host";
  std::string_view last;
  for (std::string_view rest = host; !rest.empty();) {
    const std::size_t length = std::min(rest.find('.'), rest.size());
    last = rest.substr(0, length);
    if (last.empty()) return "a label of the host is empty";
    for (const char c : last) {
      if (static_cast<unsigned char>(c) >= 0x80) return "the host must be in punycode (xn--...)";
      if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_') {
        return "the host has a character that hosts cannot have";
      }
    }
    rest.remove_prefix(std::min(length + 1, rest.size()));
  }
  // Browsers read a host that ends in a number as an IPv4 address, and write it in one form only.
  if (std::all_of(last.begin(), last.end(), is_digit) && !parse_ipv4(host))
    return "the host is not an IPv4 address in the form that browsers write";
  return nullptr;
}

ROOST_DECL const char* parse_host_and_port(std::string_view text, std::uint16_t default_port,
                                           PageOrigin& out) noexcept {
  std::size_t length = std::min(text.find(':'), text.size());
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == text.npos || !parse_ipv6(text.substr(1, close - 1))) {
      return "the host is not an IPv6 address";
    }
    length = close + 1;
  } else if (const char* fault = fault_of_host(text.substr(0, length))) {
    return fault;
  }
  out.host = text.substr(0, length);
  out.port = default_port;
  text.remove_prefix(length);
  if (text.empty()) return nullptr;
  const char* const end = text.data() + text.size();
  const auto [parsed_to, error] = std::from_chars(text.data() + 1, end, out.port);
  const bool is_port = text.front() == ':' && error == std::errc{} && parsed_to == end;
  return is_port && out.port > 0 ? nullptr : "the port is not a number from 1 to 65535";
}

ROOST_DECL const char* parse_origin(std::string_view text, PageOrigin& out) noexcept {
  const std::size_t colon = text.find("://");
  if (colon == text.npos) return "it must begin with a scheme, as in https://app.example.com";
  out.scheme = text.substr(0, colon);
  const bool is_scheme = !out.scheme.empty() && is_letter(out.scheme.front()) &&
                         std::all_of(out.scheme.begin(), out.scheme.end(), [](char c) {
                           return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
                         });
  if (!is_scheme) return "its scheme is not valid";
  return parse_host_and_port(text.substr(colon + 3), default_port(out.scheme), out);
}

ROOST_DECL bool is_same_host(std::string_view a, std::string_view b) noexcept {
  if (a.starts_with('[') && b.starts_with('[')) {
    return parse_ipv6(a.substr(1, a.size() - 2)) == parse_ipv6(b.substr(1, b.size() - 2));
  }
  return equal_ignoring_case(a, b);
}

ROOST_DECL OriginPattern::OriginPattern(std::string_view text) {
  std::string exact(text);
  const std::size_t star = exact.find("://*.");
  if (star != exact.npos) {
    is_wildcard_ = true;
    exact.erase(star + 3, 2);
  }
  PageOrigin origin;
  const char* fault = fault_of(exact);
  if (!fault) fault = parse_origin(exact, origin);
  if (!fault && is_wildcard_) fault = fault_of_domain(origin.host);
  if (fault) {
    throw Error(errc::invalid_option, "allowed origin \"" + escape_for_log(text) + "\": " + fault);
  }
  scheme_ = origin.scheme;
  host_ = origin.host;
  port_ = origin.port;
}

ROOST_DECL bool OriginPattern::matches(const PageOrigin& origin) const noexcept {
  if (origin.port != port_ || !equal_ignoring_case(origin.scheme, scheme_)) return false;
  if (!is_wildcard_) return is_same_host(origin.host, host_);
  const std::string_view host = origin.host;
  return host.size() > host_.size() && host[host.size() - host_.size() - 1] == '.' &&
         equal_ignoring_case(host.substr(host.size() - host_.size()), host_);
}

ROOST_DECL const char* OriginPattern::fault_of(std::string_view text) noexcept {
  if (text == "*") return "to allow any page use dangerously_allow_any_origin()";
  if (text == "null" || text.starts_with("file:")) {
    return "to allow files and sandboxed frames use dangerously_allow_null_origin()";
  }
  if (text.starts_with("ws:") || text.starts_with("wss:")) {
    return "an origin is that of a page and begins with http:// or https://";
  }
  if (text.find('*') != text.npos) {
    return "a * stands for subdomains only, as in https://*.example.com";
  }
  if (text.find('@') != text.npos) return "an origin has no user";
  const std::size_t authority = text.find("://");
  if (authority != text.npos && text.find_first_of("/?#\\", authority + 3) != text.npos) {
    return "an origin has no path and no / at its end";
  }
  return nullptr;
}

ROOST_DECL const char* OriginPattern::fault_of_domain(std::string_view host) noexcept {
  const bool is_name = !host.starts_with('[') && !parse_ipv4(host);
  if (!is_name) return "an address has no subdomains";
  const std::size_t dot = host.find('.');
  const bool is_top_level = dot == host.npos || dot + 1 == host.size();
  if (is_top_level && !equal_ignoring_case(host, "localhost")) {
    return "a * cannot stand for a whole top-level domain";
  }
  return nullptr;
}

}  // namespace roost::detail
