// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <utility>

#include "roost/access/connection_limiter.hpp"

namespace roost {

ROOST_DECL ConnectionLimiter::ConnectionLimiter(KeyLimits limits, Clock& clock)
    : limits_(limits), clock_(&clock), entries_(std::make_shared<Entries>()) {
  detail::validate(limits.rate, "rate");
}

ROOST_DECL ConnectionLimiter::Slot& ConnectionLimiter::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  release();
  entries_ = std::move(other.entries_);
  entry_ = std::exchange(other.entry_, nullptr);
  retry_after_ = other.retry_after_;
  return *this;
}

ROOST_DECL void ConnectionLimiter::Slot::release() noexcept {
  if (Entry* const entry = std::exchange(entry_, nullptr)) --entry->connections;
  entries_.reset();
}

ROOST_DECL ConnectionLimiter::Slot ConnectionLimiter::admit(std::string_view key) {
  Slot slot;
  if (key.empty()) return slot;
  const Clock::time_point now = clock_->now();
  auto found = entries_->find(key);
  if (found == entries_->end()) {
    forget_unused(now);
    found = entries_->emplace(std::string(key), Entry()).first;
  }
  Entry& entry = found->second;
  if (limits_.max_connections > 0 && entry.connections >= limits_.max_connections) {
    slot.retry_after_ = std::chrono::seconds(10);  // nobody knows when one of them leaves
  } else if (!entry.bucket.try_take(limits_.rate, now)) {
    const auto wait = entry.bucket.ready_at(limits_.rate) - now;
    slot.retry_after_ = std::chrono::ceil<std::chrono::seconds>(wait);
  } else {
    ++entry.connections;
    slot.entry_ = &entry;
    slot.entries_ = entries_;
  }
  return slot;
}

ROOST_DECL std::size_t ConnectionLimiter::size() const noexcept { return entries_->size(); }

ROOST_DECL void ConnectionLimiter::forget_unused(Clock::time_point now) {
  if (entries_->size() < sweep_at_) return;
  std::erase_if(*entries_, [now](const auto& item) {
    return item.second.connections == 0 && item.second.bucket.is_full(now);
  });
  sweep_at_ = std::max<std::size_t>(1'024, 2 * entries_->size());
}

}  // namespace roost
