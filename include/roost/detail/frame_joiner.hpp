// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "roost/frame.hpp"

namespace roost::detail {

/// Places small frames that follow each other to the same audience side by side in memory, so that
/// an `Outbox` holds them, and the kernel gets them, as one piece.
class FrameJoiner {
 public:
  /// The same frame, behind the one before if there is room; a large one as it is.
  [[nodiscard]] Frame join(const Frame& frame, FrameAccount* account = nullptr) {
    const std::size_t size = frame.size();
    if (size > largest_joined) return frame;
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

  /// What it holds of the account for itself.
  [[nodiscard]] std::size_t idle_bytes() const noexcept {
    return chunk_ && !chunk_.is_shared() ? chunk_.charged_bytes() : 0;
  }

 private:
  static constexpr std::size_t largest_joined = 1'024;
  static constexpr std::size_t smallest_chunk = 1'024;
  static constexpr std::size_t largest_chunk = 8'192;

  Frame chunk_;
  std::size_t used_ = 0;
};

}  // namespace roost::detail
