// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "roost/base/build/config.hpp"

namespace roost {

/// How severe an event is.
enum class Severity { debug, info, warning, error };

/// Returns the name of a severity.
[[nodiscard]] constexpr std::string_view to_string(Severity severity) noexcept {
  switch (severity) {
    case Severity::debug: return "debug";
    case Severity::info: return "info";
    case Severity::warning: return "warning";
    case Severity::error: return "error";
  }
  return "unknown";
}

/// One field of a log event. Values are escaped when the event is made, so text from a peer cannot
/// forge a log line.
struct LogField {
  std::string_view key;  ///< A fixed name such as `id`.
  std::string value;     ///< The escaped value.

  /// Makes a field whose value is @p raw, escaped and cut to 256 bytes.
  LogField(std::string_view field_key, std::string_view raw);
};

/// An event for the operator of the server. It is valid only during the call of the logger.
struct LogEvent {
  Severity severity;                 ///< How severe the event is.
  std::string_view event;            ///< What happened, a fixed name such as `origin_denied`.
  std::span<const LogField> fields;  ///< Details: ids, addresses, reasons.

  /// Returns `event key="value" key="value"`, on one line.
  [[nodiscard]] std::string to_string() const;
};

/// A function that takes log events. It is called on the executor of the object whose options hold
/// it (a manager, a backplane), and by `check_origin` on the thread of its caller. It must not
/// throw, suspend or call back into roost. If it is empty, nothing is logged.
using Logger = std::function<void(const LogEvent&)>;

namespace detail {

void log(const Logger& logger, Severity severity, std::string_view event,
         std::initializer_list<LogField> fields = {}) noexcept;

}  // namespace detail

}  // namespace roost

namespace roost::detail {

/// Keeps events that peers can cause at will from flooding the log. The first event of each kind is
/// logged immediately, later ones at most once a second, with the number of events kept back.
class LogThrottle {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// @param event  a name with static storage duration
  /// @returns how many events of this kind were kept back since the last one that was logged;
  ///          nothing if this event must be kept back too
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

/// Logs an event unless @p throttle keeps it back.
void log_throttled(const Logger& logger, LogThrottle& throttle, LogThrottle::time_point now,
                   Severity severity, std::string_view event,
                   std::initializer_list<LogField> fields) noexcept;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/log.ipp"
#endif
