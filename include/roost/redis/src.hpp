// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// The parts of `roost/redis.hpp` that are compiled once, beside those of `roost/src.hpp`.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/redis/redis_backplane.ipp"
