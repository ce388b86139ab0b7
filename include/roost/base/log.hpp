// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/text/text.hpp"

namespace roost {

/// How much an event matters.
enum class Severity { debug, info, warning, error };

/// The name of a severity.
[[nodiscard]] constexpr std::string_view to_string(Severity severity) noexcept {
  switch (severity) {
    case Severity::debug: return "debug";
    case Severity::info: return "info";
    case Severity::warning: return "warning";
    case Severity::error: return "error";
  }
  return "unknown";
}

/// One field of a log event. Values are escaped when the event is made: what a peer sent cannot
/// forge a line.
struct LogField {
  std::string_view key;  ///< A fixed name such as `id`.
  std::string value;     ///< Escaped.

  /// @p raw is escaped, and cut at 256 bytes.
  LogField(std::string_view field_key, std::string_view raw);
};

/// Something an operator may want to know. Valid during the call of the logger.
struct LogEvent {
  Severity severity;                 ///< How much it matters.
  std::string_view event;            ///< What happened, a fixed name such as `origin_denied`.
  std::span<const LogField> fields;  ///< What it is about.

  /// `event key="value" key="value"`, on one line.
  [[nodiscard]] std::string to_string() const;
};

/// Takes log events. Called on the executor of whose option it is (a manager, a backplane), and by
/// `check_origin` where that is called; must not throw or suspend, and must not call back into
/// roost. Empty: nothing is logged.
using Logger = std::function<void(const LogEvent&)>;

namespace detail {

void log(const Logger& logger, Severity severity, std::string_view event,
         std::initializer_list<LogField> fields = {}) noexcept;

}  // namespace detail

inline LogField::LogField(std::string_view field_key, std::string_view raw)
    : key(field_key), value(detail::escape_for_log(raw)) {}

inline std::string LogEvent::to_string() const {
  std::string line(event);
  for (const LogField& field : fields) {
    line.append(" ").append(field.key).append("=\"").append(field.value).append("\"");
  }
  return line;
}

namespace detail {

inline void log(const Logger& logger, Severity severity, std::string_view event,
                std::initializer_list<LogField> fields) noexcept {
  if (!logger) return;
  try {
    logger({severity, event, {fields.begin(), fields.size()}});
  } catch (...) {  // a log that fails has nowhere to report to, and must not end a connection
  }
}

}  // namespace detail

}  // namespace roost
