// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"

namespace roost::detail {

/// Whoever awaits it goes on in a later turn of its executor: what is under way now comes first.
ROOST_WHEN_USED boost::asio::awaitable<void> next_turn();

class WaitList;

/// Something that waits in a `WaitList`; leaves it when destroyed.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  [[nodiscard]] bool is_woken() const noexcept { return woken_; }

 protected:
  virtual ~Waiter() { unlink(); }

 private:
  friend class WaitList;
  virtual void wake() = 0;

  void unlink() noexcept;

  Waiter** previous_ = nullptr;  // the pointer that points here
  Waiter* next_ = nullptr;
  bool woken_ = false;
};

/// Who waits for something to happen. Holds pointers only, no I/O object of its own: its owner
/// may outlive the `io_context`.
class WaitList {
 public:
  WaitList() = default;
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;
  ~WaitList() { notify_all(); }

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

  void add(Waiter& waiter) noexcept;

  /// Wakes all; they run later, on their executors.
  void notify_all();

 private:
  Waiter* head_ = nullptr;
};

/// A waiter with a deadline; the timer is how it sleeps and how it is woken.
class TimedWaiter final : public Waiter {
 public:
  TimedWaiter(const boost::asio::any_io_executor& executor, Clock& clock,
              Clock::time_point deadline)
      : timer(executor, clock) {
    timer.expires_at(deadline);
  }

  /// What a coroutine awaits to sleep: no coroutine itself, which would cost a frame.
  [[nodiscard]] auto sleep() {
    return boost::asio::async_initiate<const boost::asio::deferred_t, void()>(
        [](auto handler, TimedWaiter* self) {
          self->timer.async_wait(
              boost::asio::redirect_error(std::move(handler), self->how_it_woke_));
        },
        boost::asio::deferred, this);
  }

  /// Whether it must sleep again: nobody woke it, and the time is not over.
  [[nodiscard]] bool sleeps_on() { return !is_woken() && timer.goes_on(how_it_woke_); }

  Timer timer;

 private:
  template <class F>
  friend struct Notified;
  void wake() override;

  boost::system::error_code how_it_woke_;
};

/// Waits until @p list is notified (true) or until @p deadline (false).
/// @par Cancellation  throws `operation_aborted`; the list forgets the waiter.
ROOST_WHEN_USED boost::asio::awaitable<bool> wait(WaitList& list,
                                                  boost::asio::any_io_executor executor,
                                                  Clock& clock,
                                                  Clock::time_point deadline = Timer::never());

/// The operation of `when_notified`.
template <class F>
struct Notified {
  F f;  // may own the clock, so it goes last
  std::unique_ptr<TimedWaiter> waiter;

  void operator()(boost::system::error_code error) {
    waiter->how_it_woke_ = error;
    if (waiter->sleeps_on()) return start(std::move(*this));
    const bool is_woken = waiter->is_woken();
    waiter.reset();
    f(is_woken);
  }
  static void start(Notified self) {
    Timer& timer = self.waiter->timer;
    timer.async_wait(std::move(self));
  }
};

/// The same for code that is no coroutine: calls @p f with what `wait` would return. What @p f owns
/// lives in the operation, and goes with the `io_context`.
template <class F>
void when_notified(WaitList& list, const boost::asio::any_io_executor& executor, Clock& clock,
                   Clock::time_point deadline, F f) {
  auto waiter = std::make_unique<TimedWaiter>(executor, clock, deadline);
  list.add(*waiter);
  Notified<F>::start({std::move(f), std::move(waiter)});
}

/// Waits until @p deadline.
ROOST_WHEN_USED boost::asio::awaitable<void> sleep_until(boost::asio::any_io_executor executor,
                                                         Clock& clock, Clock::time_point deadline);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/wait.ipp"
#endif
