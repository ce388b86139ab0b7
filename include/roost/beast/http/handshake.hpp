// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/http/message.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "roost/base/build/config.hpp"
#include "roost/base/names.hpp"
#include "roost/beast/options.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

using RequestHeader = boost::beast::http::request_header<>;

/// Why a request is answered by a status instead of a WebSocket.
struct Refusal {
  unsigned status;
  boost::system::error_code error;
  std::string why;  ///< For the client and for the log: nothing that the client has sent.
  std::string_view unit = {};  ///< Of what there is too much; empty: that is not the cause.
  std::size_t size = 0;        ///< How much there is.
  std::size_t limit = 0;       ///< How much there may be.
};

/// A request that was refused by a status, after the peer was told.
class RefusedRequest : public boost::system::system_error {
 public:
  explicit RefusedRequest(Refusal refusal)
      : system_error(refusal.error, refusal.why), refusal_(std::move(refusal)) {}

  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }

 private:
  Refusal refusal_;
};

/// Whether a request asks for a WebSocket: `GET` of HTTP/1.1 with `Connection: upgrade` and
/// `Upgrade: websocket`, in whichever of the lines of these headers. What else RFC 6455 wants of it
/// is up to `check_handshake`.
[[nodiscard]] ROOST_DECL bool asks_for_websocket(const RequestHeader& request);

/// Joins header lines, and turns a target in absolute form into path and query, with the host that
/// it names in place of the `Host` header (RFC 9112, section 3.2.2).
/// @returns why it is no proper request: a host or a target that is none (RFC 9112, section 3.2)
[[nodiscard]] ROOST_DECL std::optional<Refusal> normalise(RequestHeader& request);

/// Whether a normal request that asks for a WebSocket has what RFC 6455, section 4.2.1, wants.
/// @returns why not
[[nodiscard]] ROOST_DECL std::optional<Refusal> check_handshake(const RequestHeader& request);

// --- subprotocols ---

/// The first of @p spoken that the client offers; empty: none.
[[nodiscard]] ROOST_DECL std::string choose_subprotocol(const RequestHeader& request, Names spoken);

/// What follows @p prefix in the first subprotocol that the client offers and that begins with it.
[[nodiscard]] ROOST_DECL std::optional<std::string> subprotocol_after(const RequestHeader& request,
                                                                      std::string_view prefix);

// --- compression: which of the offers a server takes (RFC 7692, section 7.1) ---

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
#include "roost/beast/http/handshake.ipp"
#endif
