// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// Where coroutines run, and the time that their deadlines go by.
struct Loop {
  boost::asio::any_io_executor executor;
  Clock& clock;

  [[nodiscard]] Clock::time_point now() const noexcept { return clock.now(); }
};

// No coroutines themselves: what they return owns a copy of the executor, and no `Loop`.

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
