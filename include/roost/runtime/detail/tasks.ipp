// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "roost/runtime/detail/tasks.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF void TaskGroup::cancel(const boost::asio::any_io_executor& executor) {
  std::vector<std::weak_ptr<Task>> running;  // cancelling one task may end it and begin others
  running.reserve(size_);
  for (Task& task : tasks_) running.push_back(task.self);
  boost::asio::dispatch(executor, [running = std::move(running)] {
    for (const std::weak_ptr<Task>& weak : running) {
      const std::shared_ptr<Task> task = weak.lock();
      if (!task) continue;
      task->is_cancelled = true;
      task->signal.emit(boost::asio::cancellation_type::terminal);
    }
  });
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<bool> TaskGroup::wait_idle(
    boost::asio::any_io_executor executor, Clock& clock, Clock::time_point deadline) {
  bool is_in_time = true;
  while (is_in_time && size_ > 0) {
    is_in_time = co_await wait(idle_, executor, clock, deadline);
  }
  co_return is_in_time;
}

ROOST_DECL TaskGroup::Task::Task(TaskGroup& g, const boost::asio::any_io_executor& executor)
    : group(g), running(g.counter_ ? g.counter_ : g.counter_ = Running::counter(executor)) {
  group.tasks_.push_back(*this);
  ++group.size_;
  ++group.changes_;
}

ROOST_DECL TaskGroup::Task::~Task() { leave(); }

ROOST_DECL void TaskGroup::Task::leave() noexcept {
  if (!this->is_linked()) return;
  this->unlink();
  --group.size_;
  ++group.changes_;
}

ROOST_DECL void TaskGroup::Task::finish() {
  if (!this->is_linked()) return;
  leave();
  if (group.size_ == 0) group.idle_.notify_all();
}

}  // namespace roost::detail
