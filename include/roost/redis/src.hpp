// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Compiles the parts of `roost/redis.hpp` that are compiled once. Needed besides `roost/src.hpp`.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/redis/history.ipp"
#include "roost/redis/redis_backplane.ipp"
#include "roost/redis/registry.ipp"
