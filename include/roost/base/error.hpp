// SPDX-License-Identifier: MIT
#pragma once

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <string>
#include <string_view>

namespace roost {

/// The errors that roost reports itself. Errors of Asio and Beast are passed on unchanged.
enum class errc {
  connection_denied = 1,    ///< `on_connect` refused the connection, threw, or took too long.
  join_denied,              ///< `room_validator` refused the room, threw, or took too long.
  origin_denied,            ///< The Origin of the upgrade request is not allowed.
  too_many_connections,     ///< `max_connections` is reached.
  duplicate_connection_id,  ///< Another connection has the given id.
  invalid_connection_id,    ///< The id is empty, too long, not UTF-8, or has control characters.
  room_required,            ///< A broadcast named no room, and the manager requires one.
  invalid_room_name,  ///< A room name is empty, too long, not UTF-8, or has control characters.
  too_many_rooms,     ///< `max_rooms_per_connection` is reached.
  message_too_big,    ///< A message is larger than the limit.
  invalid_utf8,       ///< A text is not UTF-8.
  invalid_json,      ///< A text is not JSON, or a value is nested too deep or cannot be serialised.
  unsupported_data,  ///< A binary message came where text was expected, or vice versa.
  already_receiving,      ///< Another receive on the same connection is still outstanding.
  not_connected,          ///< The manager does not know this connection.
  connection_closed,      ///< The peer or this side has ended the connection.
  timed_out,              ///< A deadline set in the options has passed.
  manager_stopped,        ///< The manager has been destroyed.
  invalid_option,         ///< An option is outside its legal range.
  wrong_executor,         ///< The stream belongs to another executor and cannot be moved.
  not_an_upgrade,         ///< The HTTP request does not ask for a WebSocket.
  address_unavailable,    ///< The address to listen on cannot be used.
  draining,               ///< The manager drains: it accepts no new connections.
  not_attached,           ///< The `io_context` has no service of this kind.
  already_attached,       ///< The `io_context` already has a service of this kind.
  backplane_unavailable,  ///< The backplane is missing or unreachable.
  already_bound,          ///< The manager is already bound to this backplane.
  not_bound,              ///< The `Cluster` is not, or no longer, bound to a manager.
  invalid_url,            ///< A URL cannot be parsed.
  outcome_unknown,        ///< The message was sent, but not confirmed: it may have arrived or not.
  room_full,              ///< `max_room_members` is reached.
  rate_limited,           ///< The peer sent more than its rate allows.
  backplane_full,         ///< The queue of the backplane is full: it did not take this message.
  recorded_room,          ///< The room has a history: send to it through a `Cluster`.
  one_room_only,          ///< A recorded message must name exactly one room.
  not_supported,          ///< The backplane cannot do this, as it is set up.
  invalid_user,           ///< A user is empty, too long, not UTF-8, or its information is too long.
  not_listed,             ///< No `PresenceRule` matches the room.
};

/// Returns the category of `roost::errc`.
[[nodiscard]] const boost::system::error_category& error_category() noexcept;

/// Converts an `errc` to an error code.
[[nodiscard]] inline boost::system::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), error_category()};
}

/// The exception that roost throws. `code()` compares with `errc`; `what()` names the values
/// involved.
class Error : public boost::system::system_error {
 public:
  /// Makes an error whose `what()` is the message of @p e.
  explicit Error(errc e);
  /// Makes an error whose `what()` is @p what, followed by the message of @p e.
  Error(errc e, const std::string& what);
};

/// Returns whether the code of @p error is @p e.
[[nodiscard]] inline bool is(const boost::system::system_error& error, errc e) noexcept {
  return error.code() == make_error_code(e);
}

namespace detail {

/// Throws `errc::invalid_option` with the text @p what, which names the field, unless @p ok.
void check_option(bool ok, const char* what);
/// Throws `errc::invalid_option` for a part of @p object unless @p ok; the text is @p object
/// followed by @p what.
void check_option(bool ok, std::string_view object, const char* what);
/// Throws `errc::invalid_option`, naming @p field, unless @p wait is 0 to 1 day.
void check_wait(std::chrono::steady_clock::duration wait, const char* field);
/// Throws `errc::invalid_option`, naming @p field, unless @p limit is 1 ms to 1 day.
void check_limit(std::chrono::steady_clock::duration limit, const char* field);

}  // namespace detail

}  // namespace roost

/// @cond
template <>
struct boost::system::is_error_code_enum<roost::errc> : std::true_type {};
/// @endcond

namespace roost {

namespace detail {

class ErrorCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "roost"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::connection_denied: return "connection denied";
      case errc::join_denied: return "join denied";
      case errc::origin_denied: return "origin denied";
      case errc::too_many_connections: return "too many connections";
      case errc::duplicate_connection_id: return "duplicate connection id";
      case errc::invalid_connection_id: return "invalid connection id";
      case errc::room_required: return "room required";
      case errc::invalid_room_name: return "invalid room name";
      case errc::too_many_rooms: return "too many rooms";
      case errc::message_too_big: return "message too big";
      case errc::invalid_utf8: return "invalid UTF-8";
      case errc::invalid_json: return "invalid JSON";
      case errc::unsupported_data: return "unsupported data";
      case errc::already_receiving: return "already receiving";
      case errc::not_connected: return "not connected";
      case errc::connection_closed: return "connection closed";
      case errc::timed_out: return "timed out";
      case errc::manager_stopped: return "manager stopped";
      case errc::invalid_option: return "invalid option";
      case errc::wrong_executor: return "wrong executor";
      case errc::not_an_upgrade: return "not a WebSocket upgrade";
      case errc::address_unavailable: return "address unavailable";
      case errc::draining: return "draining";
      case errc::not_attached: return "not attached";
      case errc::already_attached: return "already attached";
      case errc::backplane_unavailable: return "backplane unavailable";
      case errc::already_bound: return "already bound";
      case errc::not_bound: return "not bound";
      case errc::invalid_url: return "invalid URL";
      case errc::outcome_unknown: return "outcome unknown";
      case errc::room_full: return "room full";
      case errc::rate_limited: return "rate limited";
      case errc::backplane_full: return "backplane full";
      case errc::recorded_room: return "recorded room";
      case errc::one_room_only: return "one room only";
      case errc::not_supported: return "not supported";
      case errc::invalid_user: return "invalid user";
      case errc::not_listed: return "not listed";
    }
    return "unknown roost error";
  }
};

}  // namespace detail

inline const boost::system::error_category& error_category() noexcept {
  static const detail::ErrorCategory category;
  return category;
}

inline Error::Error(errc e) : system_error(make_error_code(e)) {}

inline Error::Error(errc e, const std::string& what) : system_error(make_error_code(e), what) {}

inline void detail::check_option(bool ok, const char* what) {
  if (!ok) throw Error(errc::invalid_option, what);
}
inline void detail::check_option(bool ok, std::string_view object, const char* what) {
  if (!ok) throw Error(errc::invalid_option, std::string(object) + what);
}
inline void detail::check_wait(std::chrono::steady_clock::duration wait, const char* field) {
  const bool ok = wait >= wait.zero() && wait <= std::chrono::hours(24);
  check_option(ok, field, " must be 0 to 1 day");
}
inline void detail::check_limit(std::chrono::steady_clock::duration limit, const char* field) {
  const bool ok = limit >= std::chrono::milliseconds(1) && limit <= std::chrono::hours(24);
  check_option(ok, field, " must be 1 ms to 1 day");
}

}  // namespace roost
