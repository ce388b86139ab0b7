// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "roost/access/detail/origin.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"

namespace roost {

/// Which pages may open a WebSocket: the Origin header of the upgrade request is what tells them
/// apart (RFC 6455, section 10.2). Browsers do not apply CORS to WebSockets, so without a policy
/// any page on the internet can connect with the cookies of its visitor.
///
/// A client that is no browser can send any Origin: this keeps out pages, not people.
class OriginPolicy {
 public:
  /// Not set: every request passes `check_origin`. `listen` then applies `same_host()`.
  OriginPolicy() noexcept = default;

  /// Pages of these origins: `https://app.example.com`, with a port unless it is the scheme's
  /// default, or `https://*.example.com` for all its subdomains, at any depth, but not for
  /// `example.com` itself. Names of other scripts are given in punycode. A request without an
  /// Origin is refused, see `allow_missing()`.
  /// @par Errors  `errc::invalid_option`, naming the entry and what is wrong with it.
  OriginPolicy(std::initializer_list<std::string_view> origins);
  /// The same for a list that was read from a file, say. An empty one allows no page at all.
  explicit OriginPolicy(const std::vector<std::string>& origins);

  /// The page must come from the host and port that the Host header names, or send no Origin (no
  /// browser). The scheme may be http or https, for TLS may have ended before this server.
  ///
  /// Behind a proxy that does not pass Host on, list the origins instead: `Forwarded` and
  /// `X-Forwarded-Host` are not looked at. List them also where clients are trusted for the network
  /// that they are in: a page can make its own name point to a server there (DNS rebinding).
  [[nodiscard]] static OriginPolicy same_host() { return OriginPolicy(Mode::same_host); }

  /// Any page may connect as its visitor. Only for servers that use no cookies and no addresses
  /// to decide what a client may do.
  [[nodiscard]] static OriginPolicy dangerously_allow_any_origin() {
    return OriginPolicy(Mode::any);
  }

  /// The same, and clients that send no Origin: apps and servers, never pages.
  [[nodiscard]] OriginPolicy allow_missing() const;

  /// The same, and pages without an origin of their own (`null`, of some browsers `file://`):
  /// files, as in some app frameworks, and sandboxed frames, which any page on the internet can
  /// make.
  [[nodiscard]] OriginPolicy dangerously_allow_null_origin() const;

  /// Whether it is anything but the default.
  [[nodiscard]] bool is_set() const noexcept { return mode_ != Mode::unset; }

  /// @param origin  the Origin header, or nothing where there is none
  /// @param host    the Host header; only `same_host()` looks at it
  [[nodiscard]] bool allows(std::optional<std::string_view> origin,
                            std::optional<std::string_view> host = {}) const noexcept;

 private:
  enum class Mode { unset, listed, same_host, any };
  explicit OriginPolicy(Mode mode);

  static bool is_from(const detail::PageOrigin& page, std::string_view host) noexcept;

  Mode mode_ = Mode::unset;
  bool allows_missing_ = false;
  bool allows_null_ = false;
  std::vector<detail::OriginPattern> patterns_;
};

}  // namespace roost

namespace roost::detail {

/// Whether @p policy allows a request with these headers.
/// @param log  is told of a refusal: severity, event and fields
template <class Log>
bool check_origin(const OriginPolicy& policy, std::optional<std::string_view> origin,
                  std::optional<std::string_view> host, const Log& log) {
  if (policy.allows(origin, host)) return true;
  // With the host: a proxy that rewrites it refuses everybody, and this tells why.
  log(Severity::warning, "origin_denied",
      {{"origin", origin.value_or("(none)")}, {"host", host.value_or("(none)")}});
  return false;
}

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/access/origin_policy.ipp"
#endif
