// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/cluster.hpp"
#include "roost/heartbeat/heartbeat_monitor.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/service/service.hpp"

/// What is compiled once for a socket where `ROOST_SEPARATE_COMPILATION` is defined. In namespace
/// `roost`; @p Extern is `extern` for all files that use it, and nothing for the one that has it.
#define ROOST_INSTANCES(Extern, Ws)            \
  Extern template class Connection<Ws>;        \
  Extern template class ConnectionManager<Ws>; \
  Extern template class HeartbeatMonitor<Ws>;  \
  Extern template class Service<Ws>;           \
  Extern template Cluster bind_manager<Ws>(BackplaneRef, ConnectionManager<Ws>&, BindOptions)
