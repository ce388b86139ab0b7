// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <utility>

#include "roost/manager/lifecycle/gate.hpp"

namespace roost::detail {

ROOST_DECL std::string retry_hint(Clock::duration delay) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(delay);
  return "retry-ms=" + std::to_string(ms.count());
}

ROOST_DECL void Gate::close(std::uint16_t code, Clock::duration retry_after,
                            Clock::duration retry_spread) noexcept {
  refusal_ = {.code = code, .retry_after = retry_after, .retry_spread = retry_spread};
  is_open_.store(false, std::memory_order_relaxed);
}

ROOST_DECL Clock::duration Gate::next_retry() noexcept {
  phase_ += 0x9E37'79B9'7F4A'7C15U;
  const double share = static_cast<double>(phase_ >> 11) * 0x1p-53;
  return refusal_.retry_after + Clock::duration(static_cast<Clock::duration::rep>(
                                    static_cast<double>(refusal_.retry_spread.count()) * share));
}

ROOST_WHEN_USED_DEF void Gate::add(std::weak_ptr<Entrance> entrance) {
  std::erase_if(entrances_, [](const auto& weak) { return weak.expired(); });
  entrances_.push_back(std::move(entrance));
}

ROOST_WHEN_USED_DEF void Gate::hand_over() noexcept {
  for (const auto& weak : entrances_) {
    if (const auto entrance = weak.lock()) entrance->hand_over();
  }
}

ROOST_WHEN_USED_DEF void Gate::close_entrances() noexcept {
  for (const auto& weak : entrances_) {
    if (const auto entrance = weak.lock()) entrance->close();
  }
}

ROOST_WHEN_USED_DEF void Gate::shut(const boost::asio::any_io_executor& executor) {
  is_open_.store(false, std::memory_order_relaxed);
  for (const auto& weak : std::exchange(entrances_, {})) {
    if (const auto entrance = weak.lock()) entrance->shut();
  }
  visits_.cancel(executor);
}

}  // namespace roost::detail
