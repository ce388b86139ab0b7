// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "roost/base/log.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/lifecycle/closing.hpp"
#include "roost/manager/lifecycle/hooks.hpp"
#include "roost/manager/registry/connection_parts.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/socket/disconnect.hpp"

namespace roost::detail {

// The way out of a manager.

/// Whoever does not take bytes, or does not answer, will not take a close frame either.
[[nodiscard]] constexpr Ending ending_for(DisconnectReason reason) noexcept {
  const bool is_deaf =
      reason == DisconnectReason::send_failed || reason == DisconnectReason::send_timeout ||
      reason == DisconnectReason::outbox_overflow || reason == DisconnectReason::outboxes_full ||
      reason == DisconnectReason::heartbeat_timeout;
  return is_deaf ? Ending::abort : Ending::close;
}

template <class Ws>
void log_disconnect(ManagerState<Ws>& state, const Connection<Ws>& connection) noexcept {
  const Disconnect& how = *connection.ended();
  const LogField id("id", connection.id());
  const LogField reason("reason", to_string(how.reason));
  const LogField code("code", std::to_string(how.code));
  const auto tell = [&](std::initializer_list<LogField> fields) {
    if (ending_for(how.reason) == Ending::close) {
      state.log(Severity::info, "disconnect", fields);
    } else {
      state.log_limited(Severity::warning, "dropped", fields);
    }
  };
  if (how.text.empty()) {
    tell({id, reason, code});
  } else {
    tell({id, reason, code, {"text", how.text}});
  }
}

/// Unregisters a connection: it is in no room and no broadcast any more, whoever waits for it is
/// told. What its socket needs afterwards is up to the caller.
/// @returns its socket; null if it was not registered.
template <class Ws>
std::shared_ptr<Ws> unregister(ManagerState<Ws>& state, Connection<Ws>& connection, Disconnect how,
                               Ending ending) {
  if (!connection.is_connected()) return nullptr;
  const std::shared_ptr<Connection<Ws>> keep = connection.shared_from_this();
  ConnectionParts<Ws>& parts = parts_of(connection);
  ++state.counters().ended[static_cast<std::size_t>(how.reason)];
  parts.departure.rooms = RoomIndex::rooms_of(parts);
  parts.departure.how = std::move(how);
  state.congestion().unwatch(parts);
  parts.changed.notify_all();
  state.registry().remove(connection);
  return parts.detach(/*is_flushed=*/ending == Ending::close);
}

/// Unregisters a connection now, and ends its transport and its handler and runs the hooks in the
/// background. Nothing happens if it is not registered.
template <class Ws>
void drop(ManagerState<Ws>& state, Connection<Ws>& connection, Disconnect how, Ending ending,
          TimeLimit limit) {
  const std::shared_ptr<Connection<Ws>> keep = connection.shared_from_this();
  std::shared_ptr<Ws> socket = unregister(state, connection, std::move(how), ending);
  if (!socket) return;
  log_disconnect(state, connection);
  const ConnectionParts<Ws>& parts = parts_of(connection);
  // In this order, and beside each other.
  state.spawn("close", Closing<Ws>::close_connection(state.shared_from_this(), keep,
                                                     std::move(socket), ending, limit));
  if (parts.handler) {
    state.spawn("end_handler",
                Closing<Ws>::end_handler(state.shared_from_this(), keep, parts.handler));
  }
  for (const std::string& room : parts.departure.rooms) {
    Hooks<Ws>::queue(state, connection, HookKind::left, room);
  }
  Hooks<Ws>::queue(state, connection, HookKind::disconnected);
}
template <class Ws>
void drop(ManagerState<Ws>& state, Connection<Ws>& connection, Disconnect how) {
  const Ending ending = ending_for(how.reason);
  drop(state, connection, std::move(how), ending, close_limit(state));
}

/// Drops the connection of that id. @returns false if there is none.
template <class Ws>
boost::asio::awaitable<bool> close_one(std::shared_ptr<ManagerState<Ws>> state, std::string id,
                                       std::uint16_t code, std::string reason) {
  const std::shared_ptr<Connection<Ws>> connection = state->registry().find(id);
  if (!connection) co_return false;
  // The caller may be a hook of this connection: it would wait for itself.
  const HookProgress& hooks = parts_of(*connection).hooks;
  const bool is_hook = hooks.is_calling;
  drop(*state, *connection, {DisconnectReason::disconnected, code, std::move(reason)});
  const std::uint64_t last_hook = hooks.queued;
  co_await Closing<Ws>::wait_closed(state, connection);
  if (!is_hook) co_await Hooks<Ws>::wait_told(state, connection, last_hook);
  co_return true;
}

/// Drops all. @returns how many there were.
template <class Ws>
boost::asio::awaitable<std::size_t> close_all(std::shared_ptr<ManagerState<Ws>> state,
                                              std::uint16_t code, Clock::duration deadline) {
  const std::vector<std::shared_ptr<Connection<Ws>>> all = state->registry().all();
  for (const auto& connection : all) {
    drop(*state, *connection, {DisconnectReason::closing_all, code, {}}, Ending::close,
         {.total = deadline, .without_progress = deadline});
  }
  for (const auto& connection : all) co_await Closing<Ws>::wait_closed(state, connection);
  co_return all.size();
}

}  // namespace roost::detail
