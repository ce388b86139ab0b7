// SPDX-License-Identifier: MIT
#pragma once

#include "roost/access/origin_policy.hpp"

namespace roost {

ROOST_DECL OriginPolicy::OriginPolicy(std::initializer_list<std::string_view> origins)
    : OriginPolicy(Mode::listed) {
  for (const std::string_view origin : origins) patterns_.emplace_back(origin);
}

ROOST_DECL OriginPolicy::OriginPolicy(const std::vector<std::string>& origins)
    : OriginPolicy(Mode::listed) {
  for (const std::string_view origin : origins) patterns_.emplace_back(origin);
}

ROOST_DECL OriginPolicy OriginPolicy::allow_missing() const {
  OriginPolicy policy = *this;
  policy.allows_missing_ = true;
  return policy;
}

ROOST_DECL OriginPolicy OriginPolicy::dangerously_allow_null_origin() const {
  OriginPolicy policy = *this;
  policy.allows_null_ = true;
  return policy;
}

ROOST_DECL bool OriginPolicy::allows(std::optional<std::string_view> origin,
                                     std::optional<std::string_view> host) const noexcept {
  if (mode_ == Mode::unset || mode_ == Mode::any) return true;
  if (!origin) return allows_missing_;
  if (*origin == "null" || *origin == "file://") return allows_null_;
  detail::PageOrigin page;
  if (detail::parse_origin(*origin, page) != nullptr) return false;
  if (mode_ == Mode::same_host) return host && is_from(page, *host);
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const auto& pattern) { return pattern.matches(page); });
}

ROOST_DECL OriginPolicy::OriginPolicy(Mode mode)
    : mode_(mode), allows_missing_(mode == Mode::same_host) {}

ROOST_DECL bool OriginPolicy::is_from(const detail::PageOrigin& page,
                                      std::string_view host) noexcept {
  const std::uint16_t default_port = detail::default_port(page.scheme);
  if (default_port == 0) return false;  // not a web page
  detail::PageOrigin asked;
  return detail::parse_host_and_port(host, default_port, asked) == nullptr &&
         asked.port == page.port && detail::is_same_host(asked.host, page.host);
}

}  // namespace roost
