// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
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
  ROOST_WHEN_USED [[nodiscard]] std::optional<std::uint64_t> admit(std::string_view event,
                                                                   time_point now);

 private:
  struct Kind {
    std::string_view event;
    std::optional<time_point> logged = {};
    std::uint64_t kept_back = 0;
  };

  ROOST_WHEN_USED Kind& of(std::string_view event);

  std::vector<Kind> kinds_;  // a handful
};

/// Logs it unless it is kept back.
ROOST_WHEN_USED void log_throttled(const Logger& logger, LogThrottle& throttle,
                                   LogThrottle::time_point now, Severity severity,
                                   std::string_view event,
                                   std::initializer_list<LogField> fields) noexcept;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/logging/log_throttle.ipp"
#endif
