// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>
#include <memory>

#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"

namespace roost {

/// The format in which `log_to_stderr` writes an event.
enum class LogFormat {
  logfmt,  ///< `time=2026-01-31T12:00:00.000Z level=info event=connect id="alice"`
  json,    ///< `{"time":"2026-01-31T12:00:00.000Z","level":"info","event":"connect","id":"alice"}`
};

/// The options of `log_to_stderr`.
struct LogSinkOptions {
  /// The lowest severity that is logged; events below it are left out.
  Severity least = Severity::info;
  /// The format of a line.
  LogFormat format = LogFormat::logfmt;
  /// The file to write to. Not null; it must stay open as long as anything logs.
  std::FILE* file = stderr;
  /// How many bytes of lines may be queued while the file does not take them. When the queue is
  /// full, events are lost and counted. 4 096 to 1 GiB.
  std::size_t max_queued_bytes = 1'048'576;
  /// How long to wait for queued lines to be written when the last copy of the logger is destroyed,
  /// and when the process calls `exit` or returns from `main`. 0 does not wait; at most 1 min.
  std::chrono::milliseconds exit_timeout = std::chrono::seconds(1);
  /// Returns the time of an event. Called on the threads that log and on the thread that writes.
  std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
};

/// Makes a logger that writes each event as one line to stderr or to another file.
///
/// Text from peers is escaped as `\xNN` in both formats, so it can neither forge nor break a line.
///
/// Logging never blocks and never ends the process, whatever state the file is in: lines are
/// written through a `LineWriter`. When events were lost, an event `log_lines_lost` tells how many,
/// in its field `count`.
/// @par Errors         `errc::invalid_option`, naming the field.
/// @par Thread safety  Events may be logged from any thread; their lines do not mix.
[[nodiscard]] Logger log_to_stderr(LogSinkOptions options = {});

/// The options of a `LineWriter`.
struct LineWriterOptions {
  /// The file to write to. Not null; it must stay open as long as the writer lives.
  std::FILE* file = stderr;
  /// How many bytes may be queued while the file does not take them. When the queue is full, lines
  /// are lost and counted. 4 096 to 1 GiB.
  std::size_t max_queued_bytes = 1'048'576;
  /// How long the destructor, and a process that calls `exit` or returns from `main`, waits for
  /// queued lines to be written. 0 does not wait; at most 1 min.
  std::chrono::milliseconds exit_timeout = std::chrono::seconds(1);
  /// Returns the line that is written in place of @p lost lines that were lost. Called on the
  /// thread that writes. If it is empty, nothing is written there.
  std::function<std::string(std::uint64_t lost)> notice = {};
};

/// Writes lines to a file, a pipe or a terminal without ever blocking the caller: lines are queued,
/// and the writer's own thread writes them.
///
/// The process goes on even if the lines cannot be written. The queue fills up if nobody reads the
/// pipe or the terminal is stopped; a write fails if the pipe is closed or the disk is full,
/// without raising a signal. Lost lines are counted, and reported in their place once a write
/// succeeds again. The writer does not change the flags of the file, such as `O_NONBLOCK`.
///
/// Queued lines are written before the process exits, if the file takes them within `exit_timeout`.
/// `_exit`, `abort` and fatal signals lose lines that are still queued; the thread writes each line
/// as soon as it can, without waiting for more.
///
/// After a `fork`, parent and child each have a queue and a thread. The parent writes the lines
/// that were queued before.
/// @par Thread safety  From any thread. Lines do not mix: up to 4 096 bytes are one `write`, which
///                     other processes that write to the same pipe cannot interrupt either.
class LineWriter {
 public:
  /// @par Errors  `errc::invalid_option`, naming the field.
  explicit LineWriter(LineWriterOptions options = {});
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;
  /// Waits until all queued lines are written, for at most `exit_timeout`.
  ~LineWriter();

  /// Queues a line. A line break is appended; @p line should not contain one.
  /// @returns false if the line is lost, because the queue is full or there is no memory
  bool write(std::string line) noexcept;
  /// Returns how many lines were lost so far in this process.
  [[nodiscard]] std::uint64_t lost() const noexcept;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/log_sinks.ipp"
#endif
