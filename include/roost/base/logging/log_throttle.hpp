// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"

namespace roost::detail {

/// Keeps what peers can cause as often as they like from flooding a log: of each kind the first
/// event at once, then at most one a second, which tells how many were kept back.
class LogThrottle {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// @param event  a name that lives for ever
  /// @returns how many were kept back since the last that was logged; nothing: keep it back.
  [[nodiscard]] std::optional<std::uint64_t> admit(std::string_view event, time_point now);

 private:
  struct Kind {
    std::string_view event;
    std::optional<time_point> logged = {};
    std::uint64_t kept_back = 0;
  };

  Kind& of(std::string_view event);

  std::vector<Kind> kinds_;  // a handful
};

/// Logs it unless it is kept back.
void log_throttled(const Logger& logger, LogThrottle& throttle, LogThrottle::time_point now,
                   Severity severity, std::string_view event,
                   std::initializer_list<LogField> fields) noexcept;

inline std::optional<std::uint64_t> LogThrottle::admit(std::string_view event, time_point now) {
  Kind& kind = of(event);
  if (kind.logged && now < *kind.logged + std::chrono::seconds(1)) {
    ++kind.kept_back;
    return std::nullopt;
  }
  kind.logged = now;
  return std::exchange(kind.kept_back, 0);
}

inline LogThrottle::Kind& LogThrottle::of(std::string_view event) {
  for (Kind& kind : kinds_) {
    if (kind.event == event) return kind;
  }
  return kinds_.emplace_back(Kind{.event = event});
}

inline void log_throttled(const Logger& logger, LogThrottle& throttle, LogThrottle::time_point now,
                          Severity severity, std::string_view event,
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
