// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// When each of many connections is to be pinged, and when it has been silent for too long: a
/// timing wheel, for one timer. Knows no clock and no socket.
///
/// A turn of the wheel is an interval. Each entry is looked at when its ping is due or when it may
/// have been silent for the whole timeout, whichever comes first. The wheel ticks while it has
/// entries, also where nobody is due: a tick that comes late is how a stalled loop is noticed. Then
/// the wheel and the deadlines of those that could not be heard move by as much.
class HeartbeatSchedule {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  static constexpr std::size_t max_slots = 128;
  /// What a timer may be late by on a busy machine is no stall.
  static constexpr duration min_tick = std::chrono::milliseconds(10);

  /// One connection. Its owner removes it before it goes.
  class Entry {
   public:
    Entry() = default;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    friend class HeartbeatSchedule;
    Entry** previous_ = nullptr;  // the pointer that points here; null: not in the schedule
    Entry* next_ = nullptr;
    std::uint64_t ping_tick_ = 0;  // its next ping
    time_point seen_{};            // at least: when it was added, moved by stalls since
  };

  /// What is due. An entry is in one of the two at most; those to drop are due at each tick until
  /// they are removed.
  struct Due {
    std::vector<Entry*> ping;
    std::vector<Entry*> drop;
    duration late_by{};  ///< Above zero: the loop was stalled for so long.
  };

  /// @pre `0 < interval < timeout`
  HeartbeatSchedule(duration interval, duration timeout);
  HeartbeatSchedule(const HeartbeatSchedule&) = delete;
  HeartbeatSchedule& operator=(const HeartbeatSchedule&) = delete;

  [[nodiscard]] duration tick() const noexcept { return tick_; }
  [[nodiscard]] std::size_t slots() const noexcept { return slots_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Takes an entry in, as seen at @p now. Its first ping is due within an interval.
  void add(Entry& entry, time_point now) noexcept;

  void remove(Entry& entry) noexcept;

  /// When to call `advance` next; nothing while there are no entries.
  [[nodiscard]] std::optional<time_point> next_wake() const noexcept;

  /// Goes on to @p now. Also to be called early: then nothing is due.
  /// @param last_seen  when an entry was last heard of: `time_point(const Entry&)`
  template <class LastSeen>
  [[nodiscard]] Due advance(time_point now, LastSeen last_seen) {
    Due due;
    due.late_by = lateness(now);
    if (due.late_by > duration::zero()) shift(due.late_by, last_seen);
    while (size_ > 0 && time_of(current_ + 1) <= now) {
      // All memory that this needs comes first: an entry must not get lost between two slots.
      std::vector<Entry*> looked_at;
      collect(slots_[(current_ + 1) % slots_.size()], looked_at);
      due.ping.reserve(due.ping.size() + looked_at.size());
      due.drop.reserve(due.drop.size() + looked_at.size());
      ++current_;
      for (Entry* entry : looked_at) look_at(*entry, last_seen(*entry), now, due);
    }
    return due;
  }

  /// Whether an entry that was last heard of at @p last_seen has not been silent for too long; a
  /// stall that no tick has told of yet counts too.
  [[nodiscard]] bool is_alive(const Entry& entry, time_point last_seen,
                              time_point now) const noexcept;

 private:
  struct Slot {
    Entry* first = nullptr;  // those that are looked at in this slot next
    std::size_t pings = 0;   // those that are pinged in it
  };

  [[nodiscard]] time_point time_of(std::uint64_t tick) const noexcept {
    return origin_ + static_cast<duration::rep>(tick) * tick_;
  }

  /// How late the next tick is, if that is more than a tick.
  [[nodiscard]] duration lateness(time_point now) const noexcept;

  void look_at(Entry& entry, time_point last_seen, time_point now, Due& due) noexcept;

  /// The whole wheel moves, so that what was missed is not made up for in a burst.
  template <class LastSeen>
  void shift(duration late_by, LastSeen& last_seen) {
    const time_point was_due = time_of(current_ + 1);
    std::vector<Entry*> everyone;
    for (const Slot& slot : slots_) collect(slot, everyone);
    origin_ += late_by;
    for (Entry* entry : everyone) {
      entry->seen_ = std::max(entry->seen_, last_seen(*entry));
      if (entry->seen_ < was_due) entry->seen_ += late_by;
      unlink(*entry);
      insert(*entry, entry->seen_);
    }
  }

  /// Puts an entry where it must be looked at next: at its ping, or at the first tick at which it
  /// may have been silent for too long. Never further than one turn ahead.
  void insert(Entry& entry, time_point seen) noexcept;

  static void unlink(Entry& entry) noexcept;

  static void collect(const Slot& slot, std::vector<Entry*>& into);

  /// Where fewest are pinged. Of several the one a stride further: the next few connections are
  /// spread over the whole interval, and gaps that others left are filled.
  [[nodiscard]] std::size_t emptiest_slot() noexcept;

  // About the golden section of the wheel, and in no common measure with it.
  static std::size_t stride_for(std::size_t slots) noexcept;

  std::vector<Slot> slots_;
  const duration tick_;
  const duration timeout_;
  const std::size_t stride_;
  std::size_t next_slot_ = 0;

  std::size_t size_ = 0;
  time_point origin_{};        // the time of tick 0
  std::uint64_t current_ = 0;  // the last tick that was carried out
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/heartbeat/detail/heartbeat_schedule.ipp"
#endif
