// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "roost/backplane/backplane.hpp"
#include "roost/heartbeat/heartbeat_options.hpp"
#include "roost/manager/options.hpp"

namespace roost {

/// What `init_websockets` puts around a manager.
struct ServiceOptions {
  /// `nullopt`: no heartbeat.
  std::optional<HeartbeatOptions> heartbeat = HeartbeatOptions{};
  /// Carries messages between replicas. Empty: there is one replica only.
  BackplaneRef backplane = {};
  /// Whether messages of the backplane may be for everyone; else those without a room are dropped.
  bool allow_global_broadcast = false;
  /// Whether the backplane is started and stopped here; else that is up to the application.
  bool start_backplane = true;
  /// How a shutdown lets the connections go.
  DrainOptions drain = {};
};

}  // namespace roost
