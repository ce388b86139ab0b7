// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "roost/connection.hpp"
#include "roost/detail/escape.hpp"
#include "roost/detail/how_it_ended.hpp"
#include "roost/detail/manager_state.hpp"
#include "roost/detail/scoped_value.hpp"
#include "roost/message.hpp"

namespace roost::detail {

/// From one connection to its handler.
template <class Ws>
struct Receiving {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  enum class Kind { any, text, binary };

  static boost::asio::awaitable<Message> receive(StatePtr state, ConnectionPtr connection,
                                                 Kind kind, std::optional<std::size_t> max_bytes) {
    require_connected(*connection);
    if (!connection->is_registered_with(*state)) {
      throw Error(errc::not_connected, "the connection belongs to another manager");
    }
    if (connection->is_receiving_) {
      throw Error(errc::already_receiving,
                  "connection \"" + escape_for_log(connection->id()) + "\"");
    }
    Message message = co_await next_message(*state, connection);
    require_size(*state, *connection, message, max_bytes);
    require_kind(*state, *connection, message, kind);
    co_return message;
  }

 private:
  static void require_connected(const Connection<Ws>& connection) {
    if (connection.is_connected()) return;
    throw Error(errc::connection_closed,
                connection.ended()
                    ? "ended by " + std::string(to_string(connection.ended()->reason))
                    : "it was never connected");
  }

  static boost::asio::awaitable<Message> next_message(State& state, ConnectionPtr connection) {
    connection->has_received_ = true;
    const ScopedValue receiving(connection->is_receiving_, true);
    // The connection lets go of its socket when it ends; this receive must not.
    const std::shared_ptr<Ws> socket = connection->websocket();
    std::exception_ptr error;
    try {
      Message message = co_await receive_from(*socket);
      if (connection->is_connected()) {
        connection->liveness_.note(state.now());
        co_return message;
      }
    } catch (...) {
      error = std::current_exception();
    }
    const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    const bool is_cancelled = cancellation.cancelled() != boost::asio::cancellation_type::none;
    if (error && is_cancelled && connection->is_connected()) std::rethrow_exception(error);
    if (connection->is_connected()) state.drop(*connection, how_it_ended(*socket));
    require_connected(*connection);
    throw Error(errc::connection_closed);  // not reached
  }

  static boost::asio::awaitable<Message> receive_from(Ws& socket) {
    if constexpr (ReceivesMessages<Ws>) {
      co_return co_await socket.receive();
    } else {
      Message message;
      message.payload = co_await socket.receive_text();
      co_return message;
    }
  }

  static void require_size(State& state, Connection<Ws>& connection, const Message& message,
                           std::optional<std::size_t> max_bytes) {
    std::optional<std::size_t> limit = state.options().max_message_bytes;
    if (max_bytes && (!limit || *max_bytes < *limit)) limit = max_bytes;  // it may only lower it
    if (!limit || message.payload.size() <= *limit) return;
    const std::string what = std::to_string(message.payload.size()) + " bytes, " +
                             std::to_string(*limit) + " are allowed";
    state.log(Severity::warning, "message_too_big",
              {{"id", connection.id()}, {"bytes", std::to_string(message.payload.size())}});
    state.drop(connection, {.reason = DisconnectReason::message_too_big,
                            .code = close_code::message_too_big,
                            .text = "message too big"});
    throw Error(errc::message_too_big, what);
  }

  static void require_kind(State& state, Connection<Ws>& connection, const Message& message,
                           Kind kind) {
    if (kind == Kind::any || message.is_text == (kind == Kind::text)) return;
    const std::string what =
        message.is_text ? "text where binary is wanted" : "binary where text is wanted";
    state.drop(connection, {.reason = DisconnectReason::unsupported_data,
                            .code = close_code::unsupported_data,
                            .text = what});
    throw Error(errc::unsupported_data, what);
  }
};

}  // namespace roost::detail
