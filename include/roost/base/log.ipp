// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "roost/base/log.hpp"
#include "roost/base/text/text.hpp"

namespace roost {

ROOST_DECL LogField::LogField(std::string_view field_key, std::string_view raw)
    : key(field_key), value(detail::escape_for_log(raw)) {}

ROOST_DECL std::string LogEvent::to_string() const {
  std::string line(event);
  for (const LogField& field : fields) {
    line.append(" ").append(field.key).append("=\"").append(field.value).append("\"");
  }
  return line;
}

namespace detail {

ROOST_DECL void log(const Logger& logger, Severity severity, std::string_view event,
                    std::initializer_list<LogField> fields) noexcept {
  if (!logger) return;
  try {
    logger({severity, event, {fields.begin(), fields.size()}});
  } catch (...) {  // a failing logger must not end a connection, and cannot be reported
  }
}

}  // namespace detail

namespace detail {

ROOST_DECL std::optional<std::uint64_t> LogThrottle::admit(std::string_view event, time_point now) {
  Kind& kind = of(event);
  if (kind.logged && now < *kind.logged + std::chrono::seconds(1)) {
    ++kind.kept_back;
    return std::nullopt;
  }
  kind.logged = now;
  return std::exchange(kind.kept_back, 0);
}

ROOST_DECL LogThrottle::Kind& LogThrottle::of(std::string_view event) {
  for (Kind& kind : kinds_) {
    if (kind.event == event) return kind;
  }
  return kinds_.emplace_back(Kind{.event = event});
}

ROOST_DECL void log_throttled(const Logger& logger, LogThrottle& throttle,
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

}  // namespace detail

}  // namespace roost
