// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// The test kit: what it takes to unit-test a server's own logic without a socket or a sleep.

#include "roost/roost.hpp"
#include "roost/testing/fake_websocket.hpp"
#include "roost/testing/manual_clock.hpp"
#include "roost/testing/run.hpp"

#if defined(ROOST_SEPARATE_COMPILATION)
#include "roost/service/detail/instances.hpp"

namespace roost {
ROOST_INSTANCES(extern, testing::FakeWebSocket);
}
#endif
