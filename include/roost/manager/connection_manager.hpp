// SPDX-License-Identifier: MIT
#pragma once

#include "roost/access/origin_policy.hpp"
#include "roost/base/hook.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/lifecycle/session.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/stats.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost {

namespace detail {
template <class Ws>
class ManagerState;
template <class Ws>
struct FanOut;
struct ManagerAccess;
}  // namespace detail

/// Keeps the connections of a server and their rooms, and sends messages to one, to a room or to
/// all.
///
/// A manager belongs to one executor: an `io_context` that one thread runs, or a strand. Its
/// sockets must have the same executor.
///
/// @par Thread safety  Functions that return an `awaitable` may be awaited on any executor; they do
///                     their work on the manager's. `post_*` may be called from any thread. Call
///                     all other members, including the destructor, on the manager's executor or
///                     while nothing runs it.
/// @par Arguments      A call reads all its arguments before it returns, even if it returns an
///                     awaitable: views need not live until the awaitable completes. Invalid
///                     arguments (text that is not UTF-8, an empty room name) make the call itself
///                     throw, not the awaitable.
/// @par Cancellation   Every awaitable may be cancelled and leaves the manager consistent. A frame
///                     that the manager has accepted is still delivered.
/// @par Lifetime       The manager may be destroyed before or after its `io_context`, while
///                     operations are outstanding. Its destructor unregisters and aborts all
///                     connections, stops listeners, and cancels running handlers and hooks; no
///                     further hook begins.
template <WebSocketLike Ws>
class ConnectionManager {
 public:
  /// The type of its sockets.
  using WebSocket = Ws;
  /// The type of its options.
  using Options = ManagerOptions<Ws>;
  /// A pointer to a connection; only `find` can return null.
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;
  // The arguments of hooks live until the hook is done, so a coroutine may take them by reference.
  /// A hook that is called with a connection.
  using ConnectionHook = Hook<void(const ConnectionPtr&)>;
  /// A hook that is called with a connection and a room.
  using RoomHook = Hook<void(const ConnectionPtr&, std::string_view room)>;
  /// A hook that is called with a connection and how it ended.
  using DisconnectHook = Hook<void(const ConnectionPtr&, const Disconnect&)>;
  /// Short for `boost::asio::awaitable`.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// Makes a manager on @p executor.
  /// @par Errors  `errc::invalid_option`, naming the field.
  explicit ConnectionManager(boost::asio::any_io_executor executor, Options options = {});
  ConnectionManager(const ConnectionManager&) = delete;
  ConnectionManager& operator=(const ConnectionManager&) = delete;
  ~ConnectionManager();

  /// Returns the executor that was passed to the constructor.
  [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept;
  /// Returns the options that were passed to the constructor.
  [[nodiscard]] const Options& options() const noexcept;

  // --- connecting ---

  /// Returns whether `allowed_origins` allows the Origin of @p request, which is any object with
  /// `header(name) -> optional<string_view>`. Each refusal is logged; `listen` logs at most one a
  /// second.
  /// @par Thread safety  Any thread may call this; it calls the logger.
  template <HasHeaders T>
  [[nodiscard]] bool check_origin(const T& request) const {
    const auto log = [this](Severity severity, std::string_view event,
                            std::initializer_list<LogField> fields) {
      detail::log(options().logger, severity, event, fields);
    };
    return detail::check_origin(options().allowed_origins, request.header("Origin"),
                                request.header("Host"), log);
  }

  /// Registers a socket. It takes a place within `max_connections`, calls `on_connect`, calls
  /// `room_validator` for each initial room, registers the connection in all of them, and runs the
  /// hooks `on_connected` and `on_joined`, in this order. If the connection is refused, all of this
  /// is undone and the socket stays open.
  /// @returns the connection. It may have ended already: see `Connection::is_connected`.
  /// @par Errors    `errc::too_many_connections`, `duplicate_connection_id`, `connection_denied`,
  ///                `join_denied`, `too_many_rooms`, `room_full`, `connection_closed`, `draining`,
  ///                `wrong_executor`, `manager_stopped`. The call itself throws
  ///                `invalid_connection_id`, `invalid_user`, `invalid_room_name`, `invalid_json`
  ///                (the `user_info`), and `not_connected` if the socket is null.
  /// @par Suspends  While hooks run, at most `hook_timeout` each.
  awaitable<ConnectionPtr> connect(std::shared_ptr<Ws> socket, ConnectOptions options = {});

  /// Calls `connect`, runs @p handler with the connection on the manager's executor, then
  /// unregisters and closes the connection in any case. The close code is 1000 if the handler
  /// returns; 1011 if it throws (1007 for `errc::invalid_json`, 1009 for `errc::message_too_big`);
  /// 1008, 1013 or the code of a drain if `connect` refuses.
  ///
  /// When the peer leaves, an outstanding receive of the handler throws `errc::connection_closed`,
  /// and `session` returns how the connection ended. A handler that waits for something else is
  /// cancelled: immediately if it has never received, otherwise after `handler_grace`. Put work
  /// that every ended connection needs into `on_disconnect`.
  /// @param handler  called with a `std::shared_ptr<Connection<Ws>>`, by value or by reference;
  ///                 returns `awaitable<void>`. Bind a lambda with captures to a variable first
  ///                 (g++ 12).
  /// @returns how the connection ended. If it ended during `connect`, the handler was not called.
  /// @par Errors     Those of `connect`; any other exception of the handler, which is logged first.
  template <class Handler>
    requires std::same_as<std::invoke_result_t<Handler&, ConnectionPtr>, awaitable<void>>
  awaitable<SessionOutcome> session(std::shared_ptr<Ws> socket, ConnectOptions options,
                                    Handler handler) {
    using Erased = detail::SessionHandlerOf<ConnectionPtr, Handler>;
    return run_session(std::move(socket), options, std::make_unique<Erased>(std::move(handler)));
  }

  // --- disconnecting ---

  /// Unregisters a connection immediately, then closes it with 1000. Does nothing if the id is
  /// unknown.
  /// @par Suspends  Until the transport has ended (see `close_timeout`) and the hooks have run.
  /// @returns whether a connection had this id
  awaitable<bool> disconnect(std::string_view id);

  /// Unregisters a connection immediately, then closes it with @p code and @p reason. The reason is
  /// cut to 123 bytes (RFC 6455, section 5.5); a code that may not be sent becomes 1011. Does
  /// nothing if the id is unknown.
  /// @par Suspends  Until the transport has ended (see `close_timeout`) and the hooks have run.
  /// While a hook of this connection runs, which may be the caller, it does not wait for hooks.
  /// @returns whether a connection had this id
  awaitable<bool> close(std::string_view id, std::uint16_t code, std::string_view reason = {});

  /// Unregisters all connections immediately, then flushes and closes them in parallel. A
  /// connection that has not closed by the deadline is aborted. New connections may come meanwhile.
  /// @par Errors  The call throws `errc::invalid_option` for a deadline over 1 day.
  /// @returns how many connections there were
  awaitable<std::size_t> close_all(std::uint16_t code = close_code::normal,
                                   CloseAllOptions options = {});

  /// Closes all connections gracefully before the process ends. From now on `connect` refuses with
  /// `errc::draining`, and listeners answer 503 with `Retry-After`. The connections are closed one
  /// after the other, see `DrainOptions::spread`, and are served until then. Each gets its queued
  /// messages, then a close frame whose reason tells the client when to reconnect (`retry-ms=N`).
  /// When all have gone, the manager's listeners stop.
  ///
  /// At the deadline, transports that have not closed are aborted, and handlers and hooks that
  /// still run are cancelled, including those of upgrades and of connections that left earlier.
  /// Afterwards `running` counts only coroutines of this manager that ignore their cancellation.
  ///
  /// A second call during a drain waits for the first one; its options are ignored.
  ///
  /// Do not await `drain` in a handler or hook: it waits for them, and cancels them at the
  /// deadline. Spawn it there.
  /// @par Errors        The call throws `errc::invalid_option`, naming the field.
  /// @par Suspends      Until all connections, hooks and handlers have ended, at most until the
  ///                    deadline.
  /// @par Cancellation  Ends only the wait; the drain goes on.
  /// @returns how many connections were closed, left by themselves or were aborted
  awaitable<DrainReport> drain(DrainOptions options = {});
  /// Returns whether `drain` was called: the manager accepts no new connections.
  /// @par Thread safety  Any thread may call this.
  [[nodiscard]] bool is_draining() const noexcept;

  // --- hooks ---
  //
  // Hooks run after the event that they report, so they may call the manager. The hooks of one
  // connection never overlap, and run in the order of the events: `on_connected`, `on_joined` for
  // its initial rooms and for each `join`, `on_left` for each `leave` and for the rooms that it was
  // in at the end, then `on_disconnect`. Each may take at most `hook_timeout`; one that throws is
  // logged. A coroutine that takes longer, or runs when the manager is destroyed, is cancelled, and
  // must not use the manager then. No hook begins after that.

  /// Sets the hook that runs when a connection is registered. `connect` returns, and the handler of
  /// a session begins, after the hook.
  void on_connected(ConnectionHook hook);
  /// Sets the hook that runs when a connection has joined a room.
  void on_joined(RoomHook hook);
  /// Sets the hook that runs when a connection has left a room; the connection may have ended.
  void on_left(RoomHook hook);
  /// Sets the hook that runs when a connection is unregistered. It is told why, and with which
  /// close code; the id, metadata and rooms of the connection can still be read.
  void on_disconnect(DisconnectHook hook);

  // --- rooms ---

  /// Adds a connection to a room. Does nothing if the connection is in the room already.
  /// @returns whether the connection is in the room now; false if the id is unknown
  /// @par Errors        `errc::join_denied`, `too_many_rooms`, `room_full`. The call throws
  ///                    `invalid_room_name`.
  /// @par Suspends      While `room_validator` runs; with one backplane channel per room, also
  ///                    until the channel of the room is subscribed.
  /// @par Cancellation  Undoes the join.
  awaitable<bool> join(std::string_view id, std::string_view room, JoinOptions options = {});
  /// Adds this connection to a room, never another connection that has taken over its id. Errors
  /// and results are those of the overload that takes an id.
  awaitable<bool> join(Connection<Ws>& connection, std::string_view room, JoinOptions options = {});
  /// Removes a connection from a room. Does nothing if it is not in the room, or the id is unknown.
  /// @returns whether the connection was in the room
  awaitable<bool> leave(std::string_view id, std::string_view room);

  // --- sending ---

  /// Sends a text message to everyone, to a room, or to the union of several rooms. It is encoded
  /// once.
  /// @returns how many connections accepted the message and are still registered. For more detail
  ///          set `report` in @p options.
  /// @par Errors    The call throws `errc::room_required`, `invalid_room_name`, `invalid_utf8`;
  ///                `invalid_option` for a key that is empty, over 255 bytes, or combined with
  ///                `Overflow::close`; `message_too_big` for a message larger than
  ///                `max_outbox_bytes`. A recipient that cannot be reached is dropped; that is not
  ///                an error.
  /// @par Suspends  Only while a recipient is congested, at most `backpressure_wait`; for sockets
  ///                that do not accept frames, until they have sent the message, at most
  ///                `send_timeout`. Never for a message with a drop policy or a key.
  awaitable<std::size_t> broadcast_text(std::string_view text, BroadcastOptions options = {});
  /// Sends a binary message to everyone, to a room, or to the union of several rooms. Results and
  /// errors are those of `broadcast_text`, except that there is no `invalid_utf8`.
  awaitable<std::size_t> broadcast_bytes(std::span<const std::byte> bytes,
                                         BroadcastOptions options = {});
  /// Sends @p json, serialised once, as a text message to everyone, to a room, or to the union of
  /// several rooms. Results and errors are those of `broadcast_text`; the call also throws
  /// `errc::invalid_json`.
  template <std::same_as<nlohmann::json> Json>
  awaitable<std::size_t> broadcast_json(const Json& json, BroadcastOptions options = {}) {
    return broadcast(detail::encode_json(json, key_of(options)), options);
  }

  /// Broadcasts a text message from any thread without waiting. Frames for congested recipients are
  /// queued, beyond `max_outbox_bytes` only while their peers read. Messages posted by one thread
  /// keep their order.
  /// @par Errors  Those of `broadcast_text`, thrown by the call; also `errc::invalid_option` for a
  ///              report, because the call does not wait for the result.
  void post_text(std::string_view text, BroadcastOptions options = {});
  /// Broadcasts a binary message from any thread without waiting; see `post_text`.
  void post_bytes(std::span<const std::byte> bytes, BroadcastOptions options = {});
  /// Broadcasts @p json, serialised once, as a text message from any thread without waiting; see
  /// `post_text`. The call also throws `errc::invalid_json`.
  template <std::same_as<nlohmann::json> Json>
  void post_json(const Json& json, BroadcastOptions options = {}) {
    post(detail::encode_json(json, key_of(options)), options);
  }

  /// Sends a text message to one connection.
  /// @returns false if the id is unknown, a drop policy kept the message from the connection, or
  ///          the send failed, which also drops the connection
  /// @par Errors    The call throws `errc::invalid_utf8`, `invalid_option` (for the key),
  ///                `message_too_big` (over `max_outbox_bytes`).
  /// @par Suspends  As `broadcast_text` does.
  template <std::convertible_to<std::string_view> Text>
  awaitable<bool> send_to(std::string_view id, const Text& text, SendOptions options = {}) {
    return send(id, detail::encode_text(text, key_of(options)), options);
  }
  /// Sends a binary message to one connection. Results and errors are those for a text message,
  /// except that there is no `invalid_utf8`.
  awaitable<bool> send_to(std::string_view id, std::span<const std::byte> bytes,
                          SendOptions options = {});
  /// Sends @p json, serialised, as a text message to one connection. Results and errors are those
  /// for a text message; the call also throws `errc::invalid_json`.
  template <std::same_as<nlohmann::json> Json>
  awaitable<bool> send_to(std::string_view id, const Json& json, SendOptions options = {}) {
    return send(id, detail::encode_json(json, key_of(options)), options);
  }

  // --- receiving ---

  /// Returns the next message from the peer.
  /// @param max_bytes  a limit on this message, in bytes; it can only lower `max_message_bytes`
  /// @par Errors        `errc::connection_closed` once the connection has ended; `message_too_big`,
  ///                    which also closes with 1009; `rate_limited`, which also closes with 1008;
  ///                    `already_receiving`; `not_connected` for a connection of another manager.
  /// @par Suspends      Until there is a message, and until `inbound` allows it.
  /// @par Cancellation  Loses nothing: the next receive returns the message.
  awaitable<Message> receive(Connection<Ws>& connection, std::optional<std::size_t> max_bytes = {})
    requires ReceivingWebSocket<Ws>;
  /// Returns the next message, which must be text. A binary message closes the connection with 1003
  /// and throws `errc::unsupported_data`. Otherwise like `receive`.
  awaitable<std::string> receive_text(Connection<Ws>& connection,
                                      std::optional<std::size_t> max_bytes = {})
    requires ReceivingWebSocket<Ws>;
  /// Returns the next message, which must be binary. A text message closes the connection with 1003
  /// and throws `errc::unsupported_data`. Otherwise like `receive`.
  awaitable<std::vector<std::byte>> receive_bytes(Connection<Ws>& connection,
                                                  std::optional<std::size_t> max_bytes = {})
    requires ReceivesMessages<Ws>;
  /// Returns the next message, which must be text, parsed as JSON. Throws `errc::invalid_json`, and
  /// leaves the connection open, if the text is not JSON, is nested deeper than 64 levels, or has a
  /// number that does not fit a `double`. The escape of an unpaired surrogate, which a client sends
  /// when it cuts an emoji in two, becomes U+FFFD. Otherwise like `receive_text`.
  awaitable<nlohmann::json> receive_json(Connection<Ws>& connection,
                                         std::optional<std::size_t> max_bytes = {})
    requires ReceivingWebSocket<Ws>;
  /// Returns the next text message, or `nullopt` once the connection has ended. Otherwise like
  /// `receive_text`.
  awaitable<std::optional<std::string>> next_text(Connection<Ws>& connection)
    requires ReceivingWebSocket<Ws>;

  // --- looking up ---

  /// Returns the connection with this id; null if there is none.
  [[nodiscard]] ConnectionPtr find(std::string_view id) const;
  /// Returns the connections of this manager that belong to @p user (see `ConnectOptions::user`),
  /// in no particular order.
  [[nodiscard]] std::vector<ConnectionPtr> connections_of(std::string_view user) const;
  /// Returns how many connections are registered.
  [[nodiscard]] std::size_t total_connections() const noexcept;
  /// Returns how many connections are in @p room; 0 if there is no such room.
  [[nodiscard]] std::size_t room_size(std::string_view room) const noexcept;
  /// Returns the rooms that have members, sorted.
  [[nodiscard]] std::vector<std::string> list_rooms() const;
  /// Returns the connections in a room, in no particular order.
  [[nodiscard]] std::vector<ConnectionPtr> members(std::string_view room) const;
  /// Returns the counters and gauges of this manager.
  [[nodiscard]] Stats stats() const;

 private:
  using FanOut = detail::FanOut<Ws>;
  using SessionHandler = detail::SessionHandler<ConnectionPtr>;
  awaitable<SessionOutcome> run_session(std::shared_ptr<Ws> socket, const ConnectOptions& options,
                                        std::unique_ptr<SessionHandler> handler);

  template <class SomeOptions>
  static std::string_view key_of(const SomeOptions& options) {
    return options.key.value_or(std::string_view());
  }
  // For the templates above: a file that calls these does not compile the fan-out for it.
  awaitable<std::size_t> broadcast(Frame frame, const BroadcastOptions& options);
  void post(Frame frame, const BroadcastOptions& options);
  awaitable<bool> send(std::string_view id, Frame frame, const SendOptions& options);

  friend struct detail::ManagerAccess;
  const std::shared_ptr<detail::ManagerState<Ws>> state_;
};

namespace detail {

/// Gives other parts of roost access to the state, which they may keep longer than the manager.
struct ManagerAccess {
  template <class Ws>
  static const std::shared_ptr<ManagerState<Ws>>& state(const ConnectionManager<Ws>& manager) {
    return manager.state_;
  }
};

}  // namespace detail

}  // namespace roost

#include "roost/manager/connection_manager.ipp"
