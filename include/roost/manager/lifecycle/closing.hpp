// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/registry/connection_parts.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/detail/if_able.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// How long a close handshake may take: what was sent before must have the time to arrive.
template <class Ws>
[[nodiscard]] TimeLimit close_limit(const ManagerState<Ws>& state) noexcept {
  return {.total = {},
          .without_progress = state.options().close_timeout,
          .min_progress_bytes = state.options().min_progress_bytes};
}

/// What happens to a socket and a handler after their connection was unregistered.
template <class Ws>
struct Closing {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  /// Ends the transport of a connection that was unregistered.
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

  /// Closes a socket that is not registered. From any thread.
  static void close_in_background(const StatePtr& state, std::shared_ptr<Ws> socket,
                                  std::uint16_t code, std::string reason) {
    boost::asio::dispatch(state->executor(), [state, socket = std::move(socket), code,
                                              reason = std::move(reason)]() mutable {
      state->spawn("close", close_unregistered(state, std::move(socket), code, std::move(reason)));
    });
  }

  /// Ends the transport of a socket that never was registered.
  static boost::asio::awaitable<void> close_unregistered(StatePtr state, std::shared_ptr<Ws> socket,
                                                         std::uint16_t code, std::string reason) {
    const TimeLimit limit = close_limit(*state);
    co_await close_socket(state, nullptr, std::move(socket), code, reason, Ending::close, limit);
  }

  /// Ends the handler of a connection that has ended: one that receives is told by that, one that
  /// waits elsewhere is cancelled. Returns when it has ended.
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
      // Cancelled: there is no grace left.
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
  /// Ends a transport for good, at the latest after @p limit, or when it is cancelled.
  /// @param parts  of the connection, which outlives it; null if there was none
  /// @returns whether it closed in time: else it was cut off.
  static boost::asio::awaitable<bool> close_socket(StatePtr state, ConnectionParts<Ws>* parts,
                                                   std::shared_ptr<Ws> socket, std::uint16_t code,
                                                   std::string reason, Ending ending,
                                                   TimeLimit limit) {
    const Loop& loop = state->loop();
    const auto progress = [&] { return Recipient<Ws>::progress(parts, *socket); };
    Patience patience(loop.now(), limit, progress());
    std::shared_ptr<Child<void>> closing;
    try {
      // The caller may be inside a call of the socket.
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
      ending = Ending::abort;  // cancelled: there is no time left
    }
    // A socket that closes in time by itself is done at the deadline too.
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

  /// That it fails is no matter: then there is nothing to close.
  static boost::asio::awaitable<void> close_call(std::shared_ptr<Ws> socket, std::uint16_t code,
                                                 std::string reason, Clock::duration timeout) {
    // 1005 and 1006 only tell how a connection ended, and must not be sent.
    if (!close_code::may_be_sent(code)) code = close_code::internal_error;
    try {
      co_await if_able::close(*socket, code, std::string_view(reason), timeout);
    } catch (...) {
    }
  }
};

}  // namespace roost::detail
