// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/lifecycle/hooks.hpp"

namespace roost::detail {

template <class>
struct HookCalls::Call {
  HookCalls& calls;
  const std::shared_ptr<Child<bool>> child;

  Call(HookCalls& c, std::shared_ptr<Child<bool>> started) : calls(c), child(std::move(started)) {
    calls.under_way_.insert(child);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {  // also if the caller is cancelled
    child->cancel();
    calls.under_way_.erase(child);
    if (calls.under_way_.empty()) calls.idle_.notify_all();
  }
};

ROOST_WHEN_USED_DEF boost::asio::awaitable<bool> HookCalls::answer(
    boost::asio::awaitable<bool> hook, const Loop& loop, Clock::duration limit) {
  const Clock::time_point deadline = loop.now() + limit;
  const Call<> call(*this, Child<bool>::start(loop.executor, std::move(hook)));
  co_return co_await result_of(call.child, loop, deadline);
}

ROOST_WHEN_USED_DEF void HookCalls::cancel() {
  const std::vector<std::shared_ptr<Child<bool>>> all(under_way_.begin(), under_way_.end());
  for (const auto& child : all) child->cancel();
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<bool> HookCalls::wait_idle(const Loop& loop,
                                                                      Clock::time_point deadline) {
  bool is_in_time = true;
  while (is_in_time && !under_way_.empty()) {
    is_in_time = co_await wait(idle_, loop, deadline);
  }
  co_return is_in_time;
}

ROOST_WHEN_USED_DEF bool HookProgress::push(HookKind kind, std::string_view room) {
  const bool is_first = !waiting;
  if (is_first) waiting = std::make_unique<std::deque<HookEvent>>();
  waiting->push_back({kind, std::string(room)});
  ++queued;
  return is_first;
}

ROOST_WHEN_USED_DEF bool HookProgress::push_front_after(std::shared_ptr<void> other) {
  const bool is_first = !waiting;
  if (is_first) waiting = std::make_unique<std::deque<HookEvent>>();
  waiting->push_front({HookKind::connected, {}, std::move(other)});
  ++queued;
  return is_first;
}

ROOST_WHEN_USED_DEF HookEvent HookProgress::pop() {
  HookEvent event = std::move(waiting->front());
  waiting->pop_front();
  return event;
}

}  // namespace roost::detail
