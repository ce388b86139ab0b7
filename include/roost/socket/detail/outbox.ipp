// SPDX-License-Identifier: MIT
#pragma once

#include "roost/socket/detail/outbox.hpp"

namespace roost::detail {

ROOST_DECL void Outbox::watch(OutboxWatch watch) {
  subtract(bytes_, count());
  watch_ = watch;
  add_up(bytes_, count());
  above_high_ = bytes_ >= watch_.high_water;
  above_low_ = bytes_ > watch_.high_water / 2;
  busy_ = above_high_ || blocked_;
  if (above_high_) notify(OutboxEvent::above_high_water);
  if (blocked_) notify(OutboxEvent::blocked);
}

ROOST_DECL void Outbox::consume(std::size_t n) {
  bytes_ -= n;
  consumed_ += n;
  written_ += n;
  std::size_t done = 0;
  for (Entry& entry : queued()) {
    if (written_ < entry.frame.size()) break;
    written_ -= entry.frame.size();
    entry.frame = Frame();
    ++done;
  }
  subtract(n, done);
  if (!entries_.empty()) {
    head_ += done;
    if (head_ == entries_.size()) release_storage();
  }
  if (above_high_ && bytes_ < watch_.high_water) {
    above_high_ = false;
    notify(OutboxEvent::below_high_water);
  }
  if (above_low_ && bytes_ <= watch_.high_water / 2) {
    above_low_ = false;
    notify(OutboxEvent::below_low_water);
  }
  if (busy_ && empty()) {
    busy_ = false;
    blocked_ = false;
    notify(OutboxEvent::emptied);
  }
}

ROOST_DECL void Outbox::mark_blocked() {
  if (std::exchange(blocked_, true)) return;
  busy_ = true;
  notify(OutboxEvent::blocked);
}

ROOST_DECL void Outbox::discard() noexcept {
  seal();
  subtract(bytes_, count());
  bytes_ = 0;
  written_ = 0;
  head_ = 0;
  only_.frame = Frame();
  above_high_ = false;
  above_low_ = false;
  blocked_ = false;
  busy_ = false;
  std::vector<Entry>().swap(entries_);
}

ROOST_DECL Outbox::Entry* Outbox::find_replaceable(const Frame& frame,
                                                   const FramePolicy& policy) noexcept {
  if (policy.key_hash == 0) return nullptr;
  const std::span<Entry> all = queued();
  for (std::size_t i = all.size(); i-- > 0;) {
    Entry& entry = all[i];
    if (entry.key_hash != policy.key_hash || entry.started) continue;
    if (entry.frame.key() == frame.key()) return &entry;
  }
  return nullptr;
}

ROOST_DECL void Outbox::replace(Entry& entry, const Frame& frame) {
  const std::size_t before = entry.frame.size();
  entry.frame = frame;
  bytes_ -= before;
  subtract(before, 0);
  grow(frame.size());
}

ROOST_DECL void Outbox::release_storage() noexcept {
  constexpr std::size_t kept = 8;
  head_ = 0;
  entries_.clear();
  if (entries_.capacity() > kept) std::vector<Entry>().swap(entries_);
}

}  // namespace roost::detail
