// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <random>
#include <string_view>

#include "roost/base/text/random_id.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF std::string random_id() {
  static thread_local std::random_device device;
  static_assert(std::random_device::max() >= 0xFFFFFFFFU);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string id;
  id.reserve(32);
  for (int word = 0; word < 4; ++word) {
    const auto bits = static_cast<std::uint32_t>(device());
    for (int shift = 28; shift >= 0; shift -= 4) id += digits[(bits >> shift) & 15];
  }
  return id;
}

}  // namespace roost::detail
