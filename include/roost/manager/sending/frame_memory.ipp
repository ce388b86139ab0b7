// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/sending/frame_memory.hpp"

namespace roost::detail {

ROOST_DECL std::size_t FrameMemory::bytes() const noexcept {
  std::size_t bytes = at_most();
  for (const FrameJoiner& joiner : joiners_) bytes -= joiner.idle_bytes();
  return bytes;
}

}  // namespace roost::detail
