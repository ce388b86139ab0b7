// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/runtime/detail/running_count.hpp"
#include "roost/runtime/detail/wait_list.hpp"

namespace roost::detail {

/// Coroutines that run in the background: nobody waits for one of them, but somebody may wait for
/// all, or cancel all. On one executor.
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// @param on_failure  called with what the coroutine throws, unless it was cancelled; must keep
  ///                    this group alive
  template <class OnFailure>
  void spawn(const boost::asio::any_io_executor& executor, boost::asio::awaitable<void> coroutine,
             OnFailure on_failure) {
    auto task = std::make_shared<Task>(*this, executor);
    const boost::asio::cancellation_slot slot = task->cancel.slot();
    boost::asio::co_spawn(executor, std::move(coroutine),
                          boost::asio::bind_cancellation_slot(
                              slot, Completion<OnFailure>{std::move(on_failure), std::move(task)}));
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Grows with each that begins or ends.
  [[nodiscard]] std::uint64_t changes() const noexcept { return changes_; }

  /// Cancels those that run now. On the executor, or while nothing runs it: then they learn of it
  /// when it does.
  ROOST_WHEN_USED void cancel(const boost::asio::any_io_executor& executor);

  /// Waits until none runs (true), or until @p deadline (false).
  ROOST_WHEN_USED boost::asio::awaitable<bool> wait_idle(boost::asio::any_io_executor executor,
                                                         Clock& clock, Clock::time_point deadline);

 private:
  // Owned by its coroutine, and goes with that, also where the context is destroyed.
  struct Task : boost::intrusive::list_base_hook<
                    boost::intrusive::link_mode<boost::intrusive::auto_unlink>>,
                std::enable_shared_from_this<Task> {
    Task(TaskGroup& g, const boost::asio::any_io_executor& executor);
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task();

    void leave() noexcept;

    TaskGroup& group;
    Running running;
    boost::asio::cancellation_signal cancel;
    bool is_cancelled = false;
  };
  using Tasks = boost::intrusive::list<Task, boost::intrusive::constant_time_size<false>>;

  template <class OnFailure>
  struct Completion {
    OnFailure on_failure;  // the last to go, for it keeps the group
    std::shared_ptr<Task> task;

    void operator()(const std::exception_ptr& error) {
      TaskGroup& group = task->group;
      if (error && !task->is_cancelled) on_failure(error);
      task->leave();  // whoever cancels may hold it
      task.reset();
      if (group.size_ == 0) group.idle_.notify_all();
    }
  };

  Tasks tasks_;
  std::size_t size_ = 0;
  std::uint64_t changes_ = 0;
  WaitList idle_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/task_group.ipp"
#endif
