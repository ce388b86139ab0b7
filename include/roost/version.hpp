// roost: rooms, broadcast and backpressure for Boost.Beast WebSocket servers.
// SPDX-License-Identifier: MIT
#pragma once

/// The version of roost, by semantic versioning. The one place it is written.
#define ROOST_VERSION_MAJOR 0
#define ROOST_VERSION_MINOR 1
#define ROOST_VERSION_PATCH 0
