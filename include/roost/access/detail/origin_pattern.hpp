// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "roost/access/detail/page_origin.hpp"
#include "roost/base/build/config.hpp"

namespace roost::detail {

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
#include "roost/access/detail/origin_pattern.ipp"
#endif
