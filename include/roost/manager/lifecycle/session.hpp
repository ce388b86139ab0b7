// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/lifecycle/admission.hpp"
#include "roost/manager/receiving/receiving.hpp"

namespace roost::detail {

/// The handler of a session with its type erased, so that the session is compiled once for all
/// handlers.
template <class ConnectionPtr>
class SessionHandler {
 public:
  SessionHandler() = default;
  SessionHandler(const SessionHandler&) = delete;
  SessionHandler& operator=(const SessionHandler&) = delete;
  virtual ~SessionHandler() = default;

  virtual boost::asio::awaitable<void> call(ConnectionPtr connection) = 0;
};

template <class ConnectionPtr, class Handler>
class SessionHandlerOf final : public SessionHandler<ConnectionPtr> {
 public:
  explicit SessionHandlerOf(Handler handler) : handler_(std::move(handler)) {}

  boost::asio::awaitable<void> call(ConnectionPtr connection) override {
    connection_ = std::move(connection);
    return handler_(std::move(connection_));
  }

 private:
  Handler handler_;
  ConnectionPtr connection_;  // a handler may take it by reference
};

/// Runs one connection from its admission to its end, with a handler of the application.
template <class Ws>
struct Session {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;
  using HandlerPtr = std::unique_ptr<SessionHandler<ConnectionPtr>>;

  /// A connection from its admission to the end of its session. Its destructor unregisters the
  /// connection even if the frame of the session is destroyed.
  struct Visit {
    State& state;
    HandlerPtr handler;                            // null once called
    ConnectionPtr connection = {};                 // null: it was not admitted
    std::shared_ptr<Child<void>> running = {};     // null: the handler was not called
    std::unique_ptr<SessionOutcome> outcome = {};  // set: there is no handler to wait for
    Visit(State& s, HandlerPtr h) : state(s), handler(std::move(h)) {}
    Visit(Visit&&) noexcept = default;
    Visit& operator=(Visit&&) = delete;
    ~Visit() {
      if (!connection) return;
      let_go_of_handler(*connection);
      unregister(state, *connection, {.reason = DisconnectReason::cancelled});
    }

    /// Whether the application was told of the connection, or there is none.
    [[nodiscard]] bool is_settled() const {
      return outcome || (connection && Admission<Ws>::is_settled(state, *connection));
    }
    [[nodiscard]] bool is_running() const noexcept { return running && !running->is_done(); }

    SessionOutcome end(bool is_cancelled) {
      if (outcome) return std::move(*outcome);
      if (!running) return *connection->ended();
      let_go_of_handler(*connection);
      std::exception_ptr error;
      try {
        running->take();
      } catch (...) {
        error = std::current_exception();
      }
      return conclude(state, *connection, error, is_cancelled);
    }
  };

  /// Admits a connection. From another executor than the manager's, it runs the whole session. This
  /// is a coroutine of its own so that its frame is freed afterwards.
  static boost::asio::awaitable<Visit> enter(StatePtr state, std::shared_ptr<Ws> socket,
                                             AdmissionRequest request, HandlerPtr handler) {
    Visit visit(*state, std::move(handler));
    const bool is_here = co_await boost::asio::this_coro::executor == state->executor();
    if (is_here && !Admission<Ws>::asks_application(*state)) {
      admit_now(state, visit, socket, request, co_await boost::asio::this_coro::cancellation_state);
    }
    if (!visit.is_settled()) co_await enter_slowly(state, visit, socket, request);
    co_return visit;
  }

  /// @param entering  the awaitable of `enter`
  static boost::asio::awaitable<SessionOutcome> serve(StatePtr state,
                                                      boost::asio::awaitable<Visit> entering) {
    // This coroutine is suspended as long as the connection lives. On the manager's executor it has
    // no coroutine around it and none below it, and its frame holds nothing else that is needed
    // only at the beginning or the end: that saves memory.
    Visit visit = co_await std::move(entering);
    start(state, visit);
    bool is_cancelled = false;
    while (visit.is_running()) {
      try {
        co_await visit.running->parent.sleep(state->executor());
      } catch (const boost::system::system_error&) {
        is_cancelled = true;
      }
      if (!visit.is_running()) continue;
      // Even then the session waits for the handler.
      is_cancelled = true;
      co_await boost::asio::this_coro::reset_cancellation_state(
          boost::asio::disable_cancellation());
      visit.running->cancel();
    }
    co_return visit.end(is_cancelled);
  }

 private:
  static void admit_now(const StatePtr& state, Visit& visit, const std::shared_ptr<Ws>& socket,
                        AdmissionRequest& request,
                        const boost::asio::cancellation_state& cancellation) {
    try {
      visit.connection = Admission<Ws>::admit_now(state, socket, request, cancellation);
    } catch (...) {
      visit.outcome =
          std::make_unique<SessionOutcome>(refuse(*state, socket, std::current_exception()));
    }
  }

  /// Does what takes time: asks the application about the connection, unless it is admitted, and
  /// tells it of the connection. From another executor, it runs the whole session.
  /// @pre the arguments outlive this coroutine
  static boost::asio::awaitable<void> enter_slowly(const StatePtr& state, Visit& visit,
                                                   std::shared_ptr<Ws>& socket,
                                                   AdmissionRequest& request) {
    if (co_await boost::asio::this_coro::executor != state->executor()) {
      auto entering = enter(state, std::move(socket), std::move(request), std::move(visit.handler));
      SessionOutcome outcome =
          co_await on_executor(state->executor(), serve(state, std::move(entering)));
      visit.outcome = std::make_unique<SessionOutcome>(std::move(outcome));
      co_return;
    }
    std::exception_ptr refusal;
    try {
      if (!visit.connection) {
        visit.connection = co_await Admission<Ws>::admit(state, socket, request);
      }
    } catch (...) {
      refusal = std::current_exception();
    }
    if (refusal) {
      visit.outcome = std::make_unique<SessionOutcome>(refuse(*state, std::move(socket), refusal));
    } else {
      co_await Admission<Ws>::tell_hooks(state, visit.connection);
    }
  }

  /// Starts the handler, unless the connection has ended already: a hook may have closed it.
  static void start(const StatePtr& state, Visit& visit) {
    const ConnectionPtr& connection = visit.connection;
    if (visit.outcome || !connection->is_connected()) return;
    auto call = visit.handler->call(connection);
    // The child owns the handler, so that its captures live as long as its coroutine.
    visit.running =
        Child<void>::start(state->executor(), std::move(call), std::move(visit.handler));
    parts_of(*connection).handler = visit.running;
    if (!connection->is_connected() && visit.is_running()) {  // the handler may have closed it
      state->spawn("end_handler", Closing<Ws>::end_handler(state, connection, visit.running));
    }
  }

  static void let_go_of_handler(Connection<Ws>& connection) {
    parts_of(connection).handler.reset();
    parts_of(connection).changed.notify_all();
  }

  /// Closes a refused socket with a code that says why, and rethrows the refusal. If the peer
  /// simply left, it returns the outcome instead.
  static SessionOutcome refuse(State& state, std::shared_ptr<Ws> socket,
                               const std::exception_ptr& refusal) {
    std::uint16_t code = close_code::internal_error;
    std::string reason;
    try {
      std::rethrow_exception(refusal);
    } catch (const Error& error) {
      if (is(error, errc::connection_closed))
        return ended_early(state, if_able::ended(*socket).value_or(Disconnect()));
      reason = error.code().message();
      code = is(error, errc::too_many_connections) || is(error, errc::room_full)
                 ? close_code::try_again_later
             : is(error, errc::manager_stopped) ? close_code::going_away
                                                : close_code::policy_violation;
      if (is(error, errc::draining)) {
        code = state.gate()->close_code();
        reason = retry_hint(state.gate()->next_retry());
      }
    } catch (const boost::system::system_error& error) {
      if (error.code() == boost::asio::error::operation_aborted) code = close_code::going_away;
    } catch (...) {
    }
    Closing<Ws>::close_in_background(state.shared_from_this(), std::move(socket), code,
                                     std::move(reason));
    std::rethrow_exception(refusal);
  }

  /// Logs that the peer left, or broke a rule, before it was admitted.
  static SessionOutcome ended_early(State& state, Disconnect how) {
    state.log_limited(Severity::info, "ended_early",
                      {{"reason", to_string(how.reason)}, {"code", std::to_string(how.code)}});
    return how;
  }

  /// Ends the connection according to how the handler ended, and returns the outcome.
  static SessionOutcome conclude(State& state, Connection<Ws>& connection,
                                 const std::exception_ptr& error, bool is_cancelled) {
    const bool had_ended = connection.ended().has_value();
    if (!had_ended) {
      drop(state, connection,
           is_cancelled ? Disconnect{DisconnectReason::cancelled, close_code::going_away, {}}
           : error      ? failure(error)
                        : Disconnect{DisconnectReason::handler_ended, close_code::normal, {}});
    }
    if (is_cancelled) throw boost::system::system_error(boost::asio::error::operation_aborted);
    if (error && !(had_ended && is_how_handlers_learn(error))) {
      state.log(Severity::error, "handler_failed",
                {{"id", connection.id()}, {"why", describe(error)}});
      std::rethrow_exception(error);
    }
    return *connection.ended();
  }

  static Disconnect failure(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const Error& e) {
      if (is(e, errc::invalid_json)) {
        return {DisconnectReason::handler_failed, close_code::invalid_payload, "invalid JSON"};
      }
      if (is(e, errc::message_too_big)) {  // the handler sent more than a backplane's limit
        return {DisconnectReason::handler_failed, close_code::message_too_big, "message too big"};
      }
    } catch (...) {
    }
    return {DisconnectReason::handler_failed, close_code::internal_error, {}};
  }

  /// Returns whether @p error is one that tells a handler that its connection has ended.
  static bool is_how_handlers_learn(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
      return e.code() == boost::asio::error::operation_aborted ||
             e.code() == make_error_code(errc::connection_closed) ||
             e.code() == make_error_code(errc::message_too_big) ||
             e.code() == make_error_code(errc::rate_limited) ||
             e.code() == make_error_code(errc::unsupported_data);
    } catch (...) {
      return false;
    }
  }
};

}  // namespace roost::detail
