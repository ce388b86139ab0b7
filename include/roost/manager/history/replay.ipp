// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/history/replay.hpp"

namespace roost::detail {

ROOST_DECL void Replay::withhold(const RecordedPtr& message) {
  if (is_asking_) return;
  behind_bytes_ += message->frame.size();
  behind_.push_back(message);
}

ROOST_DECL Replayed Replay::take() {
  if (answer_ && next_ < answer_->messages.size()) {
    return {.message = answer_->messages[next_++], .is_of_answer = true};
  }
  answer_.reset();
  if (next_behind_ == behind_.size()) return {};
  RecordedPtr message = std::move(behind_[next_behind_++]);
  behind_bytes_ -= message->frame.size();
  // Each one is moved once at most: there may never be a moment when nothing waits.
  if (next_behind_ > behind_.size() / 2) {
    behind_.erase(behind_.begin(), behind_.begin() + static_cast<std::ptrdiff_t>(next_behind_));
    next_behind_ = 0;
  }
  return {.message = std::move(message)};
}

ROOST_DECL Replay* Replays::find(std::string_view room) noexcept {
  const auto found = std::find_if(replays_.begin(), replays_.end(),
                                  [&](const Replay& replay) { return replay.room() == room; });
  return found == replays_.end() ? nullptr : &*found;
}

ROOST_DECL void Replays::add(std::string room, RecoveryTicket ticket) {
  replays_.emplace_back(std::move(room), ticket);
}

ROOST_DECL void Replays::remove(std::string_view room) noexcept {
  std::erase_if(replays_, [&](const Replay& replay) { return replay.room() == room; });
}

ROOST_DECL void Replays::restart(const std::string& room) {
  if (const Replay* const replay = find(room); replay && replay->is_asking()) return;
  remove(room);
  add(room, 0);
}

ROOST_DECL bool Replays::end_restart(std::string_view room) noexcept {
  const Replay* const replay = find(room);
  if (!replay || replay->ticket() != 0) return false;
  remove(room);
  return true;
}

ROOST_DECL const Replay* Replays::next_asking(RecoveryTicket newest) const noexcept {
  const auto found = std::find_if(replays_.begin(), replays_.end(), [&](const Replay& replay) {
    return replay.is_asking() && replay.ticket() != 0 && replay.ticket() <= newest;
  });
  return found == replays_.end() ? nullptr : &*found;
}

ROOST_DECL std::size_t Replays::behind_bytes() const noexcept {
  std::size_t bytes = 0;
  for (const Replay& replay : replays_) bytes += replay.behind_bytes();
  return bytes;
}

ROOST_DECL Replayed Replays::take() {
  for (std::size_t i = 0; i < replays_.size();) {
    if (replays_[i].is_asking()) {
      ++i;
      continue;
    }
    if (Replayed next = replays_[i].take(); next.message) return next;
    replays_.erase(replays_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return {};
}

ROOST_DECL void Replays::note(std::string_view room, const Recovery& recovery) {
  for (auto& [name, known] : recoveries_) {
    if (name == room) {
      known = recovery;
      return;
    }
  }
  recoveries_.emplace_back(room, recovery);
}

ROOST_DECL const Recovery* Replays::recovery(std::string_view room) const noexcept {
  for (const auto& [name, known] : recoveries_) {
    if (name == room) return &known;
  }
  return nullptr;
}

ROOST_DECL void KeptAnswers::keep(const RecordedPtr& message, Clock::time_point now,
                                  std::size_t max_bytes) {
  const auto place = places_.find(message.get());
  const std::size_t bytes = bytes_of(*message);
  if (bytes > max_bytes) {
    if (place != places_.end()) drop(place->second);
    return;
  }
  if (place == places_.end()) {
    places_.emplace(message.get(), kept_.insert(kept_.end(), {.message = message}));
  } else {
    kept_.splice(kept_.end(), kept_, place->second);
  }
  Kept& kept = kept_.back();
  kept.used_at = now;
  bytes_ -= std::exchange(kept.bytes, bytes);
  bytes_ += kept.bytes;
  while (bytes_ > max_bytes) drop(kept_.begin());
  drop_unused(now);
}

ROOST_DECL void KeptAnswers::drop_unused(Clock::time_point now) noexcept {
  while (!kept_.empty() && kept_.front().used_at < now - max_idle) drop(kept_.begin());
}

ROOST_DECL void KeptAnswers::clear() noexcept {
  places_.clear();
  kept_.clear();
  bytes_ = 0;
}

ROOST_DECL void KeptAnswers::drop(List::iterator kept) noexcept {
  bytes_ -= kept->bytes;
  places_.erase(kept->message.get());
  kept_.erase(kept);
}

ROOST_DECL std::size_t KeptAnswers::bytes_of(const Recorded& message) noexcept {
  std::size_t bytes = sizeof(Recorded) + sizeof(Kept) + overhead + message.frame.size() +
                      message.room.size() + message.position.size();
  for (const std::string& id : message.exclude) bytes += sizeof(std::string) + id.size();
  for (const auto& [form, frame] : message.formed) bytes += frame.size();
  return bytes;
}

}  // namespace roost::detail
