// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "roost/backplane/history.hpp"
#include "roost/backplane/history/log_entry.hpp"
#include "roost/backplane/history/position.hpp"
#include "roost/base/clock.hpp"

namespace roost::detail {

/// The log of a room as the store keeps it, also the model of the scripts that keep it in Redis: a
/// hash (epoch, number, mark) and a list (entries), which may vanish each on its own. It records
/// and tells, and judges nothing.
template <class Payload>
class StoredLog {
 public:
  using Entry = LogEntry<Payload>;
  using Answer = LogAnswer<Payload>;
  using time_point = Clock::time_point;

  /// Entries that one call drops beside those that make room for the new one: as a script that
  /// drops more would stop all others meanwhile.
  static constexpr std::size_t max_dropped = 256;

  /// How much is kept, and how long.
  struct Limits {
    const HistoryRule& rule;
    Clock::duration position_age;
  };

  /// @param entry  payload, bytes and mark; the rest is filled in. Not over the rule's `max_bytes`.
  /// @param epoch  for a log that has none
  /// @returns the entry; `position` tells its epoch too
  const Entry& record(Entry entry, const Epoch& epoch, const Limits& limits, time_point now) {
    begin(epoch, {}, now);
    entry.number = ++top_.number;
    entry.before = std::exchange(top_.mark, entry.mark);
    bytes_ += entry.bytes;
    entries_.push_back({std::move(entry), now});
    trim(limits.rule, now);
    entries_until_ = now + limits.rule.max_age;
    stay(limits, now);
    return entries_.back().entry;
  }

  /// @param since  not set: only where the log ends
  /// @param epoch,mark  for a log that has none: it begins at the number 0 with this mark
  /// @param max_entries  the first so many of what was asked for
  Answer read(std::optional<std::uint64_t> since, const Epoch& epoch, const Mark& mark,
              std::size_t max_entries, const Limits& limits, time_point now) {
    begin(epoch, mark, now);
    stay(limits, now);
    Answer answer{.top = top_};
    if (!since || *since >= top_.number) return answer;
    const std::span<const Stored> all = entries_.all();
    auto next = std::ranges::upper_bound(all, *since, {},
                                         [](const Stored& stored) { return stored.entry.number; });
    for (; next != all.end() && answer.entries.size() < max_entries; ++next) {
      answer.entries.push_back(next->entry);
    }
    return answer;
  }

  /// Gives the log another epoch if it still has the @p expected one, or none.
  /// @returns where it ends
  Position fork(const Epoch& expected, const Epoch& epoch, const Mark& mark, const Limits& limits,
                time_point now) {
    begin(epoch, mark, now);
    stay(limits, now);
    if (top_.epoch == expected) top_.epoch = epoch;
    return top_;
  }

  /// All entries go, and another epoch begins.
  Position forget(const Epoch& epoch, const Mark& mark, const Limits& limits, time_point now) {
    begin(epoch, mark, now);
    stay(limits, now);
    top_.epoch = epoch;
    drop_entries(entries_.size());
    return top_;
  }

  /// Keeps the position, if there is one, for as long as after a message.
  void prolong(const Limits& limits, time_point now) noexcept {
    if (has_position_) stay(limits, now);
  }

  /// Drops what is not valid any more.
  /// @returns when there is more to drop; nothing if all is gone
  std::optional<time_point> expire(time_point now) noexcept {
    if (position_until_ <= now) drop_position();
    if (entries_until_ <= now) drop_entries(entries_.size());
    if (!has_position_ && entries_.empty()) return std::nullopt;
    if (!has_position_) return entries_until_;
    return entries_.empty() ? position_until_ : std::min(entries_until_, position_until_);
  }

  /// What may also happen to a log in Redis: the hash is evicted, or the list is, or trimmed.
  void drop_position() noexcept {
    has_position_ = false;
    top_ = {};
  }
  void drop_entries(std::size_t count) noexcept {
    for (; count > 0 && !entries_.empty(); --count) drop_oldest();
  }

  [[nodiscard]] bool has_position() const noexcept { return has_position_; }
  [[nodiscard]] const Position& position() const noexcept { return top_; }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Stored {
    Entry entry = {};
    time_point time = {};
  };

  void begin(const Epoch& epoch, const Mark& mark, time_point now) {
    expire(now);
    if (has_position_) return;
    drop_entries(entries_.size());  // of no epoch that anybody knows
    has_position_ = true;
    top_ = {epoch, 0, mark};
  }

  /// Where nobody ever says anything, nothing stays for as long as a position is valid.
  void stay(const Limits& limits, time_point now) noexcept {
    position_until_ = now + (top_.number == 0 ? limits.rule.max_age : limits.position_age);
  }

  void drop_oldest() noexcept {
    bytes_ -= entries_.front().entry.bytes;
    entries_.pop_front();
  }

  void trim(const HistoryRule& rule, time_point now) noexcept {
    const auto is_too_much = [&] {
      return entries_.size() > rule.max_messages || bytes_ > rule.max_bytes ||
             entries_.front().time <= now - rule.max_age;
    };
    for (std::size_t i = 0; i < max_dropped && entries_.size() > 1 && is_too_much(); ++i) {
      drop_oldest();
    }
  }

  Position top_ = {};
  bool has_position_ = false;
  std::size_t bytes_ = 0;
  FlatQueue<Stored> entries_;
  time_point entries_until_ = {};
  time_point position_until_ = {};
};

}  // namespace roost::detail
