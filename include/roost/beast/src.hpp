// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// The parts of `roost/beast.hpp` that are compiled once, beside those of `roost/src.hpp`: also the
/// manager over a `BeastWebSocket`.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/beast.hpp"
#include "roost/beast/impl/beast_websocket.ipp"
#include "roost/beast/impl/deflate.ipp"
#include "roost/beast/impl/http.ipp"
#include "roost/beast/impl/kernel_progress.ipp"
#include "roost/beast/impl/link.ipp"
#include "roost/beast/impl/link_conversation.ipp"
#include "roost/beast/impl/listen.ipp"
#include "roost/beast/impl/message_reader.ipp"
#include "roost/beast/impl/read_poller.ipp"
#include "roost/beast/impl/transport.ipp"
#include "roost/beast/impl/upgrade.ipp"

namespace roost {
ROOST_INSTANCES(, BeastWebSocket);
}
