// SPDX-License-Identifier: MIT
#pragma once

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <string>

#include "roost/base/build/config.hpp"

namespace roost {

/// What roost itself reports. Everything else it passes on is the error of Asio or Beast.
enum class errc {
  connection_denied = 1,    ///< `on_connect` refused the connection, threw, or took too long.
  join_denied,              ///< `room_validator` refused the room, threw, or took too long.
  origin_denied,            ///< The Origin of the upgrade request is not allowed.
  too_many_connections,     ///< `max_connections` is reached.
  duplicate_connection_id,  ///< The given id is in use.
  invalid_connection_id,  ///< The given id is empty, too long, no UTF-8, or has control characters.
  room_required,          ///< A broadcast named no room, and the manager requires one.
  invalid_room_name,      ///< A room name is empty, too long, no UTF-8, or has control characters.
  too_many_rooms,         ///< `max_rooms_per_connection` is reached.
  message_too_big,        ///< A message is over the limit on its size.
  invalid_utf8,           ///< Text is no UTF-8.
  invalid_json,           ///< JSON cannot be parsed or serialised, or is nested too deep.
  unsupported_data,       ///< A binary message where text was asked for, or the reverse.
  already_receiving,      ///< Another receive on the same connection is still outstanding.
  not_connected,          ///< The manager does not know this connection.
  connection_closed,      ///< The connection has ended, by the peer or by this side.
  timed_out,              ///< A deadline of roost's options has passed.
  manager_stopped,        ///< The manager has been destroyed.
  invalid_option,         ///< An option is outside its legal range.
  wrong_executor,         ///< The stream belongs to another executor and cannot be moved.
  not_an_upgrade,         ///< The HTTP request does not ask for a WebSocket.
  address_unavailable,    ///< The address to listen on cannot be used.
  draining,               ///< The manager lets nobody in any more.
  not_attached,           ///< The context has no service of this kind.
  already_attached,       ///< The context has a service of this kind already.
  backplane_unavailable,  ///< There is no backplane, or it cannot be reached.
  already_bound,          ///< The manager is bound to this backplane already.
  not_bound,              ///< The cluster handle is not bound to a manager, or not any more.
  invalid_url,            ///< A URL cannot be understood.
  outcome_unknown,        ///< It was sent, and no answer came: it may have arrived or not.
  room_full,              ///< `max_room_members` is reached.
  rate_limited,           ///< The peer sends more than its rate.
  backplane_full,         ///< Too much waits at the backplane: this message was not taken.
};

/// The category of `roost::errc`.
[[nodiscard]] const boost::system::error_category& error_category() noexcept;

/// For the conversion of an `errc` into an error code.
[[nodiscard]] inline boost::system::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), error_category()};
}

/// What roost throws: `code()` compares with `errc`, `what()` names the values involved.
class Error : public boost::system::system_error {
 public:
  /// Without more to say than its name.
  explicit Error(errc e);
  /// @p what comes first in `what()`, then the name of the error.
  Error(errc e, const std::string& what);
};

/// Whether @p error carries @p e.
[[nodiscard]] inline bool is(const boost::system::system_error& error, errc e) noexcept {
  return error.code() == make_error_code(e);
}

namespace detail {

/// @par Errors  `errc::invalid_option` with @p what, which names the field, unless @p ok
void check_option(bool ok, const char* what);

}  // namespace detail

}  // namespace roost

/// @cond
template <>
struct boost::system::is_error_code_enum<roost::errc> : std::true_type {};
/// @endcond

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/base/error.ipp"
#endif
