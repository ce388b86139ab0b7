// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Compiles the parts of `roost/testing.hpp` that are compiled once, including the manager over a
/// `FakeWebSocket`. Needed besides `roost/src.hpp`.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/testing.hpp"
#include "roost/testing/fake_websocket.ipp"
#include "roost/testing/manual_clock.ipp"

namespace roost {
ROOST_INSTANCES(, testing::FakeWebSocket);
}
