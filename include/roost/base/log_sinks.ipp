// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "roost/base/line_writer.hpp"
#include "roost/base/log_sinks.hpp"

namespace roost {

namespace detail {

/// In UTC, to the millisecond (RFC 3339).
ROOST_WHEN_USED std::string format_time(std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  const auto ms = floor<milliseconds>(time);
  const auto midnight = floor<days>(ms);
  const year_month_day date(midnight);
  const hh_mm_ss clock(ms - midnight);
  char text[80];
  std::snprintf(
      text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return text;
}

/// Values are printable UTF-8 without quotes already; their `\xNN` are no JSON.
ROOST_WHEN_USED std::string json_string(std::string_view escaped) {
  std::string out = "\"";
  for (const char c : escaped) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out += '"';
}

ROOST_WHEN_USED std::string log_line(LogFormat format, std::chrono::system_clock::time_point time,
                                     const LogEvent& event) {
  const std::string when = format_time(time);
  const std::string level(to_string(event.severity));
  if (format == LogFormat::logfmt) {
    return "time=" + when + " level=" + level + " event=" + event.to_string();
  }
  std::string line = "{\"time\":\"" + when + "\",\"level\":\"" + level +
                     "\",\"event\":" + json_string(event.event);
  for (const LogField& field : event.fields) {
    line.append(",").append(json_string(field.key)).append(":").append(json_string(field.value));
  }
  return line += '}';
}

}  // namespace detail

ROOST_DECL Logger log_to_stderr(LogSinkOptions options) {
  const auto line_of = [format = options.format, now = options.now](const LogEvent& event) {
    return detail::log_line(format, now(), event);
  };
  const auto notice = [line_of](std::uint64_t lost) {
    std::string line;
    const Logger to_line = [&](const LogEvent& event) { line = line_of(event); };
    detail::log(to_line, Severity::warning, "log_lines_lost", {{"count", std::to_string(lost)}});
    return line;
  };
  auto writer =
      std::make_shared<LineWriter>(LineWriterOptions{.file = options.file,
                                                     .max_queued_bytes = options.max_queued_bytes,
                                                     .exit_timeout = options.exit_timeout,
                                                     .notice = notice});
  return [writer = std::move(writer), line_of, least = options.least](const LogEvent& event) {
    if (event.severity >= least) writer->write(line_of(event));
  };
}

}  // namespace roost
