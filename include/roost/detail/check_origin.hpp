// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string_view>

#include "roost/log.hpp"
#include "roost/origin_policy.hpp"

namespace roost::detail {

/// Whether @p policy allows a request with these headers; a refusal is logged.
inline bool check_origin(const OriginPolicy& policy, const Logger& logger,
                         std::optional<std::string_view> origin,
                         std::optional<std::string_view> host) {
  if (policy.allows(origin, host)) return true;
  // With the host: a proxy that rewrites it refuses everybody, and this tells why.
  log(logger, Severity::warning, "origin_denied",
      {{"origin", origin.value_or("(none)")}, {"host", host.value_or("(none)")}});
  return false;
}

}  // namespace roost::detail
