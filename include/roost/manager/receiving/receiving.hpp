// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/this_coro.hpp>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "roost/base/text/text.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/lifecycle/dropping.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/detail/if_able.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// From one connection to its handler.
template <class Ws>
struct Receiving {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  enum class Kind { any, text, binary };

  /// The next message as @p convert makes it. What comes of the end: @p at_end, or an error.
  ///
  /// One coroutine, on the manager's executor: most connections are suspended here most of the
  /// time, and each frame costs memory and time.
  template <class T>
  static boost::asio::awaitable<T> receive_as(StatePtr state, ConnectionPtr connection, Kind kind,
                                              std::optional<std::size_t> max_bytes,
                                              T (*convert)(Message), T (*at_end)() = nullptr) {
    if (co_await boost::asio::this_coro::executor != state->executor()) {
      co_return co_await on_executor(
          state->executor(),
          receive_as(state, std::move(connection), kind, max_bytes, convert, at_end));
    }
    if (at_end && !connection->is_connected()) co_return at_end();
    require_free(*state, *connection);
    ConnectionParts<Ws>& parts = parts_of(*connection);
    parts.inbound.has_received = true;
    std::optional<Message> message;
    std::exception_ptr error;
    {
      const ScopedValue busy(parts.inbound.is_receiving, true);
      // The connection lets go of its socket when it ends; this receive must not.
      const std::shared_ptr<Ws> socket = connection->websocket();
      const Clock::time_point begun = closes_over_rate(*state) ? state->now() : Clock::time_point();
      try {
        if (has_to_wait(*state, *connection)) co_await wait_for_tokens(state, connection);
        if constexpr (receives_in_steps) {
          const auto receiving = socket->begin_receive();
          while (!socket->has_next()) co_await socket->until_next();
          const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
          message =
              socket->take_next(cancellation.cancelled() != boost::asio::cancellation_type::none);
        } else if constexpr (ReceivesMessages<Ws>) {
          message = co_await socket->receive();
        } else {
          message.emplace().payload = co_await socket->receive_text();
        }
      } catch (...) {
        error = std::current_exception();
      }
      if (closes_over_rate(*state)) note_waited(*state, *connection, begun);
      if (error && connection->is_connected()) {
        const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
        if (cancellation.cancelled() != boost::asio::cancellation_type::none) {
          std::rethrow_exception(error);
        }
        parts.drop(if_able::ended(*socket).value_or(Disconnect()));
      }
    }
    if (at_end && !connection->is_connected()) co_return at_end();
    require_connected(*connection);
    parts.liveness().note(state->now());
    require_rate(*state, *connection, *message);
    require_size(*state, *connection, *message, max_bytes);
    require_kind(*state, *connection, *message, kind);
    co_return convert(std::move(*message));
  }

 private:
  // Spares a receive the coroutine of the socket, which is there as often as there are connections.
  static constexpr bool receives_in_steps = requires(Ws& ws) {
    ws.begin_receive();
    { ws.has_next() } -> std::same_as<bool>;
    ws.until_next();
    { ws.take_next(/*is_cancelled=*/false) } -> std::same_as<Message>;
  };

  static void require_connected(const Connection<Ws>& connection) {
    if (connection.is_connected()) return;
    throw Error(errc::connection_closed,
                connection.ended()
                    ? "ended by " + std::string(to_string(connection.ended()->reason))
                    : "it was never connected");
  }

  static void require_free(const State& state, const Connection<Ws>& connection) {
    require_connected(connection);
    if (!parts_of(connection).is_attached_to(state)) {
      throw Error(errc::not_connected, "the connection belongs to another manager");
    }
    if (parts_of(connection).inbound.is_receiving) {
      throw Error(errc::already_receiving,
                  "connection \"" + escape_for_log(connection.id()) + "\"");
    }
  }

  // A peer earns tokens also while the loop does not run: by the clock of the application.
  //
  // A message is taken as soon as there is anything left to take it from: how long it is, nobody
  // knows before. So a long one is paid for afterwards.
  static Clock::time_point next_at(const State& state, const Connection<Ws>& connection) {
    const InboundRate& limits = state.options().inbound;
    const auto& inbound = parts_of(connection).inbound;
    return std::max(inbound.messages.ready_at(limits.messages),
                    inbound.bytes.ready_at(limits.bytes));
  }
  static bool is_limited(const State& state) noexcept {
    const InboundRate& limits = state.options().inbound;
    return limits.messages.per_second > 0 || limits.bytes.per_second > 0;
  }
  static bool closes_over_rate(const State& state) noexcept {
    return is_limited(state) && state.options().inbound.over_rate == OverRate::close;
  }
  static bool has_to_wait(State& state, const Connection<Ws>& connection) {
    if (!is_limited(state) || closes_over_rate(state)) return false;
    return state.shown_now() < next_at(state, connection);
  }
  static boost::asio::awaitable<void> wait_for_tokens(StatePtr state, ConnectionPtr connection) {
    ++state->counters().rate_limited;
    state->log_limited(Severity::info, "rate_limited", {{"id", connection->id()}});
    const Clock::time_point due = state->clock().from_base(next_at(*state, *connection));
    bool is_early = true;
    while (is_early && connection->is_connected()) {
      is_early = co_await wait(parts_of(*connection).changed, state->loop(), due);
    }
  }
  // What a peer sends while nobody receives, or while the loop does not run, comes all together
  // afterwards. It is not closed for that: such time gives it tokens over its burst. They are lost
  // as time goes by in which the peer is waited for, and when it turns out to have sent no more.
  static void note_waited(const State& state, Connection<Ws>& connection, Clock::time_point begun) {
    const InboundRate& limits = state.options().inbound;
    auto& inbound = parts_of(connection).inbound;
    const Clock::duration waited = state.now() - begun;
    const Clock::time_point over = state.clock().to_base(begun) + waited;
    const auto settle = [&](TokenBucket& bucket) {
      bucket.settle(connection.connected_at());
      bucket.settle(waited < LoopClock::catching_up ? std::min(bucket.full_at() + 2 * waited, over)
                                                    : over);
    };
    if (limits.messages.per_second > 0) settle(inbound.messages);
    if (limits.bytes.per_second > 0) settle(inbound.bytes);
  }
  static void require_rate(State& state, Connection<Ws>& connection, const Message& message) {
    if (!is_limited(state)) return;
    const InboundRate& limits = state.options().inbound;
    const bool closes = closes_over_rate(state);
    const bool is_over = closes && state.clock().base_now() < next_at(state, connection);
    const auto since = closes ? Clock::time_point() : state.shown_now();
    auto& inbound = parts_of(connection).inbound;
    inbound.messages.take(limits.messages, since, 1);
    inbound.bytes.take(limits.bytes, since, message.payload.size());
    if (!is_over) return;
    ++state.counters().rate_limited;
    state.log_limited(Severity::warning, "rate_limited", {{"id", connection.id()}});
    drop(state, connection,
         {.reason = DisconnectReason::rate_limited,
          .code = close_code::policy_violation,
          .text = "too many messages"});
    throw Error(errc::rate_limited, "connection \"" + escape_for_log(connection.id()) + "\"");
  }

  static void require_size(State& state, Connection<Ws>& connection, const Message& message,
                           std::optional<std::size_t> max_bytes) {
    std::optional<std::size_t> limit = state.options().max_message_bytes;
    if (max_bytes && (!limit || *max_bytes < *limit)) limit = max_bytes;  // it may only lower it
    if (!limit || message.payload.size() <= *limit) return;
    const std::string what = std::to_string(message.payload.size()) + " bytes, " +
                             std::to_string(*limit) + " are allowed";
    state.log_limited(Severity::warning, "message_too_big",
                      {{"id", connection.id()}, {"bytes", std::to_string(message.payload.size())}});
    drop(state, connection,
         {.reason = DisconnectReason::message_too_big,
          .code = close_code::message_too_big,
          .text = "message too big"});
    throw Error(errc::message_too_big, what);
  }

  static void require_kind(State& state, Connection<Ws>& connection, const Message& message,
                           Kind kind) {
    if (kind == Kind::any || message.is_text == (kind == Kind::text)) return;
    const std::string what =
        message.is_text ? "text where binary is wanted" : "binary where text is wanted";
    drop(state, connection,
         {.reason = DisconnectReason::unsupported_data,
          .code = close_code::unsupported_data,
          .text = what});
    throw Error(errc::unsupported_data, what);
  }
};

}  // namespace roost::detail
