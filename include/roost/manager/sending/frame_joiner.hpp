// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "roost/base/build/config.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

/// Places small frames that follow each other to the same audience side by side in memory, so that
/// an `Outbox` holds them, and the kernel gets them, as one piece.
class FrameJoiner {
 public:
  /// The same frame, behind the one before if there is room; a large one as it is.
  [[nodiscard]] Frame join(const Frame& frame, FrameAccount* account = nullptr);

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

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/sending/frame_joiner.ipp"
#endif
