// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "roost/access/origin_policy.hpp"
#include "roost/base/hook.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/lifecycle/session_handler.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/stats.hpp"
#include "roost/socket/detail/encode.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost {

namespace detail {
template <class Ws>
class ManagerState;
struct ManagerAccess;
}  // namespace detail

/// Who is connected, in which room, and how to reach them all.
///
/// Belongs to one executor: an `io_context` that one thread runs, or a strand. The sockets live
/// there too.
///
/// @par Thread safety  Functions that return an `awaitable` may be awaited from any executor; the
///                     work is done on the manager's. `post_*` may be called from any thread. The
///                     rest, the destructor included, on the manager's executor, or while nothing
///                     runs it.
/// @par Arguments      All are consumed before a call returns, also where it returns an awaitable:
///                     views need not live until it completes, and a caller's mistake (text that
///                     is no UTF-8, an empty room name) is thrown by the call itself.
/// @par Cancellation   Every awaitable may be cancelled and leaves the manager consistent. A frame
///                     that the manager has taken is still delivered.
/// @par Lifetime       May be destroyed before or after its `io_context`, with anything under way:
///                     all connections are unregistered and aborted, listeners stop, handlers and
///                     hooks under way are cancelled, and no hook begins.
template <WebSocketLike Ws>
class ConnectionManager {
 public:
  /// What it manages.
  using WebSocket = Ws;
  /// Its options.
  using Options = ManagerOptions<Ws>;
  /// How connections are handed out; never null but from `find`.
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;
  // By reference to what lives until the hook is done, so that a coroutine may take it so too.
  /// Told of a connection.
  using ConnectionHook = Hook<void(const ConnectionPtr&)>;
  /// Told of a connection and a room.
  using RoomHook = Hook<void(const ConnectionPtr&, std::string_view room)>;
  /// Told of a connection and how it ended.
  using DisconnectHook = Hook<void(const ConnectionPtr&, const Disconnect&)>;
  /// Short for Asio's.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// @par Errors  `errc::invalid_option`, naming the field.
  explicit ConnectionManager(boost::asio::any_io_executor executor, Options options = {});
  ConnectionManager(const ConnectionManager&) = delete;
  ConnectionManager& operator=(const ConnectionManager&) = delete;
  ~ConnectionManager();

  /// That of the constructor.
  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept;
  /// Those of the constructor.
  [[nodiscard]] const Options& options() const noexcept;

  // --- who comes in ---

  /// Whether `allowed_origins` allows the Origin of @p request: anything with
  /// `header(name) -> optional<string_view>`. Each refusal is logged, those by `listen` once a
  /// second.
  /// @par Thread safety  From any thread; the logger is called there.
  template <HasHeaders T>
  [[nodiscard]] bool check_origin(const T& request) const {
    const auto log = [this](Severity severity, std::string_view event,
                            std::initializer_list<LogField> fields) {
      detail::log(options().logger, severity, event, fields);
    };
    return detail::check_origin(options().allowed_origins, request.header("Origin"),
                                request.header("Host"), log);
  }

  /// Registers a socket. In this order: a place within `max_connections` is taken, `on_connect` is
  /// asked, `room_validator` is asked for each initial room, the connection is registered in all of
  /// them, `on_connected` and `on_joined` are told. A refusal undoes everything, and leaves the
  /// socket open.
  /// @returns the connection, which may have ended by then: ask `is_connected()`.
  /// @par Errors    `errc::too_many_connections`, `duplicate_connection_id`, `connection_denied`,
  ///                `join_denied`, `too_many_rooms`, `room_full`, `connection_closed`, `draining`,
  ///                `wrong_executor`, `manager_stopped`; at the call `invalid_connection_id`,
  ///                `invalid_room_name`, and `not_connected` for a socket that is null.
  /// @par Suspends  while hooks answer, at most `hook_timeout` each.
  awaitable<ConnectionPtr> connect(std::shared_ptr<Ws> socket, ConnectOptions options = {});

  /// Connects, runs @p handler with the connection on the manager's executor, and always
  /// unregisters and closes: with 1000 when the handler returns, 1011 when it throws (1007 for
  /// `errc::invalid_json`, 1009 for `errc::message_too_big`), 1008, 1013 or the code of a drain
  /// when `connect` refuses.
  ///
  /// A peer that leaves ends a receive of the handler with `errc::connection_closed`, which becomes
  /// the outcome. A handler that waits elsewhere is cancelled: at once if it has never received,
  /// else after `handler_grace`. What must happen at every end of a connection belongs into
  /// `on_disconnect`.
  /// @param handler  called with `std::shared_ptr<Connection<Ws>>`, returns `awaitable<void>`. Give
  ///                 a lambda with captures a name first (g++ 12).
  /// @returns how the connection ended; without a call of the handler, if that was during
  /// `connect`.
  /// @par Errors     those of `connect`; what else the handler throws, after it was logged.
  template <class Handler>
    requires std::same_as<std::invoke_result_t<Handler&, ConnectionPtr>, awaitable<void>>
  awaitable<SessionOutcome> session(std::shared_ptr<Ws> socket, ConnectOptions options,
                                    Handler handler) {
    using Erased = detail::SessionHandlerOf<ConnectionPtr, Handler>;
    return run_session(std::move(socket), options, std::make_unique<Erased>(std::move(handler)));
  }

  // --- who leaves ---

  /// Unregisters at once, then closes with 1000. Nothing happens if the id is unknown.
  /// @par Suspends  until the transport has ended (see `close_timeout`) and the hooks have run.
  /// @returns whether there was such a connection.
  awaitable<bool> disconnect(std::string_view id);

  /// The same with a close code and a reason, which is cut to 123 bytes (RFC 6455, section 5.5). A
  /// code that may not be sent becomes 1011. While a hook of that connection
  /// is being told, which may be the caller, it does not wait for its hooks.
  awaitable<bool> close(std::string_view id, std::uint16_t code, std::string_view reason = {});

  /// Unregisters all at once, then flushes and closes them in parallel; what has not closed by the
  /// deadline is aborted. New connections may come meanwhile.
  /// @par Errors  at the call `errc::invalid_option` for a deadline over a day.
  /// @returns how many there were.
  awaitable<std::size_t> close_all(std::uint16_t code = close_code::normal,
                                   CloseAllOptions options = {});

  /// Lets everybody go before the process ends. From now on `connect` refuses with
  /// `errc::draining`, and listeners answer 503 with `Retry-After`. Who is connected is served
  /// until it is its turn; then it gets what is queued, and a close frame whose reason says when to
  /// come back (`retry-ms=N`). Once all have gone the manager's listeners stop. At the deadline
  /// every transport that has not closed is aborted, and hooks and handlers under way are
  /// cancelled, those of connections that left before and of upgrades among them: afterwards
  /// `running` counts nothing of this manager but what ignores its cancellation.
  ///
  /// Called again while it is under way it is joined, with the options of the first call.
  ///
  /// A handler or a hook that awaits it is itself waited for, and is cancelled like any other:
  /// spawn it there.
  /// @par Errors        at the call `errc::invalid_option`, naming the field.
  /// @par Suspends      until all connections, hooks and handlers have ended, at most until the
  ///                    deadline.
  /// @par Cancellation  only ends the wait; the drain goes on.
  /// @returns how many left how.
  awaitable<DrainReport> drain(DrainOptions options = {});
  /// Whether `drain` was called: nobody is let in any more.
  /// @par Thread safety  From any thread.
  [[nodiscard]] bool is_draining() const noexcept;

  // --- what the application is told ---
  //
  // Hooks are told after the fact and outside of it, so they may call back into the manager. Those
  // of one connection never overlap and come in the order of what happened: `on_connected`,
  // `on_joined` for its first rooms and for each `join`, `on_left` for each `leave` and for the
  // rooms that it was in at the end, `on_disconnect`. Each may take at most `hook_timeout`; one
  // that throws is logged. A coroutine that is late, or under way when the manager is destroyed, is
  // cancelled, and must not use the manager then. None begins after that.

  /// A connection is registered. `connect` returns, and a session's handler begins, afterwards.
  void on_connected(ConnectionHook hook);
  /// A connection is in a room.
  void on_joined(RoomHook hook);
  /// A connection is in a room no more; it may have ended.
  void on_left(RoomHook hook);
  /// A connection is unregistered, with its id, metadata and rooms still there: why, and with which
  /// close code.
  void on_disconnect(DisconnectHook hook);

  // --- rooms ---

  /// Adds a connection to a room. Nothing happens if it is there already.
  /// @returns whether it is in the room now; false for an unknown id.
  /// @par Errors        `errc::join_denied`, `too_many_rooms`, `room_full`; at the call
  ///                    `invalid_room_name`.
  /// @par Suspends      while `room_validator` answers; with a channel per room, until messages of
  ///                    other replicas to the room arrive.
  /// @par Cancellation  undoes it.
  awaitable<bool> join(std::string_view id, std::string_view room);
  /// The same for this very connection: whoever has its id by then does not join in its stead.
  awaitable<bool> join(Connection<Ws>& connection, std::string_view room);
  /// Takes a connection out of a room. Nothing happens if it is not there, or the id is unknown.
  /// @returns whether it was in the room.
  awaitable<bool> leave(std::string_view id, std::string_view room);

  // --- sending ---

  /// Sends a message to everyone, to a room, or to the union of rooms, encoded once.
  /// @returns how many connections took it over and are still registered; what else became of it is
  ///          in @p options.report.
  /// @par Errors    at the call: `errc::room_required`, `invalid_room_name`, `invalid_utf8`,
  ///                `invalid_json`; `invalid_option` for a key that is empty, over 255 bytes, or
  ///                together with `Overflow::close`; `message_too_big` for what is larger than
  ///                `max_outbox_bytes`. A recipient that cannot be reached is dropped, and no
  ///                error.
  /// @par Suspends  only while a recipient is congested, at most `backpressure_wait`; for sockets
  ///                that take no frames until they have sent it, at most `send_timeout`. Never
  ///                for a message with a drop policy or a key.
  awaitable<std::size_t> broadcast_text(std::string_view text, BroadcastOptions options = {});
  /// The same for a binary message.
  awaitable<std::size_t> broadcast_bytes(std::span<const std::byte> bytes,
                                         BroadcastOptions options = {});
  /// The same for a text message: @p json, serialised once.
  template <std::same_as<nlohmann::json> Json>
  awaitable<std::size_t> broadcast_json(const Json& json, BroadcastOptions options = {}) {
    return broadcast(detail::encode_json(json, key_of(options)), options);
  }

  /// Like `broadcast_text` from any thread, without waiting for anybody: frames for the congested
  /// queue up, over `max_outbox_bytes` only for those that take them. The calls of one thread keep
  /// their order.
  /// @par Errors  at the call, those of `broadcast_text`; `errc::invalid_option` also for a report:
  ///              there is nobody to wait for it.
  void post_text(std::string_view text, BroadcastOptions options = {});
  /// The same for a binary message.
  void post_bytes(std::span<const std::byte> bytes, BroadcastOptions options = {});
  /// The same for @p json, serialised once.
  template <std::same_as<nlohmann::json> Json>
  void post_json(const Json& json, BroadcastOptions options = {}) {
    post(detail::encode_json(json, key_of(options)), options);
  }

  /// Sends a message to one connection.
  /// @returns false if the id is unknown, a drop policy kept the message from it, or the send
  ///          failed, which also drops the connection.
  /// @par Errors    at the call: `errc::invalid_utf8`, `invalid_json`, `invalid_option` (the key),
  ///                `message_too_big` (over `max_outbox_bytes`).
  /// @par Suspends  as `broadcast_text` does.
  template <std::convertible_to<std::string_view> Text>
  awaitable<bool> send_to(std::string_view id, const Text& text, SendOptions options = {}) {
    return send(id, detail::encode_text(text, key_of(options)), options);
  }
  /// The same for a binary message.
  awaitable<bool> send_to(std::string_view id, std::span<const std::byte> bytes,
                          SendOptions options = {});
  /// The same for a text message: @p json, serialised.
  template <std::same_as<nlohmann::json> Json>
  awaitable<bool> send_to(std::string_view id, const Json& json, SendOptions options = {}) {
    return send(id, detail::encode_json(json, key_of(options)), options);
  }

  // --- receiving ---

  /// The next message of a peer.
  /// @param max_bytes  may only lower the limit of the manager
  /// @par Errors        `errc::connection_closed` once the connection has ended;
  ///                    `message_too_big`, which also closes with 1009; `rate_limited`, with 1008;
  ///                    `already_receiving`; `not_connected` for one of another manager.
  /// @par Suspends      until there is a message, and until `inbound` allows it.
  /// @par Cancellation  harms nothing: the next receive gets the message.
  awaitable<Message> receive(Connection<Ws>& connection, std::optional<std::size_t> max_bytes = {})
    requires ReceivingWebSocket<Ws>;
  /// Like `receive`, but the message must be text: binary closes with 1003,
  /// `errc::unsupported_data`.
  awaitable<std::string> receive_text(Connection<Ws>& connection,
                                      std::optional<std::size_t> max_bytes = {})
    requires ReceivingWebSocket<Ws>;
  /// Like `receive`, but the message must be binary: text closes with 1003,
  /// `errc::unsupported_data`.
  awaitable<std::vector<std::byte>> receive_bytes(Connection<Ws>& connection,
                                                  std::optional<std::size_t> max_bytes = {})
    requires ReceivesMessages<Ws>;
  /// Like `receive_text`, parsed. An escape of half a surrogate pair, which a client sends when it
  /// cuts an emoji in two, becomes U+FFFD. `errc::invalid_json` also for nesting over 64 levels and
  /// for numbers that no `double` holds; the connection stays as it is.
  awaitable<nlohmann::json> receive_json(Connection<Ws>& connection,
                                         std::optional<std::size_t> max_bytes = {})
    requires ReceivingWebSocket<Ws>;
  /// Like `receive_text`, but the end of the connection is no error: `nullopt`.
  awaitable<std::optional<std::string>> next_text(Connection<Ws>& connection)
    requires ReceivingWebSocket<Ws>;

  // --- who is there ---

  /// The connection of that id; null if it is unknown.
  [[nodiscard]] ConnectionPtr find(std::string_view id) const;
  /// How many are registered.
  [[nodiscard]] std::size_t total_connections() const noexcept;
  /// How many are in @p room; 0 if there is no such room.
  [[nodiscard]] std::size_t room_size(std::string_view room) const noexcept;
  /// The rooms that have a member, sorted.
  [[nodiscard]] std::vector<std::string> list_rooms() const;
  /// Who is in a room, in no particular order.
  [[nodiscard]] std::vector<ConnectionPtr> members(std::string_view room) const;
  /// What was counted so far.
  [[nodiscard]] Stats stats() const;

 private:
  using SessionHandler = detail::SessionHandler<ConnectionPtr>;
  awaitable<SessionOutcome> run_session(std::shared_ptr<Ws> socket, const ConnectOptions& options,
                                        std::unique_ptr<SessionHandler> handler);

  template <class SomeOptions>
  static std::string_view key_of(const SomeOptions& options) {
    return options.key.value_or(std::string_view());
  }
  awaitable<std::size_t> broadcast(Frame frame, const BroadcastOptions& options);
  void post(Frame frame, const BroadcastOptions& options);
  awaitable<bool> send(std::string_view id, Frame frame, const SendOptions& options);

  friend struct detail::ManagerAccess;
  const std::shared_ptr<detail::ManagerState<Ws>> state_;
};

namespace detail {

/// For the parts of roost that outlive a manager.
struct ManagerAccess {
  template <class Ws>
  static const std::shared_ptr<ManagerState<Ws>>& state(const ConnectionManager<Ws>& manager) {
    return manager.state_;
  }
};

}  // namespace detail

}  // namespace roost

#include "roost/manager/connection_manager.ipp"
