// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/log.hpp"
#include "roost/base/text/escape.hpp"

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

ROOST_WHEN_USED_DEF void log(const Logger& logger, Severity severity, std::string_view event,
                             std::initializer_list<LogField> fields) noexcept {
  if (!logger) return;
  try {
    logger({severity, event, {fields.begin(), fields.size()}});
  } catch (...) {  // a log that fails has nowhere to report to, and must not end a connection
  }
}

}  // namespace detail

}  // namespace roost
