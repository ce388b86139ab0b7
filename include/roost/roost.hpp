// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// The core of roost: everything but the adapters (`roost/beast.hpp`) and the test kit
/// (`roost/testing.hpp`). Includes neither Beast nor hiredis nor OpenSSL.

#include "roost/address_key.hpp"
#include "roost/backplane.hpp"
#include "roost/clock.hpp"
#include "roost/close_code.hpp"
#include "roost/cluster.hpp"
#include "roost/connection.hpp"
#include "roost/connection_limiter.hpp"
#include "roost/connection_manager.hpp"
#include "roost/disconnect.hpp"
#include "roost/drain.hpp"
#include "roost/error.hpp"
#include "roost/frame.hpp"
#include "roost/heartbeat_monitor.hpp"
#include "roost/heartbeat_options.hpp"
#include "roost/hook.hpp"
#include "roost/line_writer.hpp"
#include "roost/local_backplane.hpp"
#include "roost/log.hpp"
#include "roost/log_sinks.hpp"
#include "roost/message.hpp"
#include "roost/names.hpp"
#include "roost/options.hpp"
#include "roost/origin_policy.hpp"
#include "roost/rate_limit.hpp"
#include "roost/running.hpp"
#include "roost/service.hpp"
#include "roost/socket_observer.hpp"
#include "roost/stats.hpp"
#include "roost/version.hpp"
#include "roost/websocket_like.hpp"
