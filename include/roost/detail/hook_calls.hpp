// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include "roost/clock.hpp"
#include "roost/detail/child.hpp"
#include "roost/detail/config.hpp"
#include "roost/detail/wait.hpp"
#include "roost/detail/wait_list.hpp"

namespace roost::detail {

/// The hooks of the application that are under way as coroutines: none takes longer than it may,
/// and all may be cancelled. On one executor.
class HookCalls {
 public:
  /// Waits for the answer of a hook for at most @p limit; then it is cancelled, left behind, and
  /// its answer discarded.
  /// @par Errors  what it throws; `errc::timed_out`
  /// @pre this outlives the coroutine
  ROOST_WHEN_USED
  boost::asio::awaitable<bool> run(boost::asio::awaitable<bool> hook,
                                   boost::asio::any_io_executor executor, Clock& clock,
                                   Clock::duration limit) {
    const Clock::time_point deadline = clock.now() + limit;
    const Call call(*this, Child<bool>::start(executor, std::move(hook)));
    co_return co_await result_of(call.child, executor, clock, deadline);
  }

  [[nodiscard]] bool empty() const noexcept { return under_way_.empty(); }

  void cancel() {
    const std::vector<std::shared_ptr<Child<bool>>> all(under_way_.begin(), under_way_.end());
    for (const auto& child : all) child->cancel();
  }

  /// Waits until none is under way (true), or until @p deadline (false).
  ROOST_WHEN_USED
  boost::asio::awaitable<bool> wait_idle(boost::asio::any_io_executor executor, Clock& clock,
                                         Clock::time_point deadline) {
    bool is_in_time = true;
    while (is_in_time && !under_way_.empty()) {
      is_in_time = co_await wait(idle_, executor, clock, deadline);
    }
    co_return is_in_time;
  }

 private:
  struct Call {
    HookCalls& calls;
    const std::shared_ptr<Child<bool>> child;

    Call(HookCalls& c, std::shared_ptr<Child<bool>> started) : calls(c), child(std::move(started)) {
      calls.under_way_.insert(child);
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() {  // also where the caller is cancelled
      child->cancel();
      calls.under_way_.erase(child);
      if (calls.under_way_.empty()) calls.idle_.notify_all();
    }
  };

  std::unordered_set<std::shared_ptr<Child<bool>>> under_way_;
  WaitList idle_;
};

}  // namespace roost::detail
