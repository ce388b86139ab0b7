// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// For shorter builds: define `ROOST_SEPARATE_COMPILATION` for every file of a program, and include
/// this in exactly one of them. Likewise the `src.hpp` of each part that is used, there or in
/// another file: `roost/beast/src.hpp`, `roost/beast/tls_src.hpp`, `roost/redis/src.hpp`,
/// `roost/testing/src.hpp`.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/access/connection_limiter.ipp"
#include "roost/access/detail/origin.ipp"
#include "roost/access/origin_policy.ipp"
#include "roost/backplane/cluster.ipp"
#include "roost/backplane/detail/binding.ipp"
#include "roost/backplane/detail/handler_queues.ipp"
#include "roost/backplane/detail/wire_message.ipp"
#include "roost/backplane/local_backplane.ipp"
#include "roost/base/clock.ipp"
#include "roost/base/error.ipp"
#include "roost/base/log_sinks.ipp"
#include "roost/base/logging/line_queue.ipp"
#include "roost/base/text/json.ipp"
#include "roost/base/text/text.ipp"
#include "roost/heartbeat/detail/heartbeat_schedule.ipp"
#include "roost/manager/lifecycle/gate.ipp"
#include "roost/manager/lifecycle/hooks.ipp"
#include "roost/manager/registry/room_index.ipp"
#include "roost/manager/sending/pace.ipp"
#include "roost/runtime/detail/executor.ipp"
#include "roost/runtime/detail/loop_clock.ipp"
#include "roost/runtime/detail/tasks.ipp"
#include "roost/runtime/detail/wait.ipp"
#include "roost/service/detail/service_state.ipp"
#include "roost/socket/detail/encode.ipp"
#include "roost/socket/detail/outbox.ipp"
#include "roost/socket/frame.ipp"
