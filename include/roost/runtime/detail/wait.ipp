// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

ROOST_DECL void TimedWaiter::wake() { timer.cancel(); }

ROOST_WHEN_USED_DEF boost::asio::awaitable<bool> wait(WaitList& list,
                                                      boost::asio::any_io_executor executor,
                                                      Clock& clock, Clock::time_point deadline) {
  TimedWaiter waiter(executor, clock, deadline);
  list.add(waiter);
  bool sleeps = true;
  while (sleeps) {
    co_await waiter.sleep();
    sleeps = waiter.sleeps_on();
  }
  if (waiter.is_woken()) co_return true;
  if (!waiter.timer.is_over())
    throw boost::system::system_error(boost::asio::error::operation_aborted);
  co_return false;
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<void> sleep_until(boost::asio::any_io_executor executor,
                                                             Clock& clock,
                                                             Clock::time_point deadline) {
  WaitList nobody_notifies;
  co_await wait(nobody_notifies, executor, clock, deadline);
}

}  // namespace roost::detail
