// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Compiles `roost/redis/presence.hpp`, for a program that defines `ROOST_SEPARATE_COMPILATION` and
/// uses it. Needed besides `roost/redis/src.hpp` and `roost/backplane/presence_src.hpp`.

#include "roost/redis/presence.ipp"
