// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// The parts of `roost/testing.hpp` that are compiled once, beside those of `roost/src.hpp`: also
/// the manager over a `FakeWebSocket`.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/testing.hpp"
#include "roost/testing/fake_websocket.ipp"
#include "roost/testing/manual_clock.ipp"

namespace roost {
ROOST_INSTANCES(, testing::FakeWebSocket);
}
