// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "roost/manager/lifecycle/hooks.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF bool HookProgress::push(HookKind kind, std::string_view room) {
  const bool is_first = !waiting;
  if (is_first) waiting = std::make_unique<std::deque<HookEvent>>();
  waiting->push_back({kind, std::string(room)});
  return is_first;
}

ROOST_WHEN_USED_DEF HookEvent HookProgress::pop() {
  HookEvent event = std::move(waiting->front());
  waiting->pop_front();
  return event;
}

}  // namespace roost::detail
