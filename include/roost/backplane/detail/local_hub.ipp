// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>

#include "roost/backplane/detail/local_hub.hpp"
#include "roost/base/error.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF bool LocalHubState::join(const std::string& channel,
                                             const std::shared_ptr<Inbound>& inbound) {
  const std::lock_guard lock(mutex_);
  if (!inbound->is_open()) return false;
  std::vector<std::shared_ptr<Inbound>>& members = channels_[channel];
  if (std::find(members.begin(), members.end(), inbound) == members.end()) {
    members.push_back(inbound);
  }
  return true;
}

ROOST_DECL void LocalHubState::leave(std::string_view channel,
                                     const std::shared_ptr<Inbound>& inbound) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = channels_.find(channel);
  if (found == channels_.end()) return;
  std::erase(found->second, inbound);
  if (found->second.empty()) channels_.erase(found);
}

ROOST_WHEN_USED_DEF Published LocalHubState::publish(std::string_view channel,
                                                     const ParcelPtr& parcel, const Inbound& own,
                                                     const PublishedBy& by) {
  const std::lock_guard lock(mutex_);
  const auto found = channels_.find(channel);
  if (found == channels_.end()) return {.receivers = 0};
  Published published{.receivers = found->second.size()};
  for (const std::shared_ptr<Inbound>& inbound : found->second) {
    const Delivered delivered = inbound->deliver(parcel, by);
    if (inbound.get() == &own) published.local = delivered.taken;
    published.missed += delivered.missed;
  }
  if (published.missed > 0) published.error = make_error_code(errc::backplane_full);
  return published;
}

}  // namespace roost::detail
