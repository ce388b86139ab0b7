// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/cancellation_type.hpp>

#include "roost/manager/lifecycle/dropping.hpp"

namespace roost::detail {

/// Receives messages of one connection for its handler.
template <class Ws>
struct Receiving {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  enum class Kind { any, text, binary };

  /// Receives the next message and returns the result of @p convert. If the connection has ended,
  /// it returns the result of @p at_end, or throws if that is null.
  ///
  /// On the manager's executor this is a single coroutine: most connections are suspended here most
  /// of the time, and each further coroutine frame would cost memory and time.
  template <class T>
  static boost::asio::awaitable<T> receive_as(StatePtr state, ConnectionPtr connection, Kind kind,
                                              std::optional<std::size_t> max_bytes,
                                              T (*convert)(Message), T (*at_end)() = nullptr) {
    // Its frame holds nothing that is needed only at the beginning or the end.
    if (co_await boost::asio::this_coro::executor != state->executor()) {
      co_return co_await elsewhere(state, connection, kind, max_bytes, convert, at_end);
    }
    if (at_end && !connection->is_connected()) co_return at_end();
    Awaited awaited;
    // The connection releases its socket when it ends; this receive still needs it.
    const std::shared_ptr<Ws> socket = begin(*state, *connection);
    const ScopedValue busy(parts_of(*connection).inbound.is_receiving, true);
    const Clock::time_point begun = closes_over_rate(*state) ? state->now() : Clock::time_point();
    try {
      if (has_to_wait(*state, *connection)) co_await wait_for_tokens(*state, *connection);
      if constexpr (receives_in_steps) {
        const auto receiving = socket->begin_receive();
        while (!socket->has_next()) co_await socket->until_next();
      } else if constexpr (ReceivesMessages<Ws>) {
        awaited.message = co_await socket->receive();
      } else {
        awaited.message.payload = co_await socket->receive_text();
      }
    } catch (...) {
      awaited.error = std::current_exception();
    }
    const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    const bool is_cancelled = cancellation.cancelled() != boost::asio::cancellation_type::none;
    if (closes_over_rate(*state)) note_waited(*state, *connection, begun);
    co_return conclude(*state, *connection, socket, take(*socket, awaited, is_cancelled), kind,
                       max_bytes, convert, at_end);
  }

 private:
  // A socket with these members saves one coroutine frame per connection.
  static constexpr bool receives_in_steps = requires(Ws& ws) {
    ws.begin_receive();
    { ws.has_next() } -> std::same_as<bool>;
    ws.until_next();
    { ws.take_next(/*is_cancelled=*/false) } -> std::same_as<Message>;
  };

  struct Received {
    std::optional<Message> message = {};
    std::exception_ptr error = {};
    bool is_cancelled = false;
  };
  struct Nothing {};
  /// What the frame of `receive_as` keeps: a message is never in it while it waits.
  struct Awaited {
    [[no_unique_address]] std::conditional_t<receives_in_steps, Nothing, Message> message = {};
    std::exception_ptr error = {};
  };

  /// Takes the message that has arrived, or why there is none.
  static Received take(Ws& socket, Awaited& awaited, bool is_cancelled) {
    Received received{.error = awaited.error, .is_cancelled = is_cancelled};
    if (received.error) return received;
    if constexpr (receives_in_steps) {
      try {
        received.message = socket.take_next(is_cancelled);
      } catch (...) {
        received.error = std::current_exception();
      }
    } else {
      received.message = std::move(awaited.message);
    }
    return received;
  }

  template <class T>
  static boost::asio::awaitable<T> elsewhere(const StatePtr& state, const ConnectionPtr& connection,
                                             Kind kind, std::optional<std::size_t> max_bytes,
                                             T (*convert)(Message), T (*at_end)()) {
    return on_executor(state->executor(),
                       receive_as(state, connection, kind, max_bytes, convert, at_end));
  }

  /// Notes that the connection receives. @returns its socket
  static std::shared_ptr<Ws> begin(const State& state, Connection<Ws>& connection) {
    require_free(state, connection);
    parts_of(connection).inbound.has_received = true;
    return connection.websocket();
  }

  /// Checks a message against the limits, and converts it. Where nothing was received, notes that
  /// the connection has ended; a receive that was cancelled throws instead.
  template <class T>
  static T conclude(State& state, Connection<Ws>& connection, const std::shared_ptr<Ws>& socket,
                    Received received, Kind kind, std::optional<std::size_t> max_bytes,
                    T (*convert)(Message), T (*at_end)()) {
    if (received.error && connection.is_connected()) {
      if (received.is_cancelled) std::rethrow_exception(received.error);
      parts_of(connection).drop(if_able::ended(*socket).value_or(Disconnect()));
    }
    if (at_end && !connection.is_connected()) return at_end();
    require_connected(connection);
    Message& message = *received.message;
    parts_of(connection).liveness().note(state.now());
    require_rate(state, connection, message);
    require_size(state, connection, message, max_bytes);
    require_kind(state, connection, message, kind);
    return convert(std::move(message));
  }

  static void require_connected(const Connection<Ws>& connection) {
    if (connection.is_connected()) return;
    throw Error(errc::connection_closed,
                connection.ended()
                    ? "it ended with " + std::string(to_string(connection.ended()->reason))
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

  // Rates use the application's clock: a peer earns tokens also while the loop stalls.
  //
  // A message is received as soon as any tokens are left, because its length is not known before. A
  // long message is paid for afterwards.
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
    return state.options().inbound.over_rate == OverRate::close && is_limited(state);
  }
  static bool has_to_wait(State& state, const Connection<Ws>& connection) {
    if (!is_limited(state) || closes_over_rate(state)) return false;
    return state.shown_now() < next_at(state, connection);
  }
  static boost::asio::awaitable<void> wait_for_tokens(State& state, Connection<Ws>& connection) {
    ++state.counters().rate_limited;
    state.log_limited(Severity::info, "rate_limited", {{"id", connection.id()}});
    const Clock::time_point due = state.clock().from_base(next_at(state, connection));
    bool is_early = true;
    while (is_early && connection.is_connected()) {
      is_early = co_await wait(parts_of(connection).changed, state.loop(), due);
    }
  }
  // Messages that a peer sends while nobody receives, or while the loop stalls, are read together
  // afterwards. The peer must not be closed for that, so such time earns tokens beyond the burst.
  // These extra tokens expire while a receive waits for the peer.
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
    if (max_bytes && (!limit || *max_bytes < *limit)) limit = max_bytes;  // never raise it
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
        message.is_text ? "text where binary is expected" : "binary where text is expected";
    drop(state, connection,
         {.reason = DisconnectReason::unsupported_data,
          .code = close_code::unsupported_data,
          .text = what});
    throw Error(errc::unsupported_data, what);
  }
};

}  // namespace roost::detail
