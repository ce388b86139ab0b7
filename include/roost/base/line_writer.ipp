// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "roost/base/error.hpp"
#include "roost/base/line_writer.hpp"
#include "roost/base/logging/line_queue.hpp"
#include "roost/base/logging/line_queue.ipp"
#include "roost/base/logging/per_process.hpp"

namespace roost {

namespace detail {

/// The queues of a process, so that a call of `exit` finds those whose writers are not destroyed.
class LineQueues {
 public:
  /// Never destroyed: there may be writers that go later than all else.
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
  const auto check = [](bool ok, const char* what) {
    if (!ok) throw Error(errc::invalid_option, what);
  };
  check(options.file != nullptr, "file must not be null");
  check(options.max_queued_bytes >= 4'096 && options.max_queued_bytes <= 1'073'741'824,
        "max_queued_bytes must be 4096 to 1073741824");
  check(options.exit_timeout >= std::chrono::milliseconds::zero() &&
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
