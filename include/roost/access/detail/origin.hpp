// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"

namespace roost::detail {

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) noexcept { return lower(c) >= 'a' && lower(c) <= 'z'; }

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

/// Returns the bytes of an IPv4 address, or nothing if @p text is not one.
std::optional<std::array<std::uint8_t, 4>> parse_ipv4(std::string_view text) noexcept;

/// The origin of a page (RFC 6454, section 4), as views of its text.
struct PageOrigin {
  std::string_view scheme;
  std::string_view host;   ///< A name or an address; IPv6 has its brackets.
  std::uint16_t port = 0;  ///< 0: the default port of a scheme other than http and https.
};

/// Parses `host` or `host:port` into @p out.
/// @returns what is wrong with it, or null.
const char* parse_host_and_port(std::string_view text, std::uint16_t default_port,
                                PageOrigin& out) noexcept;

constexpr std::uint16_t default_port(std::string_view scheme) noexcept {
  if (equal_ignoring_case(scheme, "https")) return 443;
  if (equal_ignoring_case(scheme, "http")) return 80;
  return 0;
}

/// Parses `scheme://host` or `scheme://host:port` into @p out.
/// @returns what is wrong with it, or null.
const char* parse_origin(std::string_view text, PageOrigin& out) noexcept;

/// Returns whether two hosts are the same, as browsers see it: names are compared ignoring case,
/// addresses in any notation. A name with a trailing dot is another host.
bool is_same_host(std::string_view a, std::string_view b) noexcept;

/// An entry of `allowed_origins`: the pages of one origin, or those of all subdomains of a domain
/// (`https://*.example.com`).
class OriginPattern {
 public:
  /// @par Errors  `errc::invalid_option`, naming the pattern and what is wrong with it.
  explicit OriginPattern(std::string_view text);

  [[nodiscard]] bool matches(const PageOrigin& origin) const noexcept;

 private:
  /// Recognises common mistakes. Returns what is wrong, or null.
  static const char* fault_of(std::string_view text) noexcept;

  /// Refuses domains in which anybody can have a subdomain, such as `com`. Returns what is wrong,
  /// or null.
  static const char* fault_of_domain(std::string_view host) noexcept;

  std::string scheme_;
  std::string host_;
  std::uint16_t port_ = 0;
  bool is_wildcard_ = false;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/access/detail/origin.ipp"
#endif
