// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <mutex>

#include "roost/base/error.hpp"
#include "roost/base/log_sinks.hpp"
#include "roost/base/logging/line_queue.hpp"

namespace roost {

namespace detail {

/// Formats @p time as UTC with milliseconds (RFC 3339).
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

/// Quotes a value that is already escaped for a log. `\xNN` is not a JSON escape, so each backslash
/// is doubled.
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

namespace detail {

/// All queues of this process, so that `exit` can flush those whose writers still live.
class LineQueues {
 public:
  /// Never destroyed: a writer with static storage duration may be destroyed after anything else.
  static LineQueues& of_process() {
    static auto* const all = new PerProcess<std::unique_ptr<LineQueues>>;
    static const int at_exit = std::atexit([] {
      if (const auto* const own = all->find()) (*own)->flush();
    });
    static_cast<void>(at_exit);
    return *all->get([] { return std::make_unique<LineQueues>(); });
  }

  void add(std::weak_ptr<LineQueue> queue) {
    const std::lock_guard lock(mutex_);
    std::erase_if(queues_, [](const auto& weak) { return weak.expired(); });
    queues_.push_back(std::move(queue));
  }

 private:
  void flush() noexcept {
    std::vector<std::shared_ptr<LineQueue>> open;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& weak : queues_) {
        if (auto queue = weak.lock()) open.push_back(std::move(queue));
      }
    }
    const auto now = std::chrono::steady_clock::now();
    for (const auto& queue : open) queue->flush(now + queue->options().exit_timeout);
  }

  std::mutex mutex_;
  std::vector<std::weak_ptr<LineQueue>> queues_;
};

ROOST_DECL void validate(const LineWriterOptions& options) {
  check_option(options.file != nullptr, "file must not be null");
  check_option(options.max_queued_bytes >= 4'096 && options.max_queued_bytes <= 1'073'741'824,
               "max_queued_bytes must be 4096 to 1073741824");
  check_option(options.exit_timeout >= std::chrono::milliseconds::zero() &&
                   options.exit_timeout <= std::chrono::minutes(1),
               "exit_timeout must be 0 to 1 min");
}

}  // namespace detail

struct LineWriter::State {
  explicit State(LineWriterOptions given)
      : options(std::make_shared<const LineWriterOptions>(std::move(given))) {}

  std::shared_ptr<detail::LineQueue> make() const {
    auto fresh = std::make_shared<detail::LineQueue>(options);
    detail::LineQueues::of_process().add(fresh);
    return fresh;
  }

  const std::shared_ptr<const LineWriterOptions> options;
  detail::PerProcess<std::shared_ptr<detail::LineQueue>> queue;
};

ROOST_DECL LineWriter::LineWriter(LineWriterOptions options)
    : state_((detail::validate(options), std::make_unique<State>(std::move(options)))) {}

ROOST_DECL LineWriter::~LineWriter() {
  if (const auto* const queue = state_->queue.find()) (*queue)->end();
}

ROOST_DECL bool LineWriter::write(std::string line) noexcept {
  try {
    return state_->queue.get([this] { return state_->make(); })->push(std::move(line));
  } catch (...) {
    return false;  // no memory for the queue
  }
}

ROOST_DECL std::uint64_t LineWriter::lost() const noexcept {
  const auto* const queue = state_->queue.find();
  return queue ? (*queue)->lost() : 0;
}

}  // namespace roost
