// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Connects the managers of several processes through Redis. Needs hiredis and OpenSSL; CMake
/// target `roost::redis`.

#include "roost/redis/options.hpp"
#include "roost/redis/redis_backplane.hpp"
