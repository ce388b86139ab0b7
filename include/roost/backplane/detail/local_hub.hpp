// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/detail/handler_queues.hpp"
#include "roost/base/build/config.hpp"
#include "roost/manager/registry/room_index.hpp"

namespace roost::detail {

/// Which backplanes of this process have started, by channel.
///
/// The mutex is there because they are on several threads. It also makes publishing one step: all
/// receivers of a channel see the same order, and none that has left gets anything.
class LocalHubState {
 public:
  /// @returns false if it is closed.
  ROOST_WHEN_USED bool join(const std::string& channel, const std::shared_ptr<Inbound>& inbound);

  void leave(std::string_view channel, const std::shared_ptr<Inbound>& inbound) noexcept;

  /// @param own  the publisher's
  ROOST_WHEN_USED Published publish(std::string_view channel, const ParcelPtr& parcel,
                                    const Inbound& own, const PublishedBy& by);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<std::shared_ptr<Inbound>>, StringHash,
                     std::equal_to<>>
      channels_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/detail/local_hub.ipp"
#endif
