// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace roost::detail {

/// Asks for memory that will be needed soon: a walk over thousands of connections waits for little
/// else. The bytes need not be there to be asked for.
template <std::size_t bytes = 1>
void prefetch([[maybe_unused]] const void* memory) noexcept {
#if defined(__GNUC__)
  constexpr std::size_t cache_line = 64;
  for (std::size_t i = 0; i < bytes; i += cache_line) {
    __builtin_prefetch(static_cast<const char*>(memory) + i, /*for writing*/ 1);
  }
#endif
}

}  // namespace roost::detail
