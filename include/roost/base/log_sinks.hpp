// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>

#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"

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
  /// Where the lines go. Not null; must be open as long as something logs.
  std::FILE* file = stderr;
  /// Bytes of lines that may wait until the other end takes them; events that find no room are
  /// lost, and counted. 4 096 to 1 GiB.
  std::size_t max_queued_bytes = 1'048'576;
  /// How long the last lines may take at the end: when the last copy of the logger is destroyed, or
  /// the process calls `exit` or returns from `main`. 0: they are not waited for; at most 1 min.
  std::chrono::milliseconds exit_timeout = std::chrono::seconds(1);
  /// What time it is. Called by the threads that log, and by the one that writes.
  std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
};

/// A logger that writes each event as one line to stderr, or to another file.
///
/// What a peer sent is escaped as `\xNN` in both formats, so that it can neither forge nor break a
/// line.
///
/// Logging never waits, and never ends the process, whatever becomes of the other end: the lines go
/// through a `LineWriter`, which see. Where events were lost the event `log_lines_lost` says how
/// many, as `count`.
/// @par Errors         `errc::invalid_option`, naming the field.
/// @par Thread safety  From any thread; lines do not mix.
[[nodiscard]] Logger log_to_stderr(LogSinkOptions options = {});

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/log_sinks.ipp"
#endif
