// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstring>

#include "roost/manager/sending/frame_joiner.hpp"

namespace roost::detail {

ROOST_DECL Frame FrameJoiner::join(const Frame& frame, FrameAccount* account) {
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

}  // namespace roost::detail
