// SPDX-License-Identifier: MIT
#pragma once

#include "roost/runtime/detail/wait_list.hpp"

namespace roost::detail {

ROOST_DECL void Waiter::unlink() noexcept {
  if (!previous_) return;
  *previous_ = next_;
  if (next_) next_->previous_ = previous_;
  previous_ = nullptr;
  next_ = nullptr;
}

ROOST_DECL void WaitList::add(Waiter& waiter) noexcept {
  waiter.next_ = head_;
  waiter.previous_ = &head_;
  if (head_) head_->previous_ = &waiter.next_;
  head_ = &waiter;
}

ROOST_DECL void WaitList::notify_all() {
  while (Waiter* waiter = head_) {
    waiter->unlink();
    waiter->woken_ = true;
    waiter->wake();
  }
}

}  // namespace roost::detail
