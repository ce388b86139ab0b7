// roost: rooms, broadcast, backpressure and graceful shutdown for Boost.Beast WebSocket servers.
// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// The version of roost (semantic versioning). This file is the only place that states it.

#define ROOST_VERSION_MAJOR 0  ///< While this is 0, a minor version may break the API.
#define ROOST_VERSION_MINOR 2  ///< Raised by changes that users must know about.
#define ROOST_VERSION_PATCH 0  ///< Raised by fixes.
