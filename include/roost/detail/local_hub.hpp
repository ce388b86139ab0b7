// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "roost/backplane.hpp"
#include "roost/detail/config.hpp"
#include "roost/detail/inbound.hpp"
#include "roost/detail/room_index.hpp"

namespace roost::detail {

/// Which backplanes of this process have started, by channel.
///
/// The mutex is there because they are on several threads. It also makes publishing one step: all
/// receivers of a channel see the same order, and none that has left gets anything.
class LocalHubState {
 public:
  /// @returns false if it is closed.
  bool join(const std::string& channel, const std::shared_ptr<Inbound>& inbound) {
    const std::lock_guard lock(mutex_);
    if (!inbound->is_open()) return false;
    std::vector<std::shared_ptr<Inbound>>& members = channels_[channel];
    if (std::find(members.begin(), members.end(), inbound) == members.end()) {
      members.push_back(inbound);
    }
    return true;
  }

  void leave(std::string_view channel, const std::shared_ptr<Inbound>& inbound) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return;
    std::erase(found->second, inbound);
    if (found->second.empty()) channels_.erase(found);
  }

  /// @param own  the publisher's
  ROOST_WHEN_USED
  Published publish(std::string_view channel, const ParcelPtr& parcel, const Inbound& own) {
    const std::lock_guard lock(mutex_);
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return {.receivers = 0};
    Published published{.receivers = found->second.size()};
    for (const std::shared_ptr<Inbound>& inbound : found->second) {
      const std::size_t taken = inbound->deliver(parcel);
      if (inbound.get() == &own) published.local = taken;
    }
    return published;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<std::shared_ptr<Inbound>>, StringHash,
                     std::equal_to<>>
      channels_;
};

}  // namespace roost::detail
