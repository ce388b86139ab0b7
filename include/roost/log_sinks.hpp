// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdio>
#include <functional>

#include "roost/detail/config.hpp"
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

/// A logger that writes each event as one line to stderr, or to another file.
///
/// What a peer sent is escaped as `\xNN` in both formats, so that it can neither forge nor break a
/// line.
/// @par Thread safety  From any thread: each line is one write, so that lines do not mix.
[[nodiscard]] Logger log_to_stderr(LogSinkOptions options = {});

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/impl/log_sinks.ipp"
#endif
