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

/// The bytes of an IPv4 address, or nothing.
std::optional<std::array<std::uint8_t, 4>> parse_ipv4(std::string_view text) noexcept;

/// Where a page comes from: an origin (RFC 6454, section 4), in views of its text.
struct PageOrigin {
  std::string_view scheme;
  std::string_view host;   ///< A name, or an address: of IPv6 with its brackets.
  std::uint16_t port = 0;  ///< 0: the default of a scheme that is not of the web.
};

/// Reads `host` or `host:port` into @p out.
/// @returns what is wrong with it, or null.
const char* parse_host_and_port(std::string_view text, std::uint16_t default_port,
                                PageOrigin& out) noexcept;

constexpr std::uint16_t default_port(std::string_view scheme) noexcept {
  if (equal_ignoring_case(scheme, "https")) return 443;
  if (equal_ignoring_case(scheme, "http")) return 80;
  return 0;
}

/// Reads `scheme://host` or `scheme://host:port` into @p out.
/// @returns what is wrong with it, or null.
const char* parse_origin(std::string_view text, PageOrigin& out) noexcept;

/// Whether two hosts are one, as browsers see it: names in any case, addresses in any notation. A
/// name with a dot at its end is another.
bool is_same_host(std::string_view a, std::string_view b) noexcept;

/// Which pages an entry of `allowed_origins` stands for: those of one origin, or with
/// `https://*.example.com` those of all subdomains of a domain.
class OriginPattern {
 public:
  /// @par Errors  `errc::invalid_option`, naming the pattern and what is wrong with it.
  explicit OriginPattern(std::string_view text);

  [[nodiscard]] bool matches(const PageOrigin& origin) const noexcept;

 private:
  /// What people write who mean something else.
  static const char* fault_of(std::string_view text) noexcept;

  /// Anybody can have a subdomain of `com`.
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
