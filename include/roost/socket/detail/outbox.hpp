// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "roost/socket/frame.hpp"
#include "roost/socket/overflow.hpp"
#include "roost/socket/socket_observer.hpp"

namespace roost::detail {

/// The frames still to be written to one connection, in order. It does no I/O and reads no clock:
/// its owner calls `gather`, writes the bytes and calls `consume`.
class Outbox {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// What an overflow policy may do with an entry: only `lossy` ones may be dropped.
  enum class EntryClass : std::uint8_t { message, lossy, control };

  struct Entry {
    Frame frame;
    time_point queued_at;
    std::uint32_t key_hash = 0;  ///< Hash of its key; 0: no key, never replaced.
    EntryClass entry_class = EntryClass::message;
    bool started = false;  ///< Part of it may be on the wire, so it must be completed.
  };

  Outbox() = default;
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;
  ~Outbox() { watch({}); }

  /// Sets the observer and the total that the bytes are added to. Frames queued already are
  /// included, and the observer is told the current state.
  void watch(OutboxWatch watch);

  /// Lets an entry hold several frames that are adjacent in memory, from now on.
  void coalesce_frames() noexcept { coalesces_frames_ = true; }

  /// Queues a frame. @pre it has bytes
  /// @returns whether the outbox was empty: then a flush must be requested
  bool push(const Frame& frame, time_point now, EntryClass entry_class = EntryClass::message) {
    const bool was_empty = empty();
    if (entry_class == EntryClass::message && watch_.is_lossy) entry_class = EntryClass::lossy;
    if (was_empty || !extend_last(frame, now, entry_class)) add(frame, now, entry_class);
    grow(frame.size());
    return was_empty;
  }

  /// Queues a frame that may be dropped, or replaces a queued frame with its key. The new frame
  /// keeps the position of the old one, so that a key which changes often does not move to the end
  /// each time.
  ///
  /// Nothing is dropped before a flush was tried: until then the queue does not show a slow peer.
  ///
  /// If the outbox shrinks, the observer is told only when bytes are written, because the caller
  /// may be iterating over many connections.
  /// @param on_removed  called with the position of each frame that is dropped to make room
  template <class OnRemoved>
  Queueing offer(const Frame& frame, time_point now, const FramePolicy& policy,
                 OnRemoved on_removed) {
    using Result = Queueing::Result;
    if (Entry* const older = find_replaceable(frame, policy)) {
      replace(*older, frame);
      return {.result = Result::conflated};
    }
    if (!policy.may_queue) return {.result = Result::dropped};
    std::size_t displaced = 0;
    // Without a failed flush a full outbox says nothing about the peer.
    if (blocked_ && bytes_ >= watch_.high_water) {
      if (policy.overflow == Overflow::drop_newest) return {.result = Result::dropped};
      if (policy.overflow == Overflow::drop_oldest) {
        displaced = make_room(on_removed);
        if (displaced == 0) return {.result = Result::dropped};
      }
    }
    const bool is_lossy = policy.overflow != Overflow::close;
    add(frame, now, is_lossy ? EntryClass::lossy : EntryClass::message).key_hash = policy.key_hash;
    grow(frame.size());
    return {.displaced = displaced};
  }

  /// Fills @p out, an array or a vector, with the next buffers to write, as many as fit.
  /// @returns how many buffers there are. They stay valid until they are consumed.
  template <class Buffers>
  std::size_t gather(Buffers& out) noexcept {
    std::size_t count = 0;
    for (Entry& entry : queued()) {
      if (count == out.size()) break;
      entry.started = true;
      const auto bytes = entry.frame.wire().subspan(count == 0 ? written_ : 0);
      out[count++] = typename Buffers::value_type(bytes.data(), bytes.size());
    }
    return count;
  }

  /// Removes @p n bytes that were gathered and written.
  void consume(std::size_t n);

  /// Notes that the peer did not take everything: from now on the age of the oldest byte counts.
  void mark_blocked();

  /// Notes that part of the first frame may be on the wire.
  void start_front() noexcept { queued().front().started = true; }

  /// Refuses further frames: none may follow a close frame (RFC 6455, section 5.5.1).
  void seal() noexcept { sealed_ = true; }
  [[nodiscard]] bool is_sealed() const noexcept { return sealed_; }

  /// Drops all frames, and refuses further ones.
  void discard() noexcept;

  [[nodiscard]] bool empty() const noexcept { return bytes_ == 0; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Returns how many bytes were consumed so far. The next frame begins at `consumed() + bytes()`.
  [[nodiscard]] std::uint64_t consumed() const noexcept { return consumed_; }
  /// Returns about how much memory the outbox uses: small frames cost more than their bytes.
  [[nodiscard]] std::size_t cost() const noexcept {
    return std::max(bytes_, count() * sizeof(Entry));
  }
  [[nodiscard]] bool is_above_high_water() const noexcept { return above_high_; }
  [[nodiscard]] const Entry& front() const noexcept {
    return entries_.empty() ? only_ : entries_[head_];
  }

  /// Returns when the oldest byte that is not written yet was queued.
  [[nodiscard]] std::optional<time_point> oldest() const noexcept {
    if (empty()) return std::nullopt;
    return front().queued_at;
  }

 private:
  [[nodiscard]] std::size_t count() const noexcept {
    return entries_.empty() ? static_cast<std::size_t>(static_cast<bool>(only_.frame))
                            : entries_.size() - head_;
  }
  [[nodiscard]] std::span<Entry> queued() noexcept {
    return {entries_.empty() ? &only_ : entries_.data() + head_, count()};
  }

  void add_up(std::size_t bytes, std::size_t entries) noexcept {
    if (!watch_.total) return;
    watch_.total->bytes += bytes;
    watch_.total->entries += entries;
  }
  void subtract(std::size_t bytes, std::size_t entries) noexcept {
    if (!watch_.total) return;
    watch_.total->bytes -= bytes;
    watch_.total->entries -= entries;
  }

  void grow(std::size_t n) {
    bytes_ += n;
    add_up(n, 0);
    above_low_ = above_low_ || bytes_ > watch_.high_water / 2;
    if (!above_high_ && bytes_ >= watch_.high_water) {
      above_high_ = true;
      busy_ = true;
      notify(OutboxEvent::above_high_water);
    }
  }

  Entry& add(const Frame& frame, time_point now, EntryClass entry_class) {
    Entry& added = append({.frame = frame, .queued_at = now, .entry_class = entry_class});
    add_up(0, 1);  // after the append, which may find no memory
    return added;
  }
  Entry& append(Entry entry) {
    if (entries_.empty() && !only_.frame) return only_ = std::move(entry);
    if (only_.frame) entries_.push_back(std::move(only_));
    if (head_ > 32 && head_ * 2 > entries_.size()) {
      entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    return entries_.emplace_back(std::move(entry));
  }

  // All frames of an entry have one age and one class. Lossy frames are dropped one by one, so they
  // are not coalesced.
  bool extend_last(const Frame& frame, time_point now, EntryClass entry_class) noexcept {
    Entry& last = entries_.empty() ? only_ : entries_.back();
    return coalesces_frames_ && last.queued_at == now && last.entry_class == entry_class &&
           entry_class != EntryClass::lossy && last.frame.extend_by(frame);
  }

  [[nodiscard]] Entry* find_replaceable(const Frame& frame, const FramePolicy& policy) noexcept;

  // The entry keeps its age: the peer has taken nothing since.
  void replace(Entry& entry, const Frame& frame);

  [[nodiscard]] static bool may_drop(const Entry& entry) noexcept {
    return entry.entry_class == EntryClass::lossy && !entry.started;
  }

  // Drops lossy frames until the outbox is below its mark; none if dropping all would not suffice.
  template <class OnRemoved>
  std::size_t make_room(OnRemoved& on_removed) {
    const std::span<Entry> all = queued();
    std::size_t left = bytes_;
    for (std::size_t i = 0; i < all.size() && left >= watch_.high_water; ++i) {
      if (may_drop(all[i])) left -= all[i].frame.size();
    }
    if (left >= watch_.high_water) return 0;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (bytes_ > left && may_drop(all[i])) {
        bytes_ -= all[i].frame.size();
        subtract(all[i].frame.size(), 1);
        all[i].frame = Frame();
        on_removed(kept);
      } else {
        if (kept != i) all[kept] = std::move(all[i]);
        ++kept;
      }
    }
    const std::size_t removed = all.size() - kept;
    if (!entries_.empty()) {
      entries_.erase(entries_.end() - static_cast<std::ptrdiff_t>(removed), entries_.end());
    }
    return removed;
  }

  // Keeps the memory of idle connections small.
  void release_storage() noexcept;

  void notify(OutboxEvent event) {
    if (watch_.observer) watch_.observer->on_outbox(event);
  }

  // A single entry is kept here, without memory of its own: most outboxes never hold two. It has no
  // frame if there is none, or if the entries are in `entries_`.
  Entry only_;
  std::vector<Entry> entries_;
  std::size_t head_ = 0;     // index in `entries_` of the first that is not written completely
  std::size_t written_ = 0;  // how many of its bytes are written
  std::size_t bytes_ = 0;
  std::uint64_t consumed_ = 0;
  OutboxWatch watch_;
  bool coalesces_frames_ = false;
  bool above_high_ = false;
  bool above_low_ = false;
  bool blocked_ = false;
  bool busy_ = false;  // the observer must be told `emptied`
  bool sealed_ = false;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/socket/detail/outbox.ipp"
#endif
