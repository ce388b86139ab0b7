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

#include "roost/base/error.hpp"
#include "roost/runtime/detail/sleeper.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/runtime/running.hpp"

namespace roost::detail {

/// A coroutine that runs beside its parent. The parent can cancel it, wait for it with a deadline,
/// and leave it behind if it ignores its cancellation.
template <class T>
class Child : public std::enable_shared_from_this<Child<T>> {
  using Result = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  /// @param owned  kept as long as the coroutine, and destroyed before its end is known
  template <class Owned = std::monostate>
  static std::shared_ptr<Child> start(const boost::asio::any_io_executor& executor,
                                      boost::asio::awaitable<T> operation, Owned owned = {}) {
    auto child = std::make_shared<Child>();
    child->executor_ = executor;
    boost::asio::co_spawn(
        executor, std::move(operation),
        boost::asio::bind_cancellation_slot(child->signal_.slot(),
                                            Completion<Owned>(child, executor, std::move(owned))));
    return child;
  }

  /// Cancels the coroutine. Call this on the executor, or while nothing runs the executor: then the
  /// cancellation takes effect when it runs again.
  void cancel() {
    if (done_) return;
    boost::asio::dispatch(executor_, [self = this->shared_from_this()] {
      if (!self->done_) self->signal_.emit(boost::asio::cancellation_type::terminal);
    });
  }

  [[nodiscard]] bool is_done() const noexcept { return done_; }

  /// Moves the result out, or rethrows the coroutine's exception. @pre `is_done()`
  T take() {
    if (error_) std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<T>) return std::move(*result_);
  }
  /// Copies the result, or rethrows the coroutine's exception; it may be called repeatedly. @pre
  /// `is_done()`
  T result() const {
    if (error_) std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<T>) return *result_;
  }

  /// Notified when the coroutine ends.
  WaitList ended;
  /// Where the parent sleeps until the coroutine ends; cheaper than `ended`. The parent is
  /// destroyed if the coroutine is destroyed before its end.
  Sleeper parent;

 private:
  template <class Owned>
  class Completion {
   public:
    Completion(std::shared_ptr<Child> child, const boost::asio::any_io_executor& executor,
               Owned owned)
        : child_(std::move(child)), running_(executor), owned_(std::in_place, std::move(owned)) {}
    Completion(Completion&&) noexcept = default;
    ~Completion() {
      if (child_) child_->parent.forget();
    }

    void operator()(const std::exception_ptr& error)
      requires std::is_void_v<T>
    {
      end(error, {});
    }
    void operator()(const std::exception_ptr& error, Result value) { end(error, std::move(value)); }

   private:
    void end(const std::exception_ptr& error, Result value) {
      owned_.reset();
      std::exchange(child_, nullptr)->finish(error, std::move(value));
    }

    std::shared_ptr<Child> child_;
    Running running_;
    std::optional<Owned> owned_;
  };

  void finish(std::exception_ptr error, Result result) {
    done_ = true;
    executor_ = boost::asio::any_io_executor();
    error_ = std::move(error);
    result_ = std::move(result);
    ended.notify_all();
    parent.wake();
  }

  boost::asio::any_io_executor executor_;
  boost::asio::cancellation_signal signal_;
  std::exception_ptr error_;
  std::optional<Result> result_;
  bool done_ = false;
};

/// Waits until @p child has ended, and returns its result. Several callers may wait for one child.
/// A caller that is cancelled stops waiting; the child goes on.
/// @par Errors  the child's exception; `errc::timed_out`.
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

/// Runs @p operation for at most @p limit. After that @p operation is cancelled and left behind,
/// and its result is discarded.
/// @par Errors  the exception of @p operation; `errc::timed_out`.
template <class T>
boost::asio::awaitable<T> with_deadline(boost::asio::awaitable<T> operation,
                                        boost::asio::any_io_executor executor, Clock& clock,
                                        Clock::duration limit) {
  struct Cancel {  // also if the caller is cancelled
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

/// Coroutines that run in the background on one executor. They can be waited for and cancelled only
/// all together.
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// @param on_failure  called with the exception of the coroutine, unless it was cancelled; must
  ///                    keep this group alive
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
  /// Grows whenever a coroutine begins or ends.
  [[nodiscard]] std::uint64_t changes() const noexcept { return changes_; }

  /// Cancels the coroutines that run now. Call this on the executor, or while nothing runs the
  /// executor: then the cancellation takes effect when it runs again.
  ROOST_WHEN_USED void cancel(const boost::asio::any_io_executor& executor);

  /// Waits until no coroutine runs, or until @p deadline. @returns false if the deadline passed
  ROOST_WHEN_USED boost::asio::awaitable<bool> wait_idle(boost::asio::any_io_executor executor,
                                                         Clock& clock, Clock::time_point deadline);

 private:
  // Owned by its coroutine, and destroyed with it, also when the context is destroyed.
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
    OnFailure on_failure;  // destroyed last: it keeps the group alive
    std::shared_ptr<Task> task;

    void operator()(const std::exception_ptr& error) {
      TaskGroup& group = task->group;
      if (error && !task->is_cancelled) on_failure(error);
      task->leave();  // `cancel` may hold another reference
      task.reset();
      if (group.size_ == 0) group.idle_.notify_all();
    }
  };

  Tasks tasks_;
  Running::Counter counter_;  // that of the executor; null until the first coroutine
  std::size_t size_ = 0;
  std::uint64_t changes_ = 0;
  WaitList idle_;
};

/// The executor of coroutines and the clock of their deadlines.
struct Loop {
  boost::asio::any_io_executor executor;
  Clock& clock;

  [[nodiscard]] Clock::time_point now() const noexcept { return clock.now(); }
};

// These functions are not coroutines: the awaitable that they return owns a copy of the executor
// and does not refer to the `Loop`.

inline boost::asio::awaitable<bool> wait(WaitList& list, const Loop& loop,
                                         Clock::time_point deadline = Timer::never()) {
  return wait(list, loop.executor, loop.clock, deadline);
}

inline boost::asio::awaitable<void> sleep_until(const Loop& loop, Clock::time_point deadline) {
  return sleep_until(loop.executor, loop.clock, deadline);
}

template <class T>
boost::asio::awaitable<T> result_of(std::shared_ptr<Child<T>> child, const Loop& loop,
                                    Clock::time_point deadline = Timer::never()) {
  return result_of(std::move(child), loop.executor, loop.clock, deadline);
}

inline boost::asio::awaitable<bool> wait_idle(TaskGroup& tasks, const Loop& loop,
                                              Clock::time_point deadline) {
  return tasks.wait_idle(loop.executor, loop.clock, deadline);
}

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/tasks.ipp"
#endif
