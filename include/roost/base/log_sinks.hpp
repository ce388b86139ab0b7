// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>

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
  /// The lowest severity that is logged; events below it are left out.
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

/// How a `LineWriter` writes.
struct LineWriterOptions {
  /// Where the lines go. Not null; must be open as long as the writer lives.
  std::FILE* file = stderr;
  /// Bytes that may wait until the other end takes them; lines that find no room are lost. 4 096 to
  /// 1 GiB.
  std::size_t max_queued_bytes = 1'048'576;
  /// How long the last lines may take at the end: in the destructor, or when the process calls
  /// `exit` or returns from `main`. 0: they are not waited for; at most 1 min.
  std::chrono::milliseconds exit_timeout = std::chrono::seconds(1);
  /// What is written, as a line, in the place of lines that were lost; given how many they are.
  /// Called by the thread that writes. Empty: nothing is written there.
  std::function<std::string(std::uint64_t lost)> notice = {};
};

/// Writes lines to a file, a pipe or a terminal, without ever waiting for it: they are queued, and
/// written by a thread of the writer's own.
///
/// Whatever becomes of the other end, the process goes on as if nothing was written: a pipe that
/// nobody empties, or a terminal that is stopped, fills the queue, and a pipe that was closed, or a
/// disk that is full, takes nothing; no signal is raised. Lines that are lost so are counted, and
/// told in their place once something can be written again. The file keeps its flags: whether it
/// blocks is nobody else's business.
///
/// Lines that are queued are written before the process exits, if the other end takes them within
/// `exit_timeout`. They are lost with `_exit`, `abort` or a signal that kills; each is on its way
/// as soon as `write` returns, though.
///
/// After a `fork` parent and child have a queue and a thread each. What was queued before is
/// written by the parent.
/// @par Thread safety  From any thread. Lines do not mix: up to 4 096 bytes are one `write`, which
///                     also other processes with the same pipe cannot interrupt.
class LineWriter {
 public:
  /// @par Errors  `errc::invalid_option`, naming the field.
  explicit LineWriter(LineWriterOptions options = {});
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;
  /// Waits for what is queued, at most `exit_timeout`.
  ~LineWriter();

  /// Queues a line. A line break is added; there should be none in it.
  /// @returns false if it is lost, for there is no room.
  bool write(std::string line) noexcept;
  /// How many lines were lost so far, in this process.
  [[nodiscard]] std::uint64_t lost() const noexcept;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/log_sinks.ipp"
#endif
