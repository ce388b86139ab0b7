// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"
#include "roost/beast/options.hpp"
#include "roost/socket/websocket_like.hpp"

// Which of the offers of permessage-deflate a server takes (RFC 7692, section 7.1).

namespace roost::detail {

/// What was agreed on.
struct AgreedDeflate {
  unsigned server_window_bits = 15;
  bool keeps_client_context = false;  ///< From one message of the client to the next.
  std::string response = {};          ///< The `Sec-WebSocket-Extensions` that says so.
};

/// Takes the first offer that roost can keep. An offer that it cannot keep, does not understand or
/// that is malformed is passed over, and takes none of the others with it (RFC 7692, section 5).
/// @param extensions   the value of `Sec-WebSocket-Extensions` in the request, all lines joined
/// @param compression  not set: there is no compression
ROOST_DECL std::optional<AgreedDeflate> agree_on_deflate(
    std::string_view extensions, const std::optional<Compression>& compression);

/// The form of messages to a peer with which this was agreed on; 0: they are not compressed.
ROOST_DECL FrameForm form_of(const std::optional<AgreedDeflate>& agreed,
                             const std::optional<Compression>& compression) noexcept;

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/http/negotiation.ipp"
#endif
