// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <vector>

#include "roost/access/detail/origin.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"

namespace roost {

/// Decides which pages may open a WebSocket, from the Origin header of the upgrade request (RFC
/// 6455, section 10.2). Browsers do not apply CORS to WebSockets: without a policy any page on the
/// internet can connect with the cookies of its visitor.
///
/// A client that is not a browser can send any Origin: the policy keeps out pages, not people.
class OriginPolicy {
 public:
  /// Makes a policy that is not set: every request passes `check_origin`, and `listen` applies
  /// `same_host()`.
  OriginPolicy() noexcept = default;

  /// Allows the pages of these origins. An entry is `https://app.example.com`, with a port unless
  /// it is the default of the scheme, or `https://*.example.com` for all subdomains at any depth,
  /// but not `example.com` itself. Names in other scripts are given in punycode. A request without
  /// an Origin is refused, see `allow_missing()`.
  /// @par Errors  `errc::invalid_option`, naming the entry and what is wrong with it.
  OriginPolicy(std::initializer_list<std::string_view> origins);
  /// Allows the pages of these origins, for a list that is read from a configuration file, for
  /// example. The entries are those of the other constructor; an empty list allows no page.
  /// @par Errors  `errc::invalid_option`, naming the entry and what is wrong with it.
  explicit OriginPolicy(const std::vector<std::string>& origins);

  /// Allows pages of the host and port that the Host header names, and clients that send no Origin,
  /// which are not browsers. The scheme may be http or https, because a proxy may terminate TLS.
  ///
  /// Behind a proxy that does not forward the Host header, list the origins instead: `Forwarded`
  /// and `X-Forwarded-Host` are ignored. List them also if clients are trusted because of the
  /// network that they are in: a page can make its own host name point to a server there (DNS
  /// rebinding).
  [[nodiscard]] static OriginPolicy same_host() { return OriginPolicy(Mode::same_host); }

  /// Allows every page, which then connects as its visitor. Use it only for servers that use
  /// neither cookies nor addresses to decide what a client may do.
  [[nodiscard]] static OriginPolicy dangerously_allow_any_origin() {
    return OriginPolicy(Mode::any);
  }

  /// Returns a copy of this policy that also allows clients that send no Origin. Apps and servers
  /// do so; pages always send one.
  [[nodiscard]] OriginPolicy allow_missing() const;

  /// Returns a copy of this policy that also allows pages without an origin (`null`, in some
  /// browsers `file://`): local files, as in some app frameworks, and sandboxed frames, which any
  /// page on the internet can create.
  [[nodiscard]] OriginPolicy dangerously_allow_null_origin() const;

  /// Returns whether the policy is set, that is, not default-constructed.
  [[nodiscard]] bool is_set() const noexcept { return mode_ != Mode::unset; }

  /// @param origin  the Origin header, or nothing if there is none
  /// @param host    the Host header; only `same_host()` uses it
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

/// Returns whether @p policy allows a request with these headers.
/// @param log  called for a refusal with severity, event and fields
template <class Log>
bool check_origin(const OriginPolicy& policy, std::optional<std::string_view> origin,
                  std::optional<std::string_view> host, const Log& log) {
  if (policy.allows(origin, host)) return true;
  // The host is logged because a proxy that rewrites it makes `same_host()` refuse everybody.
  log(Severity::warning, "origin_denied",
      {{"origin", origin.value_or("(none)")}, {"host", host.value_or("(none)")}});
  return false;
}

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/access/origin_policy.ipp"
#endif
