// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include "roost/base/logging/log_throttle.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF std::optional<std::uint64_t> LogThrottle::admit(std::string_view event,
                                                                    time_point now) {
  Kind& kind = of(event);
  if (kind.logged && now < *kind.logged + std::chrono::seconds(1)) {
    ++kind.kept_back;
    return std::nullopt;
  }
  kind.logged = now;
  return std::exchange(kind.kept_back, 0);
}

ROOST_WHEN_USED_DEF LogThrottle::Kind& LogThrottle::of(std::string_view event) {
  for (Kind& kind : kinds_) {
    if (kind.event == event) return kind;
  }
  return kinds_.emplace_back(Kind{.event = event});
}

ROOST_WHEN_USED_DEF void log_throttled(const Logger& logger, LogThrottle& throttle,
                                       LogThrottle::time_point now, Severity severity,
                                       std::string_view event,
                                       std::initializer_list<LogField> fields) noexcept {
  if (!logger) return;
  try {
    const std::optional<std::uint64_t> kept_back = throttle.admit(event, now);
    if (!kept_back) return;
    if (*kept_back == 0) return log(logger, severity, event, fields);
    std::vector<LogField> all(fields);
    all.emplace_back("kept_back", std::to_string(*kept_back));
    logger({severity, event, all});
  } catch (...) {  // see `log`
  }
}

}  // namespace roost::detail
