// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace roost {

/// The close codes that roost itself sends or reports (RFC 6455, section 7.4.1).
///
/// Functions that take a close code take any `std::uint16_t`, so that applications can use
/// 4000-4999. These constants name registered codes.
namespace close_code {

inline constexpr std::uint16_t normal = 1000;            ///< The purpose has been fulfilled.
inline constexpr std::uint16_t going_away = 1001;        ///< The server stops, or the page is left.
inline constexpr std::uint16_t protocol_error = 1002;    ///< The peer broke RFC 6455.
inline constexpr std::uint16_t unsupported_data = 1003;  ///< Binary where text is expected.
inline constexpr std::uint16_t no_status = 1005;         ///< Never sent: a close frame had no code.
inline constexpr std::uint16_t abnormal = 1006;          ///< Never sent: there was no close frame.
inline constexpr std::uint16_t invalid_payload = 1007;   ///< Not UTF-8, or not valid JSON.
inline constexpr std::uint16_t policy_violation = 1008;  ///< Refused by a hook or a limit.
inline constexpr std::uint16_t message_too_big = 1009;   ///< Larger than the limit.
inline constexpr std::uint16_t internal_error = 1011;    ///< The handler failed.
inline constexpr std::uint16_t service_restart = 1012;   ///< The server restarts: reconnect later.
inline constexpr std::uint16_t try_again_later = 1013;   ///< The server is full.

/// Returns whether @p code may be sent in a close frame: 1000-1003, 1007-1014 or 3000-4999.
[[nodiscard]] constexpr bool may_be_sent(std::uint16_t code) noexcept {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace close_code

/// Cuts the reason of a close frame to at most 123 bytes (RFC 6455, section 5.5), between
/// characters.
[[nodiscard]] constexpr std::string_view clip_close_reason(std::string_view reason) noexcept {
  if (reason.size() <= 123) return reason;
  std::size_t end = 123;
  while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xC0) == 0x80) --end;
  return reason.substr(0, end);
}

/// Why a connection is no longer registered.
enum class DisconnectReason {
  peer_closed,        ///< The peer sent a close frame.
  connection_lost,    ///< The transport ended without a close frame.
  protocol_error,     ///< The peer broke RFC 6455.
  message_too_big,    ///< The peer sent a message larger than the limit.
  unsupported_data,   ///< The peer sent binary where text was expected, or vice versa.
  handler_ended,      ///< The session's handler returned.
  handler_failed,     ///< The session's handler threw.
  cancelled,          ///< The session was cancelled, or its coroutine destroyed.
  disconnected,       ///< `disconnect` or `close` was called.
  replaced,           ///< A new connection took over its id.
  send_failed,        ///< Sending to the peer failed.
  send_timeout,       ///< The peer took less than `min_progress_bytes` in `send_timeout`.
  outbox_overflow,    ///< More than `max_outbox_bytes` are queued, and the peer does not read.
  outboxes_full,      ///< All outboxes together exceed `max_total_outbox_bytes`.
  rate_limited,       ///< The peer sent more than `inbound` allows.
  heartbeat_timeout,  ///< The peer was silent for the timeout of a `HeartbeatMonitor`.
  closing_all,        ///< `close_all` was called.
  draining,           ///< `drain` was called.
  manager_stopped,  ///< The manager or its `io_context` was destroyed. Always the last enumerator.
};

/// Returns the name of a reason, as used in logs and metrics.
[[nodiscard]] constexpr std::string_view to_string(DisconnectReason reason) noexcept {
  switch (reason) {
    case DisconnectReason::peer_closed: return "peer_closed";
    case DisconnectReason::connection_lost: return "connection_lost";
    case DisconnectReason::protocol_error: return "protocol_error";
    case DisconnectReason::message_too_big: return "message_too_big";
    case DisconnectReason::unsupported_data: return "unsupported_data";
    case DisconnectReason::handler_ended: return "handler_ended";
    case DisconnectReason::handler_failed: return "handler_failed";
    case DisconnectReason::cancelled: return "cancelled";
    case DisconnectReason::disconnected: return "disconnected";
    case DisconnectReason::replaced: return "replaced";
    case DisconnectReason::send_failed: return "send_failed";
    case DisconnectReason::send_timeout: return "send_timeout";
    case DisconnectReason::outbox_overflow: return "outbox_overflow";
    case DisconnectReason::outboxes_full: return "outboxes_full";
    case DisconnectReason::rate_limited: return "rate_limited";
    case DisconnectReason::heartbeat_timeout: return "heartbeat_timeout";
    case DisconnectReason::closing_all: return "closing_all";
    case DisconnectReason::draining: return "draining";
    case DisconnectReason::manager_stopped: return "manager_stopped";
  }
  return "unknown";
}

/// How a connection ended.
struct Disconnect {
  DisconnectReason reason = DisconnectReason::connection_lost;  ///< Why it ended.
  std::uint16_t code = close_code::abnormal;  ///< The close code, from the peer or from roost.
  std::string text = {};  ///< The reason text of the close frame, or why a send failed.
};

/// The result of `session`: a peer that leaves is an outcome, not an error.
using SessionOutcome = Disconnect;

}  // namespace roost
