// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Log events to spdlog. CMake target `roost::spdlog`.

#include <spdlog/logger.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

#include "roost/base/log.hpp"

namespace roost {

/// A logger that hands each event to @p logger, as `event key="value"` with the level that
/// corresponds to its severity. Not set: spdlog's default logger, as it is at each event.
///
/// spdlog's own sinks write on the thread that logs: a pipe that nobody empties then stops the
/// event loop, and one that was closed ends the process by SIGPIPE. Use an asynchronous logger that
/// drops what finds no room,
/// `spdlog::create_async_nb<Sink>(...)`, which is `async_overflow_policy::overrun_oldest`, and
/// ignore SIGPIPE. `log_to_stderr` needs neither.
/// @par Thread safety  That of @p logger: its sinks must be of the `_mt` kind if several threads
/// log.
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
    // As a string_view, so that braces of a peer's are no format.
    if (to->should_log(level)) to->log(level, spdlog::string_view_t(event.to_string()));
  };
}

}  // namespace roost
