// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "roost/log.hpp"

namespace roost {

/// How `log_to_stderr` writes an event.
enum class LogFormat {
  logfmt,  ///< `time=2026-01-31T12:00:00.000Z level=info event=connect id="alice"`
  json,    ///< `{"time":"2026-01-31T12:00:00.000Z","level":"info","event":"connect","id":"alice"}`
};

/// The options of `log_to_stderr`.
struct LogSinkOptions {
  /// What is less severe is left out.
  Severity least = Severity::info;
  /// How a line looks.
  LogFormat format = LogFormat::logfmt;
  /// Where the lines go; must be open as long as something logs.
  std::FILE* file = stderr;
  /// What time it is.
  std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
};

namespace detail {

/// In UTC, to the millisecond (RFC 3339).
[[nodiscard]] inline std::string format_time(std::chrono::system_clock::time_point time) {
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
[[nodiscard]] inline std::string json_string(std::string_view escaped) {
  std::string out = "\"";
  for (const char c : escaped) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out += '"';
}

[[nodiscard]] inline std::string log_line(LogFormat format,
                                          std::chrono::system_clock::time_point time,
                                          const LogEvent& event) {
  const std::string when = format_time(time);
  const std::string level(to_string(event.severity));
  if (format == LogFormat::logfmt) {
    return "time=" + when + " level=" + level + " event=" + event.to_string() + "\n";
  }
  std::string line = "{\"time\":\"" + when + "\",\"level\":\"" + level +
                     "\",\"event\":" + json_string(event.event);
  for (const LogField& field : event.fields) {
    line.append(",").append(json_string(field.key)).append(":").append(json_string(field.value));
  }
  return line += "}\n";
}

}  // namespace detail

/// A logger that writes each event as one line to stderr, or to another file.
///
/// What a peer sent is escaped as `\xNN` in both formats, so that it can neither forge nor break a
/// line.
/// @par Thread safety  From any thread: each line is one write, so that lines do not mix.
[[nodiscard]] inline Logger log_to_stderr(LogSinkOptions options = {}) {
  return [options = std::move(options)](const LogEvent& event) {
    if (event.severity < options.least) return;
    const std::string line = detail::log_line(options.format, options.now(), event);
    std::fwrite(line.data(), 1, line.size(), options.file);
    std::fflush(options.file);
  };
}

}  // namespace roost
