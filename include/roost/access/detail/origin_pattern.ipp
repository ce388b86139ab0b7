// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "roost/access/detail/origin_pattern.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/escape.hpp"

namespace roost::detail {

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
  if (text == "*") return "for any page there is dangerously_allow_any_origin()";
  if (text == "null" || text.starts_with("file:")) {
    return "for files and sandboxed frames there is dangerously_allow_null_origin()";
  }
  if (text.starts_with("ws:") || text.starts_with("wss:")) {
    return "it is that of a page, which begins with http:// or https://";
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
