// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Shortens builds: define `ROOST_SEPARATE_COMPILATION` for every file of the program, and
/// include this header in exactly one of them. Each further part that the program uses has a
/// `src.hpp` of its own, to be included once, in the same file or in another:
/// `roost/backplane/presence_src.hpp`, `roost/beast/src.hpp`, `roost/beast/tls_src.hpp`,
/// `roost/redis/src.hpp`, `roost/redis/presence_src.hpp`, `roost/testing/src.hpp`.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/access/connection_limiter.ipp"
#include "roost/access/detail/origin.ipp"
#include "roost/access/origin_policy.ipp"
#include "roost/backplane/cluster.ipp"
#include "roost/backplane/control/control_desk.ipp"
#include "roost/backplane/control/control_message.ipp"
#include "roost/backplane/delivery/binding.ipp"
#include "roost/backplane/delivery/handler_queues.ipp"
#include "roost/backplane/delivery/wire_message.ipp"
#include "roost/backplane/history.ipp"
#include "roost/backplane/history/position.ipp"
#include "roost/backplane/local/local_hub.ipp"
#include "roost/backplane/local_backplane.ipp"
#include "roost/base/clock.ipp"
#include "roost/base/log.ipp"
#include "roost/base/log_sinks.ipp"
#include "roost/base/text/json.ipp"
#include "roost/base/text/text.ipp"
#include "roost/heartbeat/detail/heartbeat_schedule.ipp"
#include "roost/manager/history/position_line.ipp"
#include "roost/manager/history/replay.ipp"
#include "roost/manager/lifecycle/hooks.ipp"
#include "roost/manager/registry/connection_parts.ipp"
#include "roost/manager/registry/room_index.ipp"
#include "roost/manager/sending/backpressure.ipp"
#include "roost/manager/sending/pace.ipp"
#include "roost/runtime/detail/executor.ipp"
#include "roost/runtime/detail/loop_clock.ipp"
#include "roost/runtime/detail/tasks.ipp"
#include "roost/runtime/detail/wait.ipp"
#include "roost/service/detail/service_state.ipp"
#include "roost/socket/detail/outbox.ipp"
#include "roost/socket/frame.ipp"
