// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/history/log_entry.hpp"
#include "roost/backplane/history/position.hpp"

namespace roost::detail {

class HistoryMemory;

/// A room whose newest messages are kept, in the order of last use.
class CachedRoom {
 public:
  CachedRoom() = default;
  CachedRoom(const CachedRoom&) = delete;
  CachedRoom& operator=(const CachedRoom&) = delete;

 protected:
  ~CachedRoom() { unlink(); }
  void unlink() noexcept {
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = this;
  }

 private:
  friend class HistoryMemory;
  /// @returns what it counted; never called while nothing is kept
  virtual std::size_t drop_oldest() noexcept { return 0; }

  CachedRoom* previous_ = this;
  CachedRoom* next_ = this;
};

/// What the room logs of one replica share: the bytes that they may hold together, and the numbers
/// of their questions. It must outlive them.
class HistoryMemory {
 public:
  explicit HistoryMemory(std::size_t max_bytes) noexcept : max_bytes_(max_bytes) {}

  [[nodiscard]] std::size_t used() const noexcept { return used_; }
  [[nodiscard]] std::uint64_t next_question() noexcept { return ++questions_; }

  /// @p room has been used just now; nothing of those that were not is kept for long.
  void touch(CachedRoom& room) noexcept {
    room.unlink();
    room.previous_ = rooms_.previous_;
    room.next_ = &rooms_;
    rooms_.previous_->next_ = &room;
    rooms_.previous_ = &room;
  }
  void add(std::size_t bytes) noexcept { used_ += bytes; }
  void subtract(std::size_t bytes) noexcept { used_ -= bytes; }
  /// Drops messages of the rooms that were not used for the longest time.
  /// @returns false if the rest, which the cache does not hold, is still too much
  bool shrink() noexcept {
    while (used_ > max_bytes_ && rooms_.next_ != &rooms_) used_ -= rooms_.next_->drop_oldest();
    return used_ <= max_bytes_;
  }

 private:
  const std::size_t max_bytes_;
  std::size_t used_ = 0;
  std::uint64_t questions_ = 0;
  CachedRoom rooms_;  // the end of the ring
};

/// The newest messages of a room: a chain without a gap, up to where the room log is.
template <class Payload>
class RoomCache final : private CachedRoom {
 public:
  using Entry = LogEntry<Payload>;

  RoomCache(HistoryMemory& memory, std::size_t max_bytes) noexcept
      : memory_(memory), max_bytes_(max_bytes) {}
  ~RoomCache() { clear(); }

  [[nodiscard]] std::span<const Entry> all() const noexcept { return entries_.all(); }
  /// @pre  `mark_of(number, all())` is known
  [[nodiscard]] std::span<const Entry> after(std::uint64_t number) const noexcept {
    return entries_.all().subspan(static_cast<std::size_t>(number + 1 - entries_.front().number));
  }

  /// @p entry follows the newest. Nothing is dropped before `trim`.
  void append(Entry entry) {
    const std::size_t bytes = entry.bytes;
    entries_.push_back(std::move(entry));
    count(bytes);
  }
  /// @p older end where the oldest begins. Nothing is dropped before `trim`.
  void prepend(std::span<const Entry> older) {
    std::size_t bytes = 0;
    for (const Entry& entry : older) bytes += entry.bytes;
    entries_.push_front(older);
    count(bytes);
  }
  /// Keeps the limits of the room and of the replica.
  void trim() noexcept {
    while (bytes_ > max_bytes_) memory_.subtract(drop_oldest());
    memory_.shrink();
  }
  void clear() noexcept {
    memory_.subtract(std::exchange(bytes_, 0));
    entries_.clear();
    unlink();
  }

 private:
  void count(std::size_t bytes) noexcept {
    bytes_ += bytes;
    memory_.add(bytes);
    memory_.touch(*this);
  }
  std::size_t drop_oldest() noexcept override {
    const std::size_t bytes = entries_.front().bytes;
    entries_.pop_front();
    bytes_ -= bytes;
    if (entries_.empty()) unlink();
    return bytes;
  }

  HistoryMemory& memory_;
  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  FlatQueue<Entry> entries_;
};

}  // namespace roost::detail
