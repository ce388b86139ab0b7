// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Sends log events to spdlog. The CMake target is `roost::spdlog`.

#include <spdlog/logger.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

#include "roost/base/log.hpp"

namespace roost {

/// Makes a logger that writes each event to @p logger as `event key="value"`, with the spdlog level
/// of its severity. If @p logger is null, each event goes to the logger that is spdlog's default at
/// that time.
///
/// spdlog's synchronous loggers write on the thread that logs: if the output is a pipe that nobody
/// reads, the event loop stops; if the pipe is closed, SIGPIPE ends the process. Use an
/// asynchronous logger that drops messages when its queue is full
/// (`spdlog::create_async_nb<Sink>(...)`, that is `async_overflow_policy::overrun_oldest`) and
/// ignore SIGPIPE. `log_to_stderr` needs neither.
/// @par Thread safety  As thread-safe as @p logger: its sinks must be `_mt` sinks if several
/// threads log.
[[nodiscard]] inline Logger log_to_spdlog(std::shared_ptr<spdlog::logger> logger = nullptr) {
  const auto level_of = [](Severity severity) {
    switch (severity) {
      case Severity::debug: return spdlog::level::debug;
      case Severity::info: return spdlog::level::info;
      case Severity::warning: return spdlog::level::warn;
      case Severity::error: return spdlog::level::err;
    }
    return spdlog::level::err;
  };
  return [logger = std::move(logger), level_of](const LogEvent& event) {
    spdlog::logger* const to = logger ? logger.get() : spdlog::default_logger_raw();
    const spdlog::level::level_enum level = level_of(event.severity);
    // A string_view is not parsed as a format string: peers can put braces in it.
    if (to->should_log(level)) to->log(level, spdlog::string_view_t(event.to_string()));
  };
}

}  // namespace roost
