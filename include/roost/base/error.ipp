// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/error.hpp"

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
    }
    return "unknown roost error";
  }
};

}  // namespace detail

ROOST_DECL const boost::system::error_category& error_category() noexcept {
  static const detail::ErrorCategory category;
  return category;
}

ROOST_DECL Error::Error(errc e) : system_error(make_error_code(e)) {}

ROOST_DECL Error::Error(errc e, const std::string& what) : system_error(make_error_code(e), what) {}

ROOST_DECL void detail::check_option(bool ok, const char* what) {
  if (!ok) throw Error(errc::invalid_option, what);
}

}  // namespace roost
