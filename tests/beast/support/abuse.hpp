// SPDX-License-Identifier: MIT
// What those who attack have in common.
#pragma once

#include <cstddef>
#include <string>

#include "beast/support/server.hpp"

namespace roost::test {

/// Kernels hold little for those who do not read.
inline constexpr RawClientOptions small_buffer{.receive_buffer_bytes = 16'384};
inline const StreamOptions small_stream{.send_buffer_bytes = 8'192};

inline std::string repeat(const std::string& what, std::size_t times) {
  std::string all;
  all.reserve(what.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += what;
  return all;
}

}  // namespace roost::test
