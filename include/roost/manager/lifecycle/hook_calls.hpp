// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <unordered_set>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/runtime/detail/wait_list.hpp"

namespace roost::detail {

template <class T>
class Child;

/// The hooks of the application that are under way as coroutines: none takes longer than it may,
/// and all may be cancelled. On one executor.
class HookCalls {
 public:
  /// Waits for the answer of a hook for at most @p limit; then it is cancelled, left behind, and
  /// its answer discarded.
  /// @par Errors  what it throws; `errc::timed_out`
  /// @pre this outlives the coroutine
  ROOST_WHEN_USED boost::asio::awaitable<bool> run(boost::asio::awaitable<bool> hook,
                                                   boost::asio::any_io_executor executor,
                                                   Clock& clock, Clock::duration limit);

  [[nodiscard]] bool empty() const noexcept { return under_way_.empty(); }

  ROOST_WHEN_USED void cancel();

  /// Waits until none is under way (true), or until @p deadline (false).
  ROOST_WHEN_USED boost::asio::awaitable<bool> wait_idle(boost::asio::any_io_executor executor,
                                                         Clock& clock, Clock::time_point deadline);

 private:
  template <class = void>
  struct Call;

  std::unordered_set<std::shared_ptr<Child<bool>>> under_way_;
  WaitList idle_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/lifecycle/hook_calls.ipp"
#endif
