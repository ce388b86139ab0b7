// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "roost/base/build/config.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/socket/detail/outbox.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"

namespace roost::detail {

/// Places small frames that follow each other to the same audience side by side in memory, so that
/// an `Outbox` holds them, and the kernel gets them, as one piece.
class FrameCoalescer {
 public:
  /// The same frame, behind the one before if there is room; a large one as it is.
  [[nodiscard]] Frame coalesce(const Frame& frame, FrameAccount* account = nullptr);

  /// What it holds of the account for itself.
  [[nodiscard]] std::size_t idle_bytes() const noexcept {
    return chunk_ && !chunk_.is_shared() ? chunk_.charged_bytes() : 0;
  }

 private:
  static constexpr std::size_t largest_coalesced = 1'024;
  static constexpr std::size_t smallest_chunk = 1'024;
  static constexpr std::size_t largest_chunk = 8'192;

  Frame chunk_;
  std::size_t used_ = 0;
};

/// The frames of one manager in memory: where small ones are placed side by side, and what all that
/// are still queued cost.
class FrameMemory {
 public:
  /// @p frame to one room, or to everyone (an empty name), beside the one before. Rooms may share a
  /// place: what lies between their frames then is no harm.
  [[nodiscard]] Frame coalesce(const Frame& frame, std::string_view room) {
    return coalescers_[StringHash()(room) % coalescers_.size()].coalesce(frame, account_.get());
  }

  /// Before anything is queued. @pre no other thread has the frame
  void charge(const Frame& frame) { frame.charge_to(*account_); }

  /// What the outboxes add up to.
  [[nodiscard]] OutboxTotal& total() noexcept { return total_; }
  [[nodiscard]] const OutboxTotal& total() const noexcept { return total_; }

  /// Bytes of all outboxes; what many share counts once. What idle coalescers keep is no outbox's.
  [[nodiscard]] std::size_t bytes() const noexcept;
  /// The same at a glance, and never less.
  [[nodiscard]] std::size_t at_most() const noexcept {
    return account_->bytes() + total_.entries * sizeof(Outbox::Entry);
  }

 private:
  std::array<FrameCoalescer, 1'024> coalescers_;  // a fixed number: an idle one keeps its memory
  OutboxTotal total_;
  const FrameAccount::Ptr account_ = FrameAccount::open();
};

inline Frame FrameCoalescer::coalesce(const Frame& frame, FrameAccount* account) {
  const std::size_t size = frame.size();
  if (size > largest_coalesced) return frame;
  if (!chunk_.is_shared()) used_ = 0;  // nobody has any of it still to write
  if (chunk_.size() - used_ < size) {
    // As large as the burst is so far: whoever is slow keeps all of it in memory.
    const std::size_t capacity = std::clamp(2 * used_, smallest_chunk, largest_chunk);
    chunk_ = Frame::raw(std::max(capacity, size));
    if (account) chunk_.charge_to(*account);
    used_ = 0;
  }
  std::memcpy(chunk_.data() + used_, frame.wire().data(), size);
  used_ += size;
  return chunk_.slice(used_ - size, frame);
}

inline std::size_t FrameMemory::bytes() const noexcept {
  std::size_t bytes = at_most();
  for (const FrameCoalescer& coalescer : coalescers_) bytes -= coalescer.idle_bytes();
  return bytes;
}

}  // namespace roost::detail
