// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roost {

/// Which pages may open a WebSocket: the Origin header of the upgrade request is what tells them
/// apart (RFC 6455, section 10.2). Browsers do not apply CORS to WebSockets, so without a policy
/// any page on the internet can connect with the cookies of its visitor.
class OriginPolicy {
 public:
  /// Not set: every request passes `check`. `listen` then applies `same_host()`.
  OriginPolicy() noexcept = default;

  /// Exactly these origins, such as `https://app.example.com`. A missing Origin is refused.
  OriginPolicy(std::initializer_list<std::string_view> origins)
      : mode_(Mode::listed), origins_(origins.begin(), origins.end()) {}
  explicit OriginPolicy(std::vector<std::string> origins)
      : mode_(Mode::listed), origins_(std::move(origins)) {}

  /// The page must come from the host that the request names, or send no Origin (no browser).
  [[nodiscard]] static OriginPolicy same_host() { return OriginPolicy(Mode::same_host); }

  /// Any page may connect as its visitor. Only for servers that use no cookies and no addresses
  /// to decide what a client may do.
  [[nodiscard]] static OriginPolicy dangerously_allow_any_origin() {
    return OriginPolicy(Mode::any);
  }

  [[nodiscard]] bool is_set() const noexcept { return mode_ != Mode::unset; }

  /// @param origin  the Origin header, or nothing where there is none
  /// @param host    the Host header; only `same_host()` looks at it
  [[nodiscard]] bool allows(std::optional<std::string_view> origin,
                            std::optional<std::string_view> host = {}) const noexcept {
    switch (mode_) {
      case Mode::unset:
      case Mode::any: return true;
      case Mode::listed:
        return origin && std::find(origins_.begin(), origins_.end(), *origin) != origins_.end();
      case Mode::same_host: return !origin || (host && is_same_host(*origin, *host));
    }
    return false;
  }

 private:
  enum class Mode { unset, listed, same_host, any };
  explicit OriginPolicy(Mode mode) : mode_(mode) {}

  static constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }

  // Browsers leave out the default port of the scheme in both headers alike.
  static bool is_same_host(std::string_view origin, std::string_view host) noexcept {
    const std::size_t scheme_end = origin.find("://");
    if (scheme_end == std::string_view::npos || host.empty()) return false;
    const std::string_view authority = origin.substr(scheme_end + 3);
    return std::equal(authority.begin(), authority.end(), host.begin(), host.end(),
                      [](char a, char b) { return lower(a) == lower(b); });
  }

  Mode mode_ = Mode::unset;
  std::vector<std::string> origins_;
};

}  // namespace roost
