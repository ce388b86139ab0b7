// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Includes the core of roost: everything except the adapters (`roost/beast.hpp`, ...),
/// `LocalBackplane` (`roost/backplane/local_backplane.hpp`) and the test kit (`roost/testing.hpp`).
/// It does not include Beast, hiredis or OpenSSL.

#include "roost/access/connection_limiter.hpp"
#include "roost/access/origin_policy.hpp"
#include "roost/access/rate_limit.hpp"
#include "roost/backplane/backplane.hpp"
#include "roost/backplane/cluster.hpp"
#include "roost/backplane/history.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/base/hook.hpp"
#include "roost/base/log.hpp"
#include "roost/base/log_sinks.hpp"
#include "roost/base/names.hpp"
#include "roost/heartbeat/heartbeat_monitor.hpp"
#include "roost/heartbeat/heartbeat_options.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/stats.hpp"
#include "roost/runtime/running.hpp"
#include "roost/service/service.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"
#include "roost/socket/websocket_like.hpp"
#include "roost/version.hpp"
