// SPDX-License-Identifier: MIT
#pragma once

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
  entry.seen = now;
  const std::size_t slot = emptiest_slot();
  ++slots_[slot].pings;
  entry.ping_tick =
      current_ + 1 + (slot + slots_.size() - (current_ + 1) % slots_.size()) % slots_.size();
  insert(entry, now);
}

ROOST_DECL void HeartbeatSchedule::remove(Entry& entry) noexcept {
  if (!entry.previous) return;
  unlink(entry);
  fewest_ = std::min(fewest_, --slots_[entry.ping_tick % slots_.size()].pings);
  --size_;
}

ROOST_DECL std::optional<HeartbeatSchedule::time_point> HeartbeatSchedule::next_wake()
    const noexcept {
  if (size_ == 0) return std::nullopt;
  return time_of(current_ + 1);
}

ROOST_DECL bool HeartbeatSchedule::is_alive(const Entry& entry, time_point last_seen,
                                            time_point now) const noexcept {
  time_point seen = std::max(entry.seen, last_seen);
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
  entry.seen = std::max(entry.seen, last_seen);
  const bool is_silent = now >= entry.seen + timeout_;
  const bool is_pinged = entry.ping_tick == current_;
  if (is_pinged) entry.ping_tick += slots_.size();
  if (is_silent) {
    due.drop.push_back(&entry);
  } else if (is_pinged) {
    due.ping.push_back(&entry);
  }
  unlink(entry);
  insert(entry, entry.seen);
}

ROOST_DECL void HeartbeatSchedule::insert(Entry& entry, time_point seen) noexcept {
  const duration::rep until_silent =
      (seen + timeout_ - time_of(current_) + tick_ - duration(1)) / tick_;
  const std::uint64_t silent_tick =
      current_ + static_cast<std::uint64_t>(std::max<duration::rep>(until_silent, 1));
  Slot& slot = slots_[std::min(entry.ping_tick, silent_tick) % slots_.size()];
  entry.next = slot.first;
  entry.previous = &slot.first;
  if (slot.first) slot.first->previous = &entry.next;
  slot.first = &entry;
}

ROOST_DECL void HeartbeatSchedule::unlink(Entry& entry) noexcept {
  *entry.previous = entry.next;
  if (entry.next) entry.next->previous = entry.previous;
  entry.previous = nullptr;
  entry.next = nullptr;
}

ROOST_DECL void HeartbeatSchedule::collect(const Slot& slot, std::vector<Entry*>& into) {
  for (Entry* entry = slot.first; entry; entry = entry->next) into.push_back(entry);
}

ROOST_DECL std::size_t HeartbeatSchedule::emptiest_slot() noexcept {
  std::size_t best = next_slot_;
  std::size_t slot = next_slot_;
  for (std::size_t i = 1; i < slots_.size() && slots_[best].pings > fewest_; ++i) {
    slot = (slot + stride_) % slots_.size();
    if (slots_[slot].pings < slots_[best].pings) best = slot;
  }
  fewest_ = slots_[best].pings;
  next_slot_ = (best + stride_) % slots_.size();
  return best;
}

ROOST_DECL std::size_t HeartbeatSchedule::stride_for(std::size_t slots) noexcept {
  std::size_t stride = std::max<std::size_t>(1, slots * 618 / 1000);
  while (std::gcd(stride, slots) != 1) ++stride;
  return stride;
}

}  // namespace roost::detail
