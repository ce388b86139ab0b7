// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Compiles the parts of `roost/beast.hpp` that are compiled once, including the manager over a
/// `BeastWebSocket`. Needed besides `roost/src.hpp`.

#if !defined(ROOST_SEPARATE_COMPILATION)
#error "ROOST_SEPARATE_COMPILATION must be defined for every file of the program"
#endif

#include "roost/beast.hpp"
#include "roost/beast/beast_websocket.ipp"
#include "roost/beast/conversation/deflate.ipp"
#include "roost/beast/conversation/link_conversation.ipp"
#include "roost/beast/conversation/message_reader.ipp"
#include "roost/beast/http/handshake.ipp"
#include "roost/beast/http/http.ipp"
#include "roost/beast/listening/listening.ipp"
#include "roost/beast/listening/visitor.ipp"
#include "roost/beast/transport/link.ipp"
#include "roost/beast/transport/tcp_transport.ipp"
#include "roost/beast/upgrade.ipp"

namespace roost {
ROOST_INSTANCES(, BeastWebSocket);
}
