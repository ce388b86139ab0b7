// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "roost/base/text/text.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/lifecycle/admission.hpp"
#include "roost/manager/lifecycle/closing.hpp"
#include "roost/manager/lifecycle/dropping.hpp"
#include "roost/manager/lifecycle/session_handler.hpp"
#include "roost/manager/receiving/receiving.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/detail/if_able.hpp"

namespace roost::detail {

/// One connection from admission to its end, around a handler of the application.
template <class Ws>
struct Session {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;
  using HandlerPtr = std::unique_ptr<SessionHandler<ConnectionPtr>>;

  /// What a session begins with.
  using Entry = std::variant<ConnectionPtr, std::unique_ptr<SessionOutcome>>;

  /// Comes in. What only this needs goes with its frame.
  /// @returns the connection, or how the peer left meanwhile
  static boost::asio::awaitable<Entry> admit(StatePtr state, std::shared_ptr<Ws> socket,
                                             typename Admission<Ws>::Request request) {
    std::exception_ptr refusal;
    try {
      co_return co_await Admission<Ws>::admit(state, socket, std::move(request));
    } catch (...) {
      refusal = std::current_exception();
    }
    co_return std::make_unique<SessionOutcome>(refuse(*state, std::move(socket), refusal));
  }

  /// @param entering  of `admit`
  static boost::asio::awaitable<SessionOutcome> serve(StatePtr state,
                                                      boost::asio::awaitable<Entry> entering,
                                                      HandlerPtr handler) {
    // Suspended for as long as the connection lives: on the manager's executor there is no
    // coroutine around it, and none below it.
    if (co_await boost::asio::this_coro::executor != state->executor()) {
      co_return co_await on_executor(state->executor(),
                                     serve(state, std::move(entering), std::move(handler)));
    }
    Entry entry = co_await std::move(entering);
    if (auto* const left = std::get_if<std::unique_ptr<SessionOutcome>>(&entry)) co_return **left;
    const ConnectionPtr& connection = std::get<0>(entry);
    const Registration registration{*state, *connection};
    co_await Admission<Ws>::tell_hooks(state, connection);
    if (!connection->is_connected()) co_return *connection->ended();  // by a hook, say
    const auto running =
        Child<void>::start(state->executor(), call(std::move(handler), connection));
    parts_of(*connection).handler = running;
    if (!connection->is_connected() && !running->is_done()) {  // by its first words
      state->spawn("end_handler", Closing<Ws>::end_handler(state, connection, running));
    }
    bool is_cancelled = false;
    while (!running->is_done()) {
      typename State::Waiter waiter(state->executor(), state->loop().clock, Timer::never());
      running->ended.add(waiter);
      try {
        co_await waiter.sleep();
      } catch (const boost::system::system_error&) {
        is_cancelled = true;
      }
      if (waiter.is_woken()) continue;
      // The handler is waited for, whatever happens.
      is_cancelled = true;
      co_await boost::asio::this_coro::reset_cancellation_state(
          boost::asio::disable_cancellation());
      running->cancel();
    }
    let_go_of_handler(*connection);
    std::exception_ptr error;
    try {
      running->take();
    } catch (...) {
      error = std::current_exception();
    }
    co_return conclude(*state, *connection, error, is_cancelled);
  }

 private:
  // Unregisters also where the frame of the session is destroyed.
  struct Registration {
    State& state;
    Connection<Ws>& connection;
    Registration(State& s, Connection<Ws>& c) : state(s), connection(c) {}
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    ~Registration() {
      let_go_of_handler(connection);
      unregister(state, connection, {.reason = DisconnectReason::cancelled});
    }
  };

  static void let_go_of_handler(Connection<Ws>& connection) {
    parts_of(connection).handler.reset();
    parts_of(connection).changed.notify_all();
  }

  // Owns the handler: its captures live as long as its coroutine.
  static boost::asio::awaitable<void> call(HandlerPtr handler, ConnectionPtr connection) {
    co_await handler->call(std::move(connection));
  }

  /// A refused socket is closed with a code that says why. Throws the refusal, except where the
  /// peer simply left.
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

  /// The peer has left, or broken a rule, before it was admitted.
  static SessionOutcome ended_early(State& state, Disconnect how) {
    state.log_limited(Severity::info, "ended_early",
                      {{"reason", to_string(how.reason)}, {"code", std::to_string(how.code)}});
    return how;
  }

  /// From how the handler ended to how the connection did.
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
      if (is(e, errc::message_too_big)) {  // what it wanted to send on is over a backplane's limit
        return {DisconnectReason::handler_failed, close_code::message_too_big, "message too big"};
      }
    } catch (...) {
    }
    return {DisconnectReason::handler_failed, close_code::internal_error, {}};
  }

  /// The ways in which a handler is told that its connection has ended.
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
