// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/runtime/running.hpp"

namespace roost::detail {

/// A coroutine that runs beside its parent: it can be cancelled, waited for with a deadline, and
/// left behind if it ignores both.
template <class T>
class Child : public std::enable_shared_from_this<Child<T>> {
  using Result = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  static std::shared_ptr<Child> start(const boost::asio::any_io_executor& executor,
                                      boost::asio::awaitable<T> operation) {
    auto child = std::make_shared<Child>();
    child->executor_ = executor;
    auto token = [&](auto completion) {
      boost::asio::co_spawn(
          executor, std::move(operation),
          boost::asio::bind_cancellation_slot(child->signal_.slot(), std::move(completion)));
    };
    if constexpr (std::is_void_v<T>) {
      token([child, running = Running(executor)](std::exception_ptr error) {
        child->finish(error, {});
      });
    } else {
      token([child, running = Running(executor)](std::exception_ptr error, T value) {
        child->finish(error, std::move(value));
      });
    }
    return child;
  }

  /// On the executor, or while nothing runs it: then the coroutine learns of it when it does.
  void cancel() {
    if (done_) return;
    boost::asio::dispatch(executor_, [self = this->shared_from_this()] {
      if (!self->done_) self->signal_.emit(boost::asio::cancellation_type::terminal);
    });
  }

  [[nodiscard]] bool is_done() const noexcept { return done_; }

  /// The result, or throws what the coroutine threw. @pre `is_done()`
  T take() {
    if (error_) std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<T>) return std::move(*result_);
  }
  /// The same, and it may be asked for again.
  T result() const {
    if (error_) std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<T>) return *result_;
  }

  /// Notified at the end.
  WaitList ended;

 private:
  void finish(std::exception_ptr error, Result result) {
    done_ = true;
    executor_ = boost::asio::any_io_executor();
    error_ = std::move(error);
    result_ = std::move(result);
    ended.notify_all();
  }

  boost::asio::any_io_executor executor_;
  boost::asio::cancellation_signal signal_;
  std::exception_ptr error_;
  std::optional<Result> result_;
  bool done_ = false;
};

/// Waits for what others may wait for as well. A caller that is cancelled only ceases to wait.
/// @par Errors  what it throws; `errc::timed_out`
template <class T>
boost::asio::awaitable<T> result_of(std::shared_ptr<Child<T>> child,
                                    boost::asio::any_io_executor executor, Clock& clock,
                                    Clock::time_point deadline = Timer::never()) {
  bool is_in_time = true;
  while (is_in_time && !child->is_done()) {
    is_in_time = co_await wait(child->ended, executor, clock, deadline);
  }
  if (!child->is_done()) throw Error(errc::timed_out);
  co_return child->result();
}

/// Runs @p operation for at most @p limit; then it is cancelled, left behind, and its answer
/// discarded.
/// @par Errors  what it throws; `errc::timed_out`
template <class T>
boost::asio::awaitable<T> with_deadline(boost::asio::awaitable<T> operation,
                                        boost::asio::any_io_executor executor, Clock& clock,
                                        Clock::duration limit) {
  struct Cancel {  // also where the caller is cancelled
    std::shared_ptr<Child<T>> child;
    ~Cancel() { child->cancel(); }
  };
  const Clock::time_point deadline = clock.now() + limit;
  const Cancel running{Child<T>::start(executor, std::move(operation))};
  while (!running.child->is_done()) {
    if (!co_await wait(running.child->ended, executor, clock, deadline))
      throw Error(errc::timed_out);
  }
  co_return running.child->take();
}

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
#include "roost/runtime/detail/tasks.ipp"
#endif
