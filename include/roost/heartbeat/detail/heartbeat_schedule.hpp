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

/// Decides when each connection is pinged and when it has been silent for too long. It is a timing
/// wheel, driven by one timer; it has no clock and no socket of its own.
///
/// One turn of the wheel takes one interval. An entry is visited when its ping is due or when it
/// may have been silent for the whole timeout, whichever comes first. The wheel ticks as long as it
/// has entries, even if none is due, because a late tick shows that the loop stalled. Then the
/// wheel and the deadlines of entries that could not be heard move by the length of the stall.
class HeartbeatSchedule {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  static constexpr std::size_t max_slots = 128;
  /// The shortest tick. Timers on a busy machine may be late by about so much without a stall.
  static constexpr duration min_tick = std::chrono::milliseconds(10);

  /// One connection. Its owner must remove it before destroying it.
  struct Entry {
    Entry() = default;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    // Used by the schedule.
    Entry** previous = nullptr;  ///< The pointer that points here; null: not in the schedule.
    Entry* next = nullptr;
    std::uint64_t ping_tick = 0;  ///< The tick of its next ping.
    time_point seen{};  ///< Last known sign of life: at first when it was added; moved by stalls.
  };

  /// The entries that are due. An entry is in at most one of the lists; an entry in `drop` is due
  /// at each tick until it is removed.
  struct Due {
    std::vector<Entry*> ping;
    std::vector<Entry*> drop;
    duration late_by{};  ///< How long the loop stalled; zero if it did not.
  };

  /// @pre `0 < interval < timeout`
  HeartbeatSchedule(duration interval, duration timeout);
  HeartbeatSchedule(const HeartbeatSchedule&) = delete;
  HeartbeatSchedule& operator=(const HeartbeatSchedule&) = delete;

  [[nodiscard]] duration tick() const noexcept { return tick_; }
  [[nodiscard]] std::size_t slots() const noexcept { return slots_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Adds an entry, as seen at @p now. Its first ping is due within one interval.
  void add(Entry& entry, time_point now) noexcept;

  void remove(Entry& entry) noexcept;

  /// Returns when to call `advance` next, or nothing while there are no entries.
  [[nodiscard]] std::optional<time_point> next_wake() const noexcept;

  /// Advances to @p now and returns the entries that are due. If it is called early nothing is due.
  /// @param last_seen  returns when an entry was last heard from: `time_point(const Entry&)`
  template <class LastSeen>
  [[nodiscard]] Due advance(time_point now, LastSeen last_seen) {
    Due due;
    due.late_by = lateness(now);
    if (due.late_by > duration::zero()) shift(due.late_by, last_seen);
    while (size_ > 0 && time_of(current_ + 1) <= now) {
      // Allocate everything first: if that fails, no entry may be lost between two slots.
      std::vector<Entry*> looked_at;
      collect(slots_[(current_ + 1) % slots_.size()], looked_at);
      due.ping.reserve(due.ping.size() + looked_at.size());
      due.drop.reserve(due.drop.size() + looked_at.size());
      ++current_;
      for (Entry* entry : looked_at) look_at(*entry, last_seen(*entry), now, due);
    }
    return due;
  }

  /// Returns whether an entry that was last heard from at @p last_seen is within the timeout,
  /// allowing for a stall that no tick has noticed yet.
  [[nodiscard]] bool is_alive(const Entry& entry, time_point last_seen,
                              time_point now) const noexcept;

 private:
  struct Slot {
    Entry* first = nullptr;  // entries to visit at this slot next
    std::size_t pings = 0;   // number of entries pinged at this slot
  };

  [[nodiscard]] time_point time_of(std::uint64_t tick) const noexcept {
    return origin_ + static_cast<duration::rep>(tick) * tick_;
  }

  /// Returns how late the next tick is, or zero if that is at most one tick.
  [[nodiscard]] duration lateness(time_point now) const noexcept;

  void look_at(Entry& entry, time_point last_seen, time_point now, Due& due) noexcept;

  /// Moves the whole wheel by the stall, so that missed pings are not sent in a burst.
  template <class LastSeen>
  void shift(duration late_by, LastSeen& last_seen) {
    const time_point was_due = time_of(current_ + 1);
    std::vector<Entry*> everyone;
    for (const Slot& slot : slots_) collect(slot, everyone);
    origin_ += late_by;
    for (Entry* entry : everyone) {
      entry->seen = std::max(entry->seen, last_seen(*entry));
      if (entry->seen < was_due) entry->seen += late_by;
      unlink(*entry);
      insert(*entry, entry->seen);
    }
  }

  /// Puts an entry into the slot at which it must be visited next: that of its ping, or of the
  /// first tick at which it may have been silent for too long. Never more than one turn ahead.
  void insert(Entry& entry, time_point seen) noexcept;

  static void unlink(Entry& entry) noexcept;

  static void collect(const Slot& slot, std::vector<Entry*>& into);

  /// Returns the slot with the fewest pings. Among several it takes the one a stride further, which
  /// spreads new connections over the whole interval and fills the gaps that others left.
  [[nodiscard]] std::size_t emptiest_slot() noexcept;

  // Returns about the golden section of the wheel, coprime to its size.
  static std::size_t stride_for(std::size_t slots) noexcept;

  std::vector<Slot> slots_;
  const duration tick_;
  const duration timeout_;
  const std::size_t stride_;
  std::size_t next_slot_ = 0;
  std::size_t fewest_ = 0;  // no slot has fewer pings

  std::size_t size_ = 0;
  time_point origin_{};        // the time of tick 0
  std::uint64_t current_ = 0;  // the last tick that was processed
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/heartbeat/detail/heartbeat_schedule.ipp"
#endif
