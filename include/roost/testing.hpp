// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// The test kit: unit tests of a server's own logic without sockets and sleeps.

#include "roost/roost.hpp"
#include "roost/testing/fake_websocket.hpp"
#include "roost/testing/manual_clock.hpp"
#include "roost/testing/run.hpp"

#if defined(ROOST_SEPARATE_COMPILATION)
namespace roost {
ROOST_INSTANCES(extern, testing::FakeWebSocket);
}
#endif
