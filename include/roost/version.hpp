// roost: rooms, broadcast and backpressure for Boost.Beast WebSocket servers.
// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// The version of roost, by semantic versioning. The one place it is written.

#define ROOST_VERSION_MAJOR 0  ///< While it is zero, a new minor version may change names.
#define ROOST_VERSION_MINOR 1  ///< New with each change that users must know of.
#define ROOST_VERSION_PATCH 0  ///< New with each repair.
