// SPDX-License-Identifier: MIT
#pragma once

#include <boost/beast/http/message.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <string>

#include "roost/base/build/config.hpp"
#include "roost/beast/options.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

using RequestHeader = boost::beast::http::request_header<>;

/// Why a request is answered with an HTTP status instead of a WebSocket.
struct Refusal {
  unsigned status;
  boost::system::error_code error;
  std::string why;  ///< For the client and the log; contains nothing that the client sent.
  std::string_view unit = {};  ///< The unit of a limit that was exceeded; empty: another cause.
  std::size_t size = 0;        ///< The size that was found.
  std::size_t limit = 0;       ///< The limit.
};

/// Thrown when a request was refused with a status, after the peer was answered.
class RefusedRequest : public boost::system::system_error {
 public:
  explicit RefusedRequest(Refusal refusal)
      : system_error(refusal.error, refusal.why), refusal_(std::move(refusal)) {}

  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }

 private:
  Refusal refusal_;
};

/// Whether a request asks for a WebSocket: `GET` of HTTP/1.1 with `Connection: upgrade` and
/// `Upgrade: websocket`, in any of the lines of these headers. `check_handshake` checks what else
/// RFC 6455 requires.
[[nodiscard]] ROOST_DECL bool asks_for_websocket(const RequestHeader& request);

/// Joins repeated header lines. Turns a target in absolute form into path and query, and puts its
/// host into the `Host` header (RFC 9112, section 3.2.2).
/// @returns why the request is invalid: its host or target is (RFC 9112, section 3.2).
[[nodiscard]] ROOST_DECL std::optional<Refusal> normalise(RequestHeader& request);

/// Checks a normalised request for a WebSocket against RFC 6455, section 4.2.1.
/// @returns why the request is refused; `nullopt` if it is valid.
[[nodiscard]] ROOST_DECL std::optional<Refusal> check_handshake(const RequestHeader& request);

// --- subprotocols ---

/// The first subprotocol of @p spoken that the client offers; empty: none.
[[nodiscard]] ROOST_DECL std::string choose_subprotocol(const RequestHeader& request, Names spoken);

/// The rest of the first offered subprotocol that begins with @p prefix.
[[nodiscard]] ROOST_DECL std::optional<std::string> subprotocol_after(const RequestHeader& request,
                                                                      std::string_view prefix);

// --- compression: which offer a server takes (RFC 7692, section 7.1) ---

/// The parameters of compression that were negotiated.
struct AgreedDeflate {
  unsigned server_window_bits = 15;
  bool keeps_client_context = false;  ///< From one message of the client to the next.
  std::string response = {};          ///< The `Sec-WebSocket-Extensions` of the response.
};

/// Takes the first offer that roost supports. An offer that is malformed, unknown or not supported
/// is skipped without affecting the others (RFC 7692, section 5).
/// @param extensions   the value of `Sec-WebSocket-Extensions` in the request, all lines joined
/// @param compression  not set: no offer is taken
ROOST_DECL std::optional<AgreedDeflate> agree_on_deflate(
    std::string_view extensions, const std::optional<Compression>& compression);

/// The form of messages to a peer with these parameters; 0: uncompressed.
ROOST_DECL FrameForm form_of(const std::optional<AgreedDeflate>& agreed,
                             const std::optional<Compression>& compression) noexcept;

// --- the answer ---

/// The response that accepts a valid request for a WebSocket (RFC 6455, section 4.2.2).
/// @param server       empty: Beast's default, which names its version
/// @param subprotocol  empty: none
/// @pre `check_handshake` found nothing
[[nodiscard]] ROOST_DECL Frame acceptance(const RequestHeader& request, std::string_view server,
                                          std::string_view subprotocol,
                                          const std::optional<AgreedDeflate>& deflate);

/// Erases the headers of the handshake.
ROOST_DECL void forget_handshake(RequestHeader& request);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/http/handshake.ipp"
#endif
