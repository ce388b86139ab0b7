// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string_view>

#include "roost/access/origin_policy.hpp"
#include "roost/base/log.hpp"

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
