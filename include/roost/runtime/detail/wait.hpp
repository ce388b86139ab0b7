// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/system/error_code.hpp>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/runtime/detail/callback.hpp"

namespace roost::detail {

/// Suspends the caller until a later turn of its executor: handlers that are ready now run first.
ROOST_WHEN_USED boost::asio::awaitable<void> next_turn();

class WaitList;

/// An entry of a `WaitList`. It leaves the list when it is destroyed.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  virtual void wake() = 0;

  void unlink() noexcept;

  // Used by the list.
  Waiter** previous = nullptr;  ///< The pointer that points here.
  Waiter* next = nullptr;
  bool is_woken = false;

 protected:
  virtual ~Waiter() { unlink(); }
};

/// The waiters for one event. The list holds only pointers and no I/O object, so its owner may
/// outlive the `io_context`.
class WaitList {
 public:
  WaitList() = default;
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;
  ~WaitList() { notify_all(); }

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

  void add(Waiter& waiter) noexcept;

  /// Wakes all waiters. They resume later, each on its own executor.
  void notify_all();

 private:
  Waiter* head_ = nullptr;
};

/// A waiter with a deadline. It sleeps on its timer, and is woken by cancelling the timer.
class TimedWaiter final : public Waiter {
 public:
  TimedWaiter(const boost::asio::any_io_executor& executor, Clock& clock,
              Clock::time_point deadline)
      : timer(executor, clock) {
    timer.expires_at(deadline);
  }

  /// Returns what a coroutine awaits to sleep. This is not a coroutine, which would cost a frame.
  [[nodiscard]] auto sleep() {
    return boost::asio::async_initiate<const boost::asio::deferred_t, void()>(
        [](auto handler, TimedWaiter* self) {
          self->timer.async_wait(
              boost::asio::redirect_error(std::move(handler), self->how_it_woke));
        },
        boost::asio::deferred, this);
  }

  /// Returns whether it must sleep again: it was not woken, and the deadline has not passed.
  [[nodiscard]] bool sleeps_on() { return !is_woken && timer.goes_on(how_it_woke); }

  void wake() override { timer.cancel(); }

  Timer timer;
  boost::system::error_code how_it_woke;  ///< The result of the timer's wait.
};

/// Waits until @p list is notified, or until @p deadline. @returns false if the deadline passed
/// @par Cancellation  Throws `operation_aborted`; the waiter leaves the list.
ROOST_WHEN_USED boost::asio::awaitable<bool> wait(WaitList& list,
                                                  boost::asio::any_io_executor executor,
                                                  Clock& clock,
                                                  Clock::time_point deadline = Timer::never());

/// The operation of `when_notified`.
template <class F>
struct Notified {
  F f;  // may own the clock, so it is destroyed last
  std::unique_ptr<TimedWaiter> waiter;

  void operator()(boost::system::error_code error) {
    waiter->how_it_woke = error;
    if (waiter->sleeps_on()) return start(std::move(*this));
    const bool is_woken = waiter->is_woken;
    waiter.reset();
    f(is_woken);
  }
  static void start(Notified self) {
    Timer& timer = self.waiter->timer;
    timer.async_wait(std::move(self));
  }
};

/// Does the work of `wait` for code that is not a coroutine: calls @p f with what `wait` would
/// return. The operation owns @p f, and is destroyed with the `io_context`.
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

/// Lets one coroutine sleep until it is woken. Owns the coroutine meanwhile.
///
/// Cheaper than a timer that is cancelled, and can wake the coroutine without a turn of the loop.
class Sleeper {
 public:
  Sleeper() = default;
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  [[nodiscard]] bool is_sleeping() const noexcept { return static_cast<bool>(handler_); }

  /// Sleeps until woken.
  /// @param home  the executor on which `wake_here` is called; valid while the coroutine sleeps
  /// @pre no coroutine sleeps
  /// @par Cancellation  throws `operation_aborted`.
  [[nodiscard]] auto sleep(const boost::asio::any_io_executor& home) {
    return boost::asio::async_initiate<const boost::asio::deferred_t,
                                       void(boost::system::error_code)>(
        // Pointers, because the coroutine keeps these arguments while it sleeps.
        [](auto handler, Sleeper* self, const boost::asio::any_io_executor* home_executor) {
          boost::asio::any_io_executor own =
              boost::asio::get_associated_executor(handler, *home_executor);
          self->home_ = home_executor;
          self->abroad_.reset();
          if (own != *home_executor) {
            self->abroad_ = std::make_unique<boost::asio::any_io_executor>(std::move(own));
          }
          self->fall_asleep(std::move(handler));
        },
        boost::asio::deferred, this, &home);
  }

  /// Resumes the sleeping coroutine, if there is one, in a later turn of its executor.
  void wake(boost::system::error_code error = {});
  /// Resumes the sleeping coroutine before this function returns, if its executor is that of
  /// `sleep`; else does what `wake` does.
  /// @pre the callers can cope with any action of the application in this call
  void wake_here();
  /// Destroys the sleeping coroutine, if there is one: nobody will wake it.
  void forget();

 private:
  // That of a coroutine is two pointers.
  using Handler = Callback<void(boost::system::error_code), 2 * sizeof(void*)>;

  template <class AnyHandler>
  void fall_asleep(AnyHandler handler) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    handler_ = Handler(std::move(handler));
    if (!slot.is_connected()) return;
    slot.assign([this](boost::asio::cancellation_type type) {
      if (type != boost::asio::cancellation_type::none) {
        wake(boost::asio::error::operation_aborted);
      }
    });
  }

  Handler handler_;
  const boost::asio::any_io_executor* home_ = nullptr;
  std::unique_ptr<boost::asio::any_io_executor> abroad_;  // set while it sleeps on another one
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/wait.ipp"
#endif
