// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF boost::asio::awaitable<void> next_turn() {
  return boost::asio::post(boost::asio::use_awaitable);
}

ROOST_DECL void Waiter::unlink() noexcept {
  if (!previous) return;
  *previous = next;
  if (next) next->previous = previous;
  previous = nullptr;
  next = nullptr;
}

ROOST_DECL void WaitList::add(Waiter& waiter) noexcept {
  waiter.next = head_;
  waiter.previous = &head_;
  if (head_) head_->previous = &waiter.next;
  head_ = &waiter;
}

ROOST_DECL void WaitList::notify_all() {
  while (Waiter* waiter = head_) {
    waiter->unlink();
    waiter->is_woken = true;
    waiter->wake();
  }
}

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
  if (waiter.is_woken) co_return true;
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

ROOST_DECL void Sleeper::wake(boost::system::error_code error) {
  if (!is_sleeping()) return;
  const auto abroad = std::move(abroad_);
  boost::asio::post(abroad ? *abroad : *home_, [handler = std::move(handler_), error]() mutable {
    std::move(handler)(error);
  });
}

ROOST_DECL void Sleeper::wake_here() {
  if (abroad_) return wake();
  if (!is_sleeping()) return;
  Handler handler(std::move(handler_));
  std::move(handler)(boost::system::error_code());
}

ROOST_DECL void Sleeper::forget() {
  abroad_.reset();
  const Handler destroyed(std::move(handler_));
}

}  // namespace roost::detail
