// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/lifecycle/pending_joins.hpp"

namespace roost::detail {

ROOST_DECL Arrivals::Waiting::Waiting(Arrivals& arrivals, const void* connection,
                                      const std::string& room, bool is_new)
    : arrivals_(arrivals), key_(connection, room) {
  const auto found = arrivals_.waiting_.find(key_);
  const bool is_found = found != arrivals_.waiting_.end();
  if (is_new) {
    if (is_found) found->second->is_replaced = true;
    membership_ = arrivals_.waiting_[key_] = std::make_shared<Membership>();
  } else if (is_found) {
    membership_ = found->second;
  }
  if (membership_) ++membership_->waiting;
}

ROOST_DECL Arrivals::Waiting::~Waiting() {
  if (!membership_ || --membership_->waiting > 0 || membership_->is_replaced) return;
  arrivals_.waiting_.erase(key_);
}

ROOST_DECL bool Arrivals::Waiting::is_last() const noexcept {
  return membership_ && membership_->waiting == 1 && !membership_->is_kept &&
         !membership_->is_replaced;
}

}  // namespace roost::detail
