// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "roost/runtime/detail/tasks.hpp"

namespace roost::testing {

/// Runs all handlers that are ready, and those that become ready meanwhile, without waiting.
/// @returns how many handlers ran.
std::size_t run_ready(boost::asio::io_context& context);

/// Runs @p context until @p predicate is true, which is checked after each handler.
/// @param watchdog  throws `std::runtime_error` if it takes longer than this
template <class Predicate>
void run_until(boost::asio::io_context& context, Predicate predicate,
               std::chrono::steady_clock::duration watchdog = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + watchdog;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("run_until: the condition did not come true in time");
    }
    context.restart();
    context.run_one_for(std::chrono::milliseconds(10));
  }
}

/// Runs a coroutine that needs neither time nor a peer, and returns its result. Throws the
/// coroutine's exception, or `std::logic_error` if it still waits for something.
template <class T>
T run(boost::asio::io_context& context, boost::asio::awaitable<T> coroutine) {
  const auto child = detail::Child<T>::start(context.get_executor(), std::move(coroutine));
  run_ready(context);
  if (!child->is_done()) {
    child->cancel();
    run_ready(context);
    throw std::logic_error("run: the coroutine waits for something that does not happen");
  }
  return child->take();
}

inline std::size_t run_ready(boost::asio::io_context& context) {
  std::size_t total = 0;
  for (;;) {
    context.restart();
    const std::size_t ran = context.poll();
    if (ran == 0) return total;
    total += ran;
  }
}

}  // namespace roost::testing
