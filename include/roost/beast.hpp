// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// roost over Boost.Beast: `listen`, `Upgrade`, `BeastWebSocket`.

#include "roost/beast/beast_websocket.hpp"
#include "roost/beast/listen.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/request.hpp"
#include "roost/beast/upgrade.hpp"
#include "roost/beast/wrap.hpp"
#include "roost/roost.hpp"

#if defined(ROOST_SEPARATE_COMPILATION)
namespace roost {
ROOST_INSTANCES(extern, BeastWebSocket);
}
#endif
