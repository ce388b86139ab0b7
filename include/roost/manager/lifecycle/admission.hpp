// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>

#include "roost/manager/history/position_line.hpp"
#include "roost/manager/history/recoveries.hpp"
#include "roost/manager/lifecycle/dropping.hpp"

namespace roost::detail {

/// Decides which sockets become connections, and which rooms they may join.
template <class Ws>
struct Admission {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  using Request = AdmissionRequest;

  static boost::asio::awaitable<ConnectionPtr> connect(StatePtr state, std::shared_ptr<Ws> socket,
                                                       Request request) {
    ConnectionPtr connection = co_await admit(state, std::move(socket), request);
    if (!is_settled(*state, *connection)) co_await tell_hooks(state, connection);
    co_return connection;
  }

  /// Returns whether the application is asked about each connection.
  static bool asks_application(const State& state) noexcept {
    return state.options().on_connect || state.options().room_validator;
  }
  /// Admits and registers a socket; its hooks have not run yet.
  /// @param request  outlives this coroutine
  static boost::asio::awaitable<ConnectionPtr> admit(StatePtr state, std::shared_ptr<Ws> socket,
                                                     Request& request) {
    const ConnectionPtr connection = prepare(state, *socket, request);
    const typename State::Reservation place(*state);
    if (state->options().on_connect) co_await ask_on_connect(state, socket, connection);
    if (state->options().room_validator) {
      for (const std::string& room : request.rooms) co_await ask_room(state, room, connection);
    }
    const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    enter(*state, connection, std::move(socket), request, cancellation);
    co_return connection;
  }
  /// Does what `admit` does if the application is not asked, without a coroutine.
  /// @param cancellation  that of the caller
  static ConnectionPtr admit_now(const StatePtr& state, std::shared_ptr<Ws> socket,
                                 Request& request,
                                 const boost::asio::cancellation_state& cancellation) {
    ConnectionPtr connection = prepare(state, *socket, request);
    enter(*state, connection, std::move(socket), request, cancellation);
    return connection;
  }

  /// Returns whether nothing is left for `tell_hooks` to wait for.
  static bool is_settled(State& state, const Connection<Ws>& connection) {
    const ConnectionParts<Ws>& parts = parts_of(connection);
    return !state.rooms().is_observed() && parts.hooks.told == parts.hooks.queued &&
           !parts.replays();
  }
  /// Waits until the hooks were told of a new connection, and its rooms are ready.
  static boost::asio::awaitable<void> tell_hooks(StatePtr state, ConnectionPtr connection) {
    std::exception_ptr error;
    try {
      if (state->rooms().is_observed()) co_await state->rooms().settled();
      co_await Hooks<Ws>::wait_told(state, connection, parts_of(*connection).hooks.queued);
      if (parts_of(*connection).replays()) {
        co_await Recoveries<Ws>::settled(state, connection);
      }
    } catch (...) {
      error = std::current_exception();
    }
    if (!error) co_return;
    drop(*state, *connection, {DisconnectReason::cancelled, close_code::going_away, {}});
    std::rethrow_exception(error);  // the caller would not learn of its connection
  }

  /// `JoinOptions` that owns its values.
  struct JoinRequest {
    std::string room;
    std::optional<std::string> since = {};
    std::size_t last = 0;
  };
  static JoinRequest request(const State& state, std::string_view room,
                             const JoinOptions& options) {
    validate_room_name(room, state.options().max_room_name_bytes);
    JoinRequest request{.room = std::string(room), .last = options.last};
    if (options.since) request.since.emplace(*options.since);
    return request;
  }

  static boost::asio::awaitable<bool> join(StatePtr state, ConnectionPtr connection,
                                           JoinRequest request) {
    const std::string& room = request.room;
    if (!connection || !parts_of(*connection).is_attached_to(*state)) co_return false;
    if (!connection->is_in(room)) {
      check_may_join(*state, *connection, room);
      if (state->options().room_validator) co_await ask_room(state, room, connection);
      // It must still be this connection, not another one with its id.
      if (!connection->is_connected()) co_return false;
    }
    if (state->rooms().is_observed()) {
      co_await join_and_settle(state, connection, request);
    } else {
      join_now(*state, *connection, request);
    }
    co_return true;
  }

  /// Joins a room. @returns false if the connection is in the room already, perhaps through another
  /// join
  static bool join_now(State& state, Connection<Ws>& connection, const JoinRequest& request) {
    const std::string& room = request.room;
    if (connection.is_in(room)) return false;
    check_may_join(state, connection, room);
    state.registry().join(connection, room);
    Hooks<Ws>::queue(state, connection, HookKind::joined, room);
    state.recoveries().enter(connection, room, request.since, request.last);
    return true;
  }

  /// Joins a room, and waits until its channel is subscribed and until it is known which earlier
  /// messages the connection gets. If the caller is cancelled, the join is undone.
  static boost::asio::awaitable<void> join_and_settle(StatePtr state, ConnectionPtr connection,
                                                      JoinRequest request) {
    const std::string& room = request.room;
    const bool is_new = join_now(*state, *connection, request);
    PendingJoins::Waiting waiting(state->pending_joins(), connection.get(), room, is_new);
    std::exception_ptr error;
    try {
      co_await state->rooms().settled();
      if (parts_of(*connection).replays()) co_await Recoveries<Ws>::settled(state, connection);
    } catch (...) {
      error = std::current_exception();
    }
    if (!error) {
      waiting.keep();
      co_return;
    }
    if (waiting.is_last()) leave(*state, *connection, room);
    std::rethrow_exception(error);
  }

  static boost::asio::awaitable<bool> join_by_id(StatePtr state, std::string id,
                                                 JoinRequest request) {
    ConnectionPtr connection = state->registry().find(id);
    co_return co_await join(std::move(state), std::move(connection), std::move(request));
  }

  static boost::asio::awaitable<bool> leave_by_id(StatePtr state, std::string id,
                                                  std::string room) {
    const ConnectionPtr connection = state->registry().find(id);
    co_return connection&& leave(*state, *connection, room);
  }

  /// @returns whether it was in the room
  static bool leave(State& state, Connection<Ws>& connection, const std::string& room) {
    if (!state.registry().leave(connection, room)) return false;
    Hooks<Ws>::queue(state, connection, HookKind::left, room);
    state.recoveries().leave(connection, room);
    return true;
  }

 private:
  /// Makes a connection, unless it would be refused now.
  static ConnectionPtr prepare(const StatePtr& state, const Ws& socket, Request& request) {
    require_open(*state);
    require_executor(*state, socket);
    if (state->is_full()) refuse_because_full(*state);
    check_initial_rooms(*state, request.id, request.rooms);
    check_id_is_free(*state, request);
    ConnectionPtr connection =
        ConnectionAccess::make<Ws>(state, std::move(request.id), std::move(request.metadata),
                                   state->shown_now(), request.overflow);
    if (request.resume) parts_of(*connection).want_positions();
    parts_of(*connection).user = std::move(request.user);
    return connection;
  }
  /// Registers a connection, in place of another with its id.
  static void enter(State& state, const ConnectionPtr& connection, std::shared_ptr<Ws> socket,
                    const Request& request, const boost::asio::cancellation_state& cancellation) {
    // A cancelled caller would not learn of its connection.
    if (cancellation.cancelled() != boost::asio::cancellation_type::none) {
      throw boost::system::system_error(boost::asio::error::operation_aborted);
    }
    require_open(state);  // again: the hooks may have taken long
    if (if_able::ended(*socket)) {
      throw Error(errc::connection_closed, "the connection ended during its admission");
    }
    const ConnectionPtr old = make_room_for_id(state, connection->id(), request.on_duplicate);
    check_initial_rooms(state, connection->id(), request.rooms);
    register_it(state, connection, std::move(socket), request.rooms);
    if (old) Hooks<Ws>::tell_after(state, *connection, old);
    if (request.resume || request.last > 0) enter_history(state, *connection, request);
  }
  /// Asks for the missed messages of the initial rooms.
  static void enter_history(State& state, Connection<Ws>& connection, const Request& request) {
    const ResumeToken token(request.resume.value_or(""));
    for (const std::string& room : request.rooms) {
      if (!connection.is_connected()) return;
      state.recoveries().enter(connection, room, token.since(room), request.last);
    }
  }

  static void require_open(State& state) {
    state.require_running();
    if (state.gate()->is_open()) return;
    ++state.counters().refused;
    throw Error(errc::draining);
  }

  static void require_executor(const State& state, const Ws& socket) {
    const boost::asio::any_io_executor executor = if_able::executor_of(socket);
    if (!executor || executor == state.executor()) return;  // empty: it has ended, or does not say
    throw Error(errc::wrong_executor, "the socket has another executor than the manager");
  }

  static void check_room_count(State& state, const std::string& id, std::size_t count) {
    const std::size_t limit = state.options().max_rooms_per_connection;
    if (count <= limit) return;
    ++state.counters().rooms_refused;
    state.log_limited(Severity::warning, "too_many_rooms", {{"id", id}});
    throw Error(errc::too_many_rooms, "connection \"" + escape_for_log(id) +
                                          "\" may be in at most " + std::to_string(limit) +
                                          " rooms");
  }

  static void check_may_join(State& state, const Connection<Ws>& connection,
                             const std::string& room) {
    check_room_count(state, connection.id(), RoomIndex::room_count(parts_of(connection)) + 1);
    check_room_has_space(state, room);
  }
  static void check_room_has_space(State& state, const std::string& room) {
    const auto& limit = state.options().max_room_members;
    if (!limit || state.rooms().members(room).size() < *limit) return;
    ++state.counters().rooms_refused;
    state.log_limited(Severity::warning, "room_full",
                      {{"room", room}, {"limit", std::to_string(*limit)}});
    throw Error(errc::room_full,
                "room \"" + escape_for_log(room) + "\" has " + std::to_string(*limit) + " members");
  }
  static void check_initial_rooms(State& state, const std::string& id,
                                  std::span<const std::string> rooms) {
    try {
      check_room_count(state, id, rooms.size());
      for (const std::string& room : rooms) check_room_has_space(state, room);
    } catch (const Error&) {
      ++state.counters().refused;
      throw;
    }
  }

  [[noreturn]] static void refuse_because_full(State& state) {
    const std::string limit = std::to_string(*state.options().max_connections);
    ++state.counters().refused;
    state.log_limited(Severity::warning, "too_many_connections", {{"limit", limit}});
    throw Error(errc::too_many_connections, "max_connections of " + limit + " is reached");
  }

  static void check_id_is_free(State& state, const Request& request) {
    if (request.on_duplicate == OnDuplicate::refuse && state.registry().find(request.id)) {
      refuse_duplicate(state, request.id);
    }
  }
  [[noreturn]] static void refuse_duplicate(State& state, const std::string& id) {
    ++state.counters().refused;
    state.log_limited(Severity::warning, "duplicate_connection_id", {{"id", id}});
    throw Error(errc::duplicate_connection_id, "id \"" + escape_for_log(id) + "\" is in use");
  }

  /// @returns the connection that was dropped for the id; null: the id was free
  static ConnectionPtr make_room_for_id(State& state, const std::string& id,
                                        OnDuplicate on_duplicate) {
    ConnectionPtr old = state.registry().find(id);
    if (!old) return old;
    if (on_duplicate == OnDuplicate::refuse) refuse_duplicate(state, id);
    drop(state, *old,
         {.reason = DisconnectReason::replaced,
          .code = close_code::policy_violation,
          .text = "replaced by a newer connection"});
    return old;
  }

  /// Attaches the socket to the connection and registers the connection; does both or neither.
  static void attach(State& state, const ConnectionPtr& connection, std::shared_ptr<Ws> socket,
                     std::span<const std::string> rooms) {
    ConnectionParts<Ws>& parts = parts_of(*connection);
    try {
      parts.attach(state, std::move(socket));
      state.registry().add(connection, rooms);
    } catch (...) {
      state.slow_peers().unwatch(parts);
      parts.detach(/*is_flushed=*/false);
      throw;
    }
  }

  static void register_it(State& state, const ConnectionPtr& connection, std::shared_ptr<Ws> socket,
                          std::span<const std::string> rooms) {
    if_able::set_max_message_bytes(*socket, state.options().max_message_bytes.value_or(0));
    attach(state, connection, std::move(socket), rooms);
    ++state.counters().accepted;
    Hooks<Ws>::queue(state, *connection, HookKind::connected);
    for (const std::string& room : rooms) {
      Hooks<Ws>::queue(state, *connection, HookKind::joined, room);
    }
    if (state.options().logger) log_connect(state, *connection, rooms);
  }
  static void log_connect(const State& state, const Connection<Ws>& connection,
                          std::span<const std::string> rooms) {
    std::string names;
    for (const std::string& room : rooms) names += (names.empty() ? "" : ",") + room;
    state.log(Severity::info, "connect", {{"id", connection.id()}, {"rooms", names}});
  }

  static boost::asio::awaitable<bool> call_on_connect(StatePtr state, std::shared_ptr<Ws> socket,
                                                      ConnectionPtr connection) {
    const auto& hook = state->options().on_connect;
    if (!hook.is_coroutine()) co_return hook.call(*socket, connection->metadata());
    co_return co_await hook.start(*socket, connection->metadata());
  }
  static boost::asio::awaitable<void> ask_on_connect(StatePtr state, std::shared_ptr<Ws> socket,
                                                     ConnectionPtr connection) {
    const std::string why = co_await denial(state, call_on_connect(state, socket, connection));
    if (why.empty()) co_return;
    ++state->counters().refused;
    state->log_limited(Severity::warning, "connection_denied",
                       {{"id", connection->id()}, {"why", why}});
    throw Error(errc::connection_denied, why);
  }

  static boost::asio::awaitable<bool> call_room_validator(StatePtr state, std::string room,
                                                          ConnectionPtr connection) {
    const auto& hook = state->options().room_validator;
    if (!hook.is_coroutine()) co_return hook.call(room, *connection);
    co_return co_await hook.start(room, *connection);
  }
  static boost::asio::awaitable<void> ask_room(StatePtr state, std::string room,
                                               ConnectionPtr connection) {
    const std::string why = co_await denial(state, call_room_validator(state, room, connection));
    if (why.empty()) co_return;
    if (!connection->is_connected() && !connection->ended()) ++state->counters().refused;
    state->log_limited(Severity::warning, "join_denied",
                       {{"id", connection->id()}, {"room", room}, {"why", why}});
    throw Error(errc::join_denied, "room \"" + escape_for_log(room) + "\": " + why);
  }

  /// Waits for the answer of a hook, at most `hook_timeout`. @returns why it denies; empty: it
  /// allows
  static boost::asio::awaitable<std::string> denial(StatePtr state,
                                                    boost::asio::awaitable<bool> question) {
    std::exception_ptr error;
    try {
      if (co_await state->hooks().calls().answer(std::move(question), state->loop(),
                                                 state->options().hook_timeout)) {
        co_return std::string();
      }
    } catch (...) {
      error = std::current_exception();
    }
    if (!error) co_return "refused by the hook";
    const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    const bool is_cancelled = cancellation.cancelled() != boost::asio::cancellation_type::none;
    if (is_cancelled) std::rethrow_exception(error);  // the caller was cancelled, not the hook
    co_return describe(error);
  }
};

}  // namespace roost::detail
