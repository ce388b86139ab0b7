// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <variant>

#include "roost/base/error.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/runtime/running.hpp"

namespace roost::detail {

/// Cancels a coroutine that `co_spawn` starts, as `cancellation_signal` does. It keeps the handler
/// of the signal, which is small, inside; for each handler Asio allocates a block of memory.
class JobSignal {
 public:
  /// Meets Asio's requirements of a `CancellationSlot`.
  class Slot {
   public:
    explicit Slot(JobSignal& signal) noexcept : signal_(&signal) {}

    [[nodiscard]] bool is_connected() const noexcept { return true; }
    [[nodiscard]] bool has_handler() const noexcept { return signal_->handler_ != nullptr; }
    void clear() noexcept { signal_->clear(); }
    template <class Handler, class... Arguments>
    Handler& emplace(Arguments&&... arguments) {
      return signal_->emplace<Handler>(std::forward<Arguments>(arguments)...);
    }
    template <class Handler>
    std::decay_t<Handler>& assign(Handler&& handler) {
      return emplace<std::decay_t<Handler>>(std::forward<Handler>(handler));
    }
    bool operator==(const Slot&) const noexcept = default;

   private:
    JobSignal* signal_;
  };

  JobSignal() = default;
  JobSignal(const JobSignal&) = delete;
  JobSignal& operator=(const JobSignal&) = delete;
  ~JobSignal() { clear(); }

  [[nodiscard]] Slot slot() noexcept { return Slot(*this); }
  void emit(boost::asio::cancellation_type type) {
    if (handler_) handler_->call(type);
  }

 private:
  struct AnyHandler {
    virtual ~AnyHandler() = default;
    virtual void call(boost::asio::cancellation_type type) = 0;
  };
  template <class Handler>
  struct HandlerOf final : AnyHandler {
    template <class... Arguments>
    explicit HandlerOf(Arguments&&... arguments) : handler(std::forward<Arguments>(arguments)...) {}
    void call(boost::asio::cancellation_type type) override { handler(type); }
    Handler handler;
  };

  template <class Handler, class... Arguments>
  Handler& emplace(Arguments&&... arguments) {
    using Stored = HandlerOf<Handler>;
    static_assert(sizeof(Stored) <= sizeof(Storage) && alignof(Stored) <= alignof(Storage));
    clear();
    auto* const stored = ::new (&storage_) Stored(std::forward<Arguments>(arguments)...);
    handler_ = stored;
    return stored->handler;
  }
  void clear() noexcept {
    if (AnyHandler* const handler = std::exchange(handler_, nullptr)) std::destroy_at(handler);
  }

  // For the virtual table, and the `cancellation_signal` in the handler of `co_spawn`.
  struct alignas(void*) Storage : std::array<std::byte, 2 * sizeof(void*)> {};

  AnyHandler* handler_ = nullptr;
  Storage storage_;
};

/// The completion handler of a coroutine that is spawned for a job. It is a single pointer, because
/// Asio keeps it in the first frame of the coroutine, several times. The job owns itself until its
/// coroutine has ended or was destroyed: then `end` or `abandon` is called.
template <class Job>
class JobCompletion {
 public:
  using cancellation_slot_type = JobSignal::Slot;

  explicit JobCompletion(std::shared_ptr<Job> job) : job_(job.get()) {
    job_->self = std::move(job);
  }

  [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
    return job_->signal.slot();
  }
  template <class... Result>
  void operator()(const std::exception_ptr& error, Result... result) {
    const auto keep = std::exchange(job_.release()->self, nullptr);
    static_cast<Job&>(*keep).end(error, std::move(result)...);
  }

 private:
  struct Abandon {
    void operator()(Job* job) const noexcept {
      const auto keep = std::exchange(job->self, nullptr);
      job->abandon();
    }
  };
  std::unique_ptr<Job, Abandon> job_;
};

/// A coroutine that runs beside its parent. The parent can cancel it, wait for it with a deadline,
/// and leave it behind if it ignores its cancellation.
template <class T>
class Child {
  using Result = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  /// @param owned  kept as long as the coroutine, and destroyed before its end is known
  template <class Owned = std::monostate>
  static std::shared_ptr<Child> start(const boost::asio::any_io_executor& executor,
                                      boost::asio::awaitable<T> operation, Owned owned = {}) {
    auto child = std::make_shared<Owner<Owned>>(executor, std::move(owned));
    boost::asio::co_spawn(executor, std::move(operation), JobCompletion<Owner<Owned>>(child));
    return child;
  }

  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Cancels the coroutine. Call this on the executor, or while nothing runs the executor: then the
  /// cancellation takes effect when it runs again.
  void cancel() {
    if (done_ || !self) return;
    boost::asio::dispatch(executor_, [child = self] {
      if (!child->done_) child->signal.emit(boost::asio::cancellation_type::terminal);
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

 protected:
  explicit Child(const boost::asio::any_io_executor& executor)
      : executor_(executor), running_(executor) {}
  ~Child() = default;

  void finish(std::exception_ptr error, Result result) {
    const Running until_told(std::move(running_));
    done_ = true;
    executor_ = boost::asio::any_io_executor();
    error_ = std::move(error);
    result_ = std::move(result);
    ended.notify_all();
    parent.wake();
  }
  void end_count() noexcept { const Running counted(std::move(running_)); }

  JobSignal signal;             // for `JobCompletion`
  std::shared_ptr<Child> self;  // for `JobCompletion`; null once the coroutine is gone

 private:
  template <class Owned>
  struct Owner;

  boost::asio::any_io_executor executor_;
  Running running_;
  std::exception_ptr error_;
  std::optional<Result> result_;
  bool done_ = false;
};

/// A child with what its coroutine keeps.
template <class T>
template <class Owned>
struct Child<T>::Owner final : Child<T> {
  Owner(const boost::asio::any_io_executor& executor, Owned what)
      : Child(executor), owned(std::move(what)) {}
  using Child::self;
  using Child::signal;

  void end(const std::exception_ptr& error, Result result = {}) {
    owned = Owned();
    this->finish(error, std::move(result));
  }
  void abandon() noexcept {
    this->parent.forget();
    owned = Owned();
    this->end_count();
  }

  Owned owned;
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
    using Job = TaskOf<OnFailure>;
    auto task = std::make_shared<Job>(*this, executor, std::move(on_failure));
    boost::asio::co_spawn(executor, std::move(coroutine), JobCompletion<Job>(std::move(task)));
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Grows whenever a task begins or ends.
  [[nodiscard]] std::uint64_t changes() const noexcept { return changes_; }

  /// Cancels the coroutines that run now. Call this on the executor, or while nothing runs the
  /// executor: then the cancellation takes effect when it runs again.
  ROOST_WHEN_USED void cancel(const boost::asio::any_io_executor& executor);

  /// Waits until no task is left, or until @p deadline.
  /// @returns false if the deadline passed
  ROOST_WHEN_USED boost::asio::awaitable<bool> wait_idle(boost::asio::any_io_executor executor,
                                                         Clock& clock, Clock::time_point deadline);

  /// A member of the group as long as it lives. A class that derives from it may run coroutines
  /// with it as their job, one after the other; it is cancelled only while it runs one.
  struct Task : boost::intrusive::list_base_hook<
                    boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    Task(TaskGroup& g, const boost::asio::any_io_executor& executor);
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task();

    void leave() noexcept;
    /// Leaves the group, and wakes those that wait for its end.
    void finish();

    TaskGroup& group;
    Running running;
    JobSignal signal;
    std::shared_ptr<Task> self;  // null unless a coroutine runs
    bool is_cancelled = false;
  };

 private:
  using Tasks = boost::intrusive::list<Task, boost::intrusive::constant_time_size<false>>;

  template <class OnFailure>
  struct TaskOf final : Task {
    TaskOf(TaskGroup& g, const boost::asio::any_io_executor& executor, OnFailure f)
        : Task(g, executor), on_failure(std::move(f)) {}

    void end(const std::exception_ptr& error) {
      OnFailure keeps_group(std::move(on_failure));
      if (error && !this->is_cancelled) keeps_group(error);
      this->finish();  // `cancel` may hold another reference
    }
    void abandon() noexcept {
      const OnFailure keeps_group(std::move(on_failure));
      this->leave();
    }

    OnFailure on_failure;
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
// and does not refer to the `Loop`. They are templates so that only a file that waits compiles the
// coroutines.

template <class = void>
boost::asio::awaitable<bool> wait(WaitList& list, const Loop& loop,
                                  Clock::time_point deadline = Timer::never()) {
  return wait(list, loop.executor, loop.clock, deadline);
}

template <class = void>
boost::asio::awaitable<void> sleep_until(const Loop& loop, Clock::time_point deadline) {
  return sleep_until(loop.executor, loop.clock, deadline);
}

template <class T>
boost::asio::awaitable<T> result_of(std::shared_ptr<Child<T>> child, const Loop& loop,
                                    Clock::time_point deadline = Timer::never()) {
  return result_of(std::move(child), loop.executor, loop.clock, deadline);
}

template <class = void>
boost::asio::awaitable<bool> wait_idle(TaskGroup& tasks, const Loop& loop,
                                       Clock::time_point deadline) {
  return tasks.wait_idle(loop.executor, loop.clock, deadline);
}

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/tasks.ipp"
#endif
