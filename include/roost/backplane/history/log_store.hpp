// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <unordered_map>

#include "roost/backplane/history.hpp"
#include "roost/backplane/history/position.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/text/text.hpp"

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

/// What the logs of a store add up to.
struct LogTotals {
  std::size_t rooms = 0;       ///< That have a log.
  std::size_t messages = 0;    ///< That are kept now.
  std::size_t bytes = 0;       ///< What these count for the limits.
  std::uint64_t recorded = 0;  ///< All that were ever recorded.
};

/// The logs of all rooms, in memory. Pure: time and randomness are the caller's.
///
/// The calls are for rooms that a rule matches, see `find_rule`. Each is told an epoch, and a mark,
/// for a log that has to begin.
template <class Payload>
class LogStore {
 public:
  using Log = StoredLog<Payload>;
  using Entry = LogEntry<Payload>;
  using Answer = LogAnswer<Payload>;
  using time_point = Clock::time_point;

  /// What a message has become.
  struct Recorded {
    Position at = {};
    Entry entry = {};
  };

  /// How many entries are read at once.
  static constexpr std::size_t max_read = 64;

  /// @par Errors  `errc::invalid_option`, naming the field
  explicit LogStore(HistoryOptions options) : options_(std::move(options)) {
    check_history(options_);
  }
  LogStore(const LogStore&) = delete;
  LogStore& operator=(const LogStore&) = delete;

  /// @param entry  payload, bytes and mark; not over the rule's `max_bytes`
  Recorded record(std::string_view room, Entry entry, const Epoch& epoch, time_point now) {
    Room& found = open(room, now);
    const Counting counting(totals_, found.log);
    ++totals_.recorded;
    Recorded recorded;
    recorded.entry = found.log.record(std::move(entry), epoch, limits(found), now);
    recorded.at = found.log.position();
    return recorded;
  }
  /// See `StoredLog`.
  Answer read(std::string_view room, std::optional<std::uint64_t> since, const Epoch& epoch,
              const Mark& mark, time_point now, std::size_t max_entries = max_read) {
    Room& found = open(room, now);
    const Counting counting(totals_, found.log);
    return found.log.read(since, epoch, mark, max_entries, limits(found), now);
  }
  Position fork(std::string_view room, const Epoch& expected, const Epoch& epoch, const Mark& mark,
                time_point now) {
    Room& found = open(room, now);
    const Counting counting(totals_, found.log);
    return found.log.fork(expected, epoch, mark, limits(found), now);
  }
  Position forget(std::string_view room, const Epoch& epoch, const Mark& mark, time_point now) {
    Room& found = open(room, now);
    const Counting counting(totals_, found.log);
    return found.log.forget(epoch, mark, limits(found), now);
  }

  /// Notes that @p room has members, who keep its position valid, once more than before.
  void enter(std::string_view room, time_point now) {
    auto found = rooms_.find(room);
    // A position that is too old already must not become valid again.
    const bool is_quiet = found != rooms_.end() && found->second.members == 0;
    if (is_quiet && !expire_log(found->second, now)) {
      drop(found);
      found = rooms_.end();
    }
    if (found == rooms_.end()) found = add(room);
    Room& entered = found->second;
    if (++entered.members > 1 || !entered.is_open) return;
    occupied_.splice(occupied_.end(), quiet_, entered.place);
  }
  /// Takes one `enter` back.
  void leave(std::string_view room, time_point now) noexcept {
    const auto found = rooms_.find(room);
    if (found == rooms_.end() || found->second.members == 0) return;
    Room& left = found->second;
    if (--left.members > 0) return;
    if (!left.is_open) {
      rooms_.erase(found);
      return;
    }
    left.log.prolong(limits(left), now);
    quiet_.splice(quiet_.end(), occupied_, left.place);
  }

  /// Drops what is too old; each of the calls above does some of it.
  /// @param most  looks at so many rooms
  void expire(time_point now, std::size_t most) {
    for (; most > 0 && !due_.empty() && due_.begin()->first <= now; --most) {
      const auto found = rooms_.find(*due_.begin()->second);
      Room& room = found->second;
      if (room.members > 0) room.log.prolong(limits(room), now);
      const auto next = expire_log(room, now);
      if (next) {
        auto node = due_.extract(room.due);
        node.key() = std::min(*next, now + room.rule->max_age);
        room.due = due_.insert(std::move(node));
      } else {
        drop(found);
      }
    }
  }

  /// Rooms that have a log.
  [[nodiscard]] std::size_t rooms() const noexcept { return due_.size(); }
  [[nodiscard]] LogTotals totals() const noexcept {
    LogTotals totals = totals_;
    totals.rooms = rooms();
    return totals;
  }

 private:
  /// Keeps the totals right while a log changes.
  class Counting {
   public:
    Counting(LogTotals& totals, const Log& log) noexcept
        : totals_(totals), log_(log), messages_(log.size()), bytes_(log.bytes()) {}
    Counting(const Counting&) = delete;
    Counting& operator=(const Counting&) = delete;
    ~Counting() {
      totals_.messages += log_.size() - messages_;
      totals_.bytes += log_.bytes() - bytes_;
    }

   private:
    LogTotals& totals_;
    const Log& log_;
    const std::size_t messages_;
    const std::size_t bytes_;
  };

  using Names = std::list<const std::string*>;
  using Dues = std::multimap<time_point, const std::string*>;

  struct Room {
    const HistoryRule* rule = nullptr;
    std::size_t members = 0;
    bool is_open = false;  ///< It has a log. All that follows counts only then.
    Log log = {};
    Names::iterator place = {};
    Dues::iterator due = {};
  };
  using Rooms = std::unordered_map<std::string, Room, StringHash, std::equal_to<>>;

  [[nodiscard]] typename Log::Limits limits(const Room& room) const noexcept {
    return {*room.rule, options_.position_age};
  }

  typename Rooms::iterator add(std::string_view name) {
    return rooms_.emplace(std::string(name), Room{.rule = find_rule(options_, name)}).first;
  }

  /// Returns when the log has to be looked at again; nothing if it is over.
  std::optional<time_point> expire_log(Room& room, time_point now) noexcept {
    const Counting counting(totals_, room.log);
    return room.log.expire(now);
  }

  Room& open(std::string_view name, time_point now) {
    expire(now, 2);
    auto found = rooms_.find(name);
    if (found == rooms_.end() || !found->second.is_open) {
      while (due_.size() >= options_.max_rooms) drop_quietest();
      if (found == rooms_.end()) found = add(name);
    }
    Room& room = found->second;
    Names& names = room.members > 0 ? occupied_ : quiet_;
    if (room.is_open) {
      names.splice(names.end(), names, room.place);
      if (room.members > 0) room.log.prolong(limits(room), now);
    } else {
      room.due = due_.emplace(now + room.rule->max_age, &found->first);
      room.place = names.insert(names.end(), &found->first);
      room.is_open = true;
    }
    return room;
  }

  void drop_quietest() noexcept {
    drop(rooms_.find(*(quiet_.empty() ? occupied_ : quiet_).front()));
  }
  void drop(typename Rooms::iterator found) noexcept {
    Room& room = found->second;
    {
      const Counting counting(totals_, room.log);
      room.log = {};
    }
    due_.erase(room.due);
    (room.members > 0 ? occupied_ : quiet_).erase(room.place);
    room.is_open = false;
    if (room.members == 0) rooms_.erase(found);
  }

  const HistoryOptions options_;
  LogTotals totals_;  // without the rooms
  Rooms rooms_;       // those with a log, and those with members
  // The rooms with a log, without members and with members: the one that was not used for the
  // longest time is the first.
  Names quiet_;
  Names occupied_;
  // When to look at which of them: before anything in it is too old. A message does not move its
  // room here.
  Dues due_;
};

}  // namespace roost::detail
