// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// Joins that wait until messages to their room arrive. One that is given up is undone, unless
/// others asked for the same: a membership stays if any of them still waits for it, or was told
/// that it has it.
class Arrivals {
  struct Membership {
    std::size_t waiting = 0;
    bool is_kept = false;
    bool is_replaced = false;  // it has left, and joined again
  };
  using Key = std::pair<const void*, std::string>;  // connection and room

 public:
  /// One join that waits.
  class Waiting {
   public:
    /// @param connection  outlives this
    /// @param is_new      whether this join made the membership
    Waiting(Arrivals& arrivals, const void* connection, const std::string& room, bool is_new);
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting();

    /// Its caller is told that it has joined.
    void keep() noexcept {
      if (membership_) membership_->is_kept = true;
    }
    /// Whether nobody wants the membership once this does not.
    [[nodiscard]] bool is_last() const noexcept;

   private:
    Arrivals& arrivals_;
    const Key key_;
    std::shared_ptr<Membership> membership_;  // null: it was there before any of those that wait
  };

 private:
  std::map<Key, std::shared_ptr<Membership>> waiting_;
};

inline Arrivals::Waiting::Waiting(Arrivals& arrivals, const void* connection,
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

inline Arrivals::Waiting::~Waiting() {
  if (!membership_ || --membership_->waiting > 0 || membership_->is_replaced) return;
  arrivals_.waiting_.erase(key_);
}

inline bool Arrivals::Waiting::is_last() const noexcept {
  return membership_ && membership_->waiting == 1 && !membership_->is_kept &&
         !membership_->is_replaced;
}

}  // namespace roost::detail
