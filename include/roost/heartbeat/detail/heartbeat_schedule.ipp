// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <numeric>

#include "roost/heartbeat/detail/heartbeat_schedule.hpp"

namespace roost::detail {

ROOST_DECL HeartbeatSchedule::HeartbeatSchedule(duration interval, duration timeout)
    : slots_(
          static_cast<std::size_t>(std::clamp<duration::rep>(interval / min_tick, 1, max_slots))),
      tick_(interval / static_cast<duration::rep>(slots_.size())),
      timeout_(timeout),
      stride_(stride_for(slots_.size())) {}

ROOST_DECL void HeartbeatSchedule::add(Entry& entry, time_point now) noexcept {
  if (size_++ == 0) {
    origin_ = now;
    current_ = 0;
  }
  entry.seen_ = now;
  const std::size_t slot = emptiest_slot();
  ++slots_[slot].pings;
  entry.ping_tick_ =
      current_ + 1 + (slot + slots_.size() - (current_ + 1) % slots_.size()) % slots_.size();
  insert(entry, now);
}

ROOST_DECL void HeartbeatSchedule::remove(Entry& entry) noexcept {
  if (!entry.previous_) return;
  unlink(entry);
  --slots_[entry.ping_tick_ % slots_.size()].pings;
  --size_;
}

ROOST_DECL std::optional<HeartbeatSchedule::time_point> HeartbeatSchedule::next_wake()
    const noexcept {
  if (size_ == 0) return std::nullopt;
  return time_of(current_ + 1);
}

ROOST_DECL bool HeartbeatSchedule::is_alive(const Entry& entry, time_point last_seen,
                                            time_point now) const noexcept {
  time_point seen = std::max(entry.seen_, last_seen);
  if (seen < time_of(current_ + 1)) seen += lateness(now);
  return now < seen + timeout_;
}

ROOST_DECL HeartbeatSchedule::duration HeartbeatSchedule::lateness(time_point now) const noexcept {
  if (size_ == 0) return duration::zero();
  const duration late_by = now - time_of(current_ + 1);
  return late_by > tick_ ? late_by : duration::zero();
}

ROOST_DECL void HeartbeatSchedule::look_at(Entry& entry, time_point last_seen, time_point now,
                                           Due& due) noexcept {
  entry.seen_ = std::max(entry.seen_, last_seen);
  const bool is_silent = now >= entry.seen_ + timeout_;
  const bool is_pinged = entry.ping_tick_ == current_;
  if (is_pinged) entry.ping_tick_ += slots_.size();
  if (is_silent) {
    due.drop.push_back(&entry);
  } else if (is_pinged) {
    due.ping.push_back(&entry);
  }
  unlink(entry);
  insert(entry, entry.seen_);
}

ROOST_DECL void HeartbeatSchedule::insert(Entry& entry, time_point seen) noexcept {
  const duration::rep until_silent =
      (seen + timeout_ - time_of(current_) + tick_ - duration(1)) / tick_;
  const std::uint64_t silent_tick =
      current_ + static_cast<std::uint64_t>(std::max<duration::rep>(until_silent, 1));
  Slot& slot = slots_[std::min(entry.ping_tick_, silent_tick) % slots_.size()];
  entry.next_ = slot.first;
  entry.previous_ = &slot.first;
  if (slot.first) slot.first->previous_ = &entry.next_;
  slot.first = &entry;
}

ROOST_DECL void HeartbeatSchedule::unlink(Entry& entry) noexcept {
  *entry.previous_ = entry.next_;
  if (entry.next_) entry.next_->previous_ = entry.previous_;
  entry.previous_ = nullptr;
  entry.next_ = nullptr;
}

ROOST_DECL void HeartbeatSchedule::collect(const Slot& slot, std::vector<Entry*>& into) {
  for (Entry* entry = slot.first; entry; entry = entry->next_) into.push_back(entry);
}

ROOST_DECL std::size_t HeartbeatSchedule::emptiest_slot() noexcept {
  std::size_t best = next_slot_;
  for (std::size_t i = 0, slot = next_slot_; i < slots_.size(); ++i) {
    if (slots_[slot].pings < slots_[best].pings) best = slot;
    slot = (slot + stride_) % slots_.size();
  }
  next_slot_ = (best + stride_) % slots_.size();
  return best;
}

ROOST_DECL std::size_t HeartbeatSchedule::stride_for(std::size_t slots) noexcept {
  std::size_t stride = std::max<std::size_t>(1, slots * 618 / 1000);
  while (std::gcd(stride, slots) != 1) ++stride;
  return stride;
}

}  // namespace roost::detail
