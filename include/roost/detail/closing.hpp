// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "roost/clock.hpp"
#include "roost/close_code.hpp"
#include "roost/detail/child.hpp"
#include "roost/detail/hooks.hpp"
#include "roost/detail/recipient.hpp"
#include "roost/detail/running.hpp"
#include "roost/detail/wait.hpp"
#include "roost/disconnect.hpp"
#include "roost/websocket_like.hpp"

namespace roost::detail {

/// How the transport of a connection is ended.
enum class Ending {
  close,  ///< A close handshake with a deadline, then abort.
  abort,  ///< At once: the peer does not take bytes any more, or is not there.
};

/// What happens to a socket and a handler after their connection was unregistered.
template <class Ws>
struct Closing {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  /// Ends the transport, then the handler: in this order of beginning, and beside each other.
  static boost::asio::awaitable<void> finish(StatePtr state, ConnectionPtr connection,
                                             std::shared_ptr<Ws> socket, Ending ending,
                                             Clock::duration timeout) {
    const Disconnect& how = *connection->ended();
    auto closing =
        close_socket(state, connection, std::move(socket), how.code, how.text, ending, timeout);
    boost::asio::co_spawn(state->executor(), std::move(closing),
                          [connection, running = Running(state->executor())](std::exception_ptr) {
                            connection->is_closed_ = true;
                            connection->changed_.notify_all();
                          });
    co_await boost::asio::post(boost::asio::use_awaitable);
    if (connection->handler_ && !connection->handler_->is_done()) {
      co_await end_handler(state, connection);
    }
  }

  /// Ends the transport of a connection that is unregistered, or never was registered (null), for
  /// good. Returns when it is closed, at the latest at the deadline.
  static boost::asio::awaitable<void> close_socket(StatePtr state, ConnectionPtr connection,
                                                   std::shared_ptr<Ws> socket, std::uint16_t code,
                                                   std::string reason, Ending ending,
                                                   Clock::duration timeout) {
    Clock& clock = *state->options().clock;
    const Clock::time_point deadline = clock.now() + timeout;
    // The caller may be inside a call of the socket.
    co_await boost::asio::post(boost::asio::use_awaitable);
    if (connection && ending == Ending::close) {
      const bool is_flushed =
          co_await Recipient<Ws>::wait_flushed(connection, state->executor(), clock, deadline);
      if (!is_flushed) ending = Ending::abort;
    }
    if (connection && ending == Ending::abort) connection->was_aborted_ = true;
    if constexpr (Aborts<Ws>) {
      if (ending == Ending::abort) {
        socket->abort();
        co_return;
      }
    }
    auto closing = Child<void>::start(state->executor(), close_call(socket, code, reason, timeout));
    while (!closing->is_done()) {
      if (!co_await wait(closing->ended, state->executor(), clock, deadline)) break;
    }
    // A socket that closes in time by itself is done at the deadline too.
    if (connection && clock.now() >= deadline) connection->was_aborted_ = true;
    if (closing->is_done()) co_return;
    if constexpr (Aborts<Ws>) socket->abort();
    closing->cancel();
  }

  static boost::asio::awaitable<bool> close_one(StatePtr state, std::string id, std::uint16_t code,
                                                std::string reason) {
    const ConnectionPtr connection = state->find(id);
    if (!connection) co_return false;
    // The caller may be a hook of this connection: it would wait for itself.
    const bool is_hook = connection->hooks_.is_calling;
    state->drop(*connection, {DisconnectReason::disconnected, code, std::move(reason)});
    const std::uint64_t last_hook = connection->hooks_.queued;
    co_await wait_closed(state, connection);
    if (!is_hook) co_await Hooks<Ws>::wait_told(state, connection, last_hook);
    co_return true;
  }

  static boost::asio::awaitable<std::size_t> close_all(StatePtr state, std::uint16_t code,
                                                       Clock::duration deadline) {
    const std::vector<ConnectionPtr> all = state->all();
    for (const ConnectionPtr& connection : all) {
      state->drop(*connection, {DisconnectReason::closing_all, code, {}}, Ending::close, deadline);
    }
    for (const ConnectionPtr& connection : all) co_await wait_closed(state, connection);
    co_return all.size();
  }

  /// Waits until the transport of a dropped connection has ended.
  static boost::asio::awaitable<void> wait_closed(StatePtr state, ConnectionPtr connection) {
    while (!connection->is_closed_) {
      co_await wait(connection->changed_, state->executor(), *state->options().clock);
    }
  }

 private:
  static boost::asio::awaitable<void> close_call(std::shared_ptr<Ws> socket, std::uint16_t code,
                                                 std::string reason, Clock::duration timeout) {
    // 1005 and 1006 only tell how a connection ended, and must not be sent.
    if (!close_code::may_be_sent(code)) code = close_code::internal_error;
    if constexpr (ClosesInTime<Ws>) {
      co_await socket->close(code, std::string_view(reason), timeout);
    } else if constexpr (ClosesWithReason<Ws>) {
      co_await socket->close(code, std::string_view(reason));
    } else {
      co_await socket->close(code);
    }
  }

  /// A handler that receives is told by that; one that waits elsewhere is cancelled.
  static boost::asio::awaitable<void> end_handler(StatePtr state, ConnectionPtr connection) {
    const std::shared_ptr<Child<void>> handler = connection->handler_;
    if (connection->has_received_) {
      const Clock::time_point deadline = state->now() + state->options().handler_grace;
      co_await wait(handler->ended, state->executor(), *state->options().clock, deadline);
    }
    handler->cancel();
  }
};

}  // namespace roost::detail
