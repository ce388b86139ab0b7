// SPDX-License-Identifier: MIT
#pragma once

#include <boost/system/system_error.hpp>
#include <initializer_list>

#include "roost/manager/registry/manager_state.hpp"

namespace roost::detail {

/// Returns how long a close handshake may take, including the time for frames sent earlier.
template <class Ws>
[[nodiscard]] TimeLimit close_limit(const ManagerState<Ws>& state) noexcept {
  return {.total = {},
          .without_progress = state.options().close_timeout,
          .min_progress_bytes = state.options().min_progress_bytes};
}

/// Ends the socket and the handler of a connection that was unregistered.
template <class Ws>
struct Closing {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  /// Ends the transport of a connection that was unregistered, and notes how it ended.
  static boost::asio::awaitable<void> close_connection(StatePtr state, ConnectionPtr connection,
                                                       std::shared_ptr<Ws> socket, Ending ending,
                                                       TimeLimit limit) {
    ConnectionParts<Ws>& parts = parts_of(*connection);
    const Disconnect& how = *parts.departure.how;
    parts.departure.was_aborted =
        !co_await close_socket(state, &parts, std::move(socket), how.code, how.text, ending, limit);
    parts.departure.is_closed = true;
    parts.changed.notify_all();
  }

  /// Closes a socket that is not registered. Any thread may call this.
  static void close_in_background(const StatePtr& state, std::shared_ptr<Ws> socket,
                                  std::uint16_t code, std::string reason) {
    boost::asio::dispatch(state->executor(), [state, socket = std::move(socket), code,
                                              reason = std::move(reason)]() mutable {
      state->spawn("close", close_unregistered(state, std::move(socket), code, std::move(reason)));
    });
  }

  /// Ends the transport of a socket that was never registered.
  static boost::asio::awaitable<void> close_unregistered(StatePtr state, std::shared_ptr<Ws> socket,
                                                         std::uint16_t code, std::string reason) {
    const TimeLimit limit = close_limit(*state);
    co_await close_socket(state, nullptr, std::move(socket), code, reason, Ending::close, limit);
  }

  /// Ends the handler of an ended connection, and waits for it. A handler that has received before
  /// is cancelled after `handler_grace`, since its next receive throws; any other is cancelled
  /// immediately.
  static boost::asio::awaitable<void> end_handler(StatePtr state, ConnectionPtr connection,
                                                  std::shared_ptr<Child<void>> handler) {
    const Loop& loop = state->loop();
    try {
      co_await next_turn();
      const Clock::time_point deadline = loop.now() + state->options().handler_grace;
      bool is_in_time = parts_of(*connection).inbound.has_received;
      while (is_in_time && !handler->is_done()) {
        is_in_time = co_await wait(handler->ended, loop, deadline);
      }
    } catch (const boost::system::system_error&) {
      // Cancelled: do not wait for the grace period.
    }
    handler->cancel();
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    while (!handler->is_done()) co_await wait(handler->ended, loop);
  }

  /// Waits until the transport of a dropped connection has ended.
  static boost::asio::awaitable<void> wait_closed(StatePtr state, ConnectionPtr connection) {
    ConnectionParts<Ws>& parts = parts_of(*connection);
    while (!parts.departure.is_closed) co_await wait(parts.changed, state->loop());
  }

 private:
  /// Ends a transport, at the latest after @p limit or when this coroutine is cancelled.
  /// @param parts  those of the connection, which outlives this; null if there was none
  /// @returns whether it closed in time; if not, it was aborted
  static boost::asio::awaitable<bool> close_socket(StatePtr state, ConnectionParts<Ws>* parts,
                                                   std::shared_ptr<Ws> socket, std::uint16_t code,
                                                   std::string reason, Ending ending,
                                                   TimeLimit limit) {
    const Loop& loop = state->loop();
    const auto progress = [&] { return Recipient<Ws>::progress(parts, *socket); };
    Patience patience(loop.now(), limit, progress());
    std::shared_ptr<Child<void>> closing;
    try {
      // The caller may be called by the socket.
      co_await next_turn();
      if (state->is_stopped()) ending = Ending::abort;
      if (parts && ending == Ending::close) {
        const bool is_flushed = co_await parts->wait_flushed(loop, patience);
        if (!is_flushed) ending = Ending::abort;
      }
      if (ending == Ending::close || !if_able::can_abort<Ws>) {
        closing = Child<void>::start(
            loop.executor, close_call(socket, code, reason, patience.deadline() - loop.now()));
      }
      bool is_in_time = true;
      while (closing && is_in_time && !closing->is_done()) {
        const bool is_told = co_await wait(closing->ended, loop, patience.next_look());
        is_in_time = is_told || !patience.is_over(loop.now(), progress());
      }
    } catch (const boost::system::system_error&) {
      ending = Ending::abort;  // cancelled: do not wait any longer
    }
    // The socket may have aborted by itself at the deadline; that does not count as closed.
    if (ending == Ending::close && closing->is_done() &&
        !patience.is_over(loop.now(), progress())) {
      co_return true;
    }
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    if constexpr (if_able::can_abort<Ws>) {
      socket->abort();
    } else if (!closing) {
      closing = Child<void>::start(loop.executor, close_call(socket, code, std::move(reason), {}));
      co_await next_turn();
    }
    if (closing) closing->cancel();
    co_return false;
  }

  /// Calls `close` of the socket. If that fails there is nothing left to close.
  static boost::asio::awaitable<void> close_call(std::shared_ptr<Ws> socket, std::uint16_t code,
                                                 std::string reason, Clock::duration timeout) {
    // 1005 and 1006 only describe how a connection ended, and must not be sent.
    if (!close_code::may_be_sent(code)) code = close_code::internal_error;
    try {
      co_await if_able::close(*socket, code, std::string_view(reason), timeout);
    } catch (...) {
    }
  }
};

// Unregistering connections.

/// Returns how to end the transport. A peer that does not read or answer will not take a close
/// frame.
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

/// Unregisters a connection: it leaves its rooms, gets no more broadcasts, and its waiters are
/// notified. The caller must then end the socket.
/// @returns its socket; null if it was not registered
template <class Ws>
std::shared_ptr<Ws> unregister(ManagerState<Ws>& state, Connection<Ws>& connection, Disconnect how,
                               Ending ending = Ending::abort) {
  if (!connection.is_connected()) return nullptr;
  const std::shared_ptr<Connection<Ws>> keep = connection.shared_from_this();
  ConnectionParts<Ws>& parts = parts_of(connection);
  ++state.counters().ended[static_cast<std::size_t>(how.reason)];
  parts.departure.rooms = RoomIndex::rooms_of(parts);
  parts.departure.how = std::move(how);
  state.slow_peers().unwatch(parts);
  parts.changed.notify_all();
  state.registry().remove(connection);
  state.recoveries().connection_ended();
  return parts.detach(/*is_flushed=*/ending == Ending::close);
}

/// Unregisters all connections of a manager that is destroyed, as if they were aborted. The caller
/// must then abort the sockets.
template <class Ws>
std::vector<Unregistered<Ws>> unregister_all(ManagerState<Ws>& state) {
  std::vector<Unregistered<Ws>> all;
  const auto& everyone = state.registry().everyone();
  all.reserve(everyone.size());
  while (!everyone.empty()) {
    const std::shared_ptr<Connection<Ws>> connection = everyone.back()->shared_from_this();
    auto socket = unregister(state, *connection, {.reason = DisconnectReason::manager_stopped});
    ConnectionParts<Ws>& parts = parts_of(*connection);
    parts.departure.is_closed = true;
    parts.departure.was_aborted = true;
    parts.changed.notify_all();
    all.emplace_back(connection, std::move(socket));
  }
  return all;
}

/// Unregisters a connection immediately; ends its transport and handler, and runs its hooks, in the
/// background. Does nothing if it is not registered.
template <class Ws>
void drop(ManagerState<Ws>& state, Connection<Ws>& connection, Disconnect how, Ending ending,
          TimeLimit limit) {
  const std::shared_ptr<Connection<Ws>> keep = connection.shared_from_this();
  std::shared_ptr<Ws> socket = unregister(state, connection, std::move(how), ending);
  if (!socket) return;
  log_disconnect(state, connection);
  const ConnectionParts<Ws>& parts = parts_of(connection);
  // Started in this order; they run concurrently.
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

/// Drops the connection with this id, and waits until it has closed. @returns false if there is
/// none
template <class Ws>
boost::asio::awaitable<bool> close_one(std::shared_ptr<ManagerState<Ws>> state, std::string id,
                                       std::uint16_t code, std::string reason) {
  const std::shared_ptr<Connection<Ws>> connection = state->registry().find(id);
  if (!connection) co_return false;
  // The caller may be a hook of this connection, which must not wait for itself.
  const HookProgress& hooks = parts_of(*connection).hooks;
  const bool is_hook = hooks.is_calling;
  drop(*state, *connection, {DisconnectReason::disconnected, code, std::move(reason)});
  const std::uint64_t last_hook = hooks.queued;
  co_await Closing<Ws>::wait_closed(state, connection);
  if (!is_hook) co_await Hooks<Ws>::wait_told(state, connection, last_hook);
  co_return true;
}

/// Drops all connections, and waits until they have closed. @returns how many there were
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
