// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "roost/backplane/backplane.hpp"
#include "roost/heartbeat/heartbeat_options.hpp"
#include "roost/manager/options.hpp"

namespace roost {

/// What `init_websockets` adds to a manager.
struct ServiceOptions {
  /// Options of the heartbeat. `nullopt`: no heartbeat.
  std::optional<HeartbeatOptions> heartbeat = HeartbeatOptions{};
  /// Carries messages between replicas. Empty: there is one replica only.
  BackplaneRef backplane = {};
  /// Whether messages of the backplane may be for everyone. If false, messages without a room are
  /// dropped.
  bool allow_global_broadcast = false;
  /// Whether the service starts and stops the backplane. If false, the application does.
  bool start_backplane = true;
  /// How `Service::shutdown` drains the manager.
  DrainOptions drain = {};
};

}  // namespace roost
