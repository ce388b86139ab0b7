// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/control.hpp"
#include "roost/backplane/delivery/bound_manager.hpp"
#include "roost/backplane/delivery/wire_message.hpp"
#include "roost/backplane/presence.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/json.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/options.hpp"

namespace roost {

class Cluster;

namespace detail {

/// What a `Cluster` calls: a manager that is bound to a backplane. The one implementation,
/// `Binding`, is compiled only in files that bind a manager. Errors are those of the functions of
/// `Cluster`.
class ClusterBinding {
 public:
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  ClusterBinding() = default;
  ClusterBinding(const ClusterBinding&) = delete;
  ClusterBinding& operator=(const ClusterBinding&) = delete;
  virtual ~ClusterBinding() = default;

  /// @param payload  the bytes that connections get
  virtual awaitable<Published> publish(WireKind kind, std::string_view payload,
                                       const BroadcastOptions& options) const = 0;
  virtual awaitable<void> forget(std::string_view room) const = 0;
  virtual void on_lost(std::function<void(std::string_view room)> hook) const = 0;
  virtual void on_presence(std::function<void(const PresenceChange&)> hook) const = 0;
  virtual awaitable<Presence> present(std::string_view room) const = 0;
  virtual awaitable<std::size_t> present_count(std::string_view room) const = 0;
  [[nodiscard]] virtual std::vector<ReplicaInfo> replicas() const = 0;
  virtual awaitable<Survey> ask(std::string_view name, const nlohmann::json& question,
                                AskOptions options) const = 0;
  virtual void on_ask(std::string_view name,
                      std::function<nlohmann::json(const nlohmann::json&)> hook) const = 0;
  /// Makes all replicas carry out @p order, whose target and room are set here.
  virtual awaitable<Reached> order(ControlOrder order, Target target, std::string_view room,
                                   Clock::duration timeout) const = 0;
  virtual void unbind() noexcept = 0;
};

/// Binds @p manager, which has @p rooms.
/// @par Errors  `errc::already_bound`.
ROOST_WHEN_USED [[nodiscard]] std::shared_ptr<ClusterBinding> make_binding(
    BackplaneRef backplane, const std::shared_ptr<const BoundManager>& manager, RoomIndex& rooms);

}  // namespace detail

/// The options of `bind_manager`.
struct BindOptions {
  /// Whether messages may be for everyone. If false, a broadcast without a room throws
  /// `errc::room_required`, and a message without a room from another replica is dropped with a
  /// warning.
  bool allow_global = false;
};

/// Binds @p manager to @p backplane: messages from the backplane are delivered to the manager's
/// connections until the returned handle is unbound or destroyed.
///
/// Delivery never waits for a socket: frames for congested connections are queued, as with
/// `post_*`. A message that cannot be delivered is skipped with a warning in the manager's log.
///
/// A message that a client sent must fit the backplane when the application broadcasts it: a byte
/// of text can take six bytes as JSON. So the backplane's `max_message_bytes` must be at least six
/// times that of the manager plus 4096; the defaults of both fit. For a manager without a limit
/// nothing is checked here: a message that is too large for the backplane throws
/// `errc::message_too_big` when it is broadcast.
///
/// Two `RedisBackplane`s of one channel are two replicas: a manager that is bound to both gets each
/// message twice.
/// @par Errors         `errc::already_bound`; `invalid_option` for `allow_global` with a manager
///                     that requires a room, and for a backplane whose `max_message_bytes` is too
///                     small for the manager's; `backplane_unavailable` for an empty reference.
/// @par Thread safety  On the manager's executor, or while nothing runs it.
/// @par Lifetime       Handle, manager, backplane and `io_context` may be destroyed in any order.
///                     If manager and backplane run on different threads, unbind before the
///                     manager's `io_context` is destroyed.
template <class Ws>
[[nodiscard]] Cluster bind_manager(BackplaneRef backplane, ConnectionManager<Ws>& manager,
                                   BindOptions options = {});

/// A manager that is bound to a backplane. A message sent with a `Cluster` reaches the connections
/// of every replica, this one included, once each. Made by `bind_manager`; unbinds when destroyed.
///
/// The manager's own connections get a message as soon as the call is awaited, in the order of the
/// calls. The message does not travel over the backplane for them, so they get it also before the
/// backplane has started. If the call is awaited on another executor, the message is posted to the
/// manager's. (A backplane of your own, which has only the calls of the concept `Backplane`, has to
/// deliver the message to the manager's own connections too.)
///
/// A message to a room with a `HistoryRule` is recorded first: all members, also the manager's own,
/// get it in the order of the history, and none gets it if it cannot be recorded.
///
/// @par Thread safety  One thread at a time may use a handle. It may be any thread from which the
///                     backplane's `publish` may be called.
/// @par Arguments      All are consumed before a call returns.
/// @par Lifetime       May outlive manager and backplane, but sending requires that a backplane
///                     which was bound by reference still exists.
class [[nodiscard]] Cluster {
 public:
  /// Short for `boost::asio::awaitable`.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// Makes a handle that is not bound.
  Cluster() noexcept = default;
  /// Takes the binding over; @p other is not bound afterwards.
  Cluster(Cluster&& other) noexcept = default;
  /// Unbinds this handle, then takes the binding of @p other over, which is not bound afterwards.
  Cluster& operator=(Cluster&& other) noexcept;
  ~Cluster() { unbind(); }

  /// Whether the handle is bound. The manager or the backplane may be gone nevertheless.
  [[nodiscard]] explicit operator bool() const noexcept { return binding_ != nullptr; }

  /// Sends a text message to a room, to the union of several rooms, or, with `allow_global`, to
  /// everyone.
  ///
  /// A replica of hawkapi-websockets on the same channel serves only the first room of a union.
  /// @returns what the backplane knows about the message. How many connections get it is not known.
  /// @par Errors    at the call: `errc::room_required`, `invalid_room_name`, `invalid_utf8`,
  ///                `invalid_json` (nested over 63 levels, since the message itself is one level),
  ///                `message_too_big` (the message as JSON is over the backplane's limit),
  ///                `invalid_option` (an invalid key; a `report`, which is not available for a
  ///                cluster; `record` for a room without a `HistoryRule`, or with a key),
  ///                `one_room_only` (a union with a recorded room, which needs `.record = false`),
  ///                `not_bound`.
  /// @par Suspends  until the backplane has taken the message; never for a socket.
  awaitable<Published> broadcast_text(std::string_view text, BroadcastOptions options = {}) const;
  /// Sends a binary message, as `broadcast_text` sends text. The backplane carries it as base64,
  /// which takes four bytes for three.
  awaitable<Published> broadcast_bytes(std::span<const std::byte> bytes,
                                       BroadcastOptions options = {}) const;
  /// Sends @p json as a text message, as `broadcast_text` does. Clients get the JSON as its
  /// publisher serialised it, also if the publisher is a replica of another kind.
  template <std::same_as<nlohmann::json> Json>
  awaitable<Published> broadcast_json(const Json& json, BroadcastOptions options = {}) const {
    constexpr std::size_t max_depth = detail::max_json_depth - 1;
    const std::string text = detail::dump_json(json, max_depth);
    return bound().publish(detail::WireKind::json, text, options);
  }

  /// Deletes the history of a room. Its members, and clients that come back to it, are told that
  /// they have lost their place (`lost=epoch`). Messages sent from now on are recorded in a new
  /// history; one that is sent before the members of a replica were told may be part of what they
  /// have lost.
  /// @par Errors    at the call `errc::not_bound`, `invalid_room_name`, and `invalid_option` if no
  ///                `HistoryRule` matches the room; when awaited `backplane_unavailable`.
  /// @par Suspends  until the history is deleted.
  awaitable<void> forget(std::string_view room) const;

  /// Calls @p hook whenever members of a recorded room have missed messages that cannot be
  /// recovered. For applications whose clients take no positions: connections with positions are
  /// told without the hook.
  /// @par Errors         `errc::not_bound`; `invalid_option` if the hook is empty.
  /// @par Thread safety  On the backplane's executor, where the hook is called, or before the
  ///                     backplane starts.
  void on_lost(std::function<void(std::string_view room)> hook) const;

  /// Calls @p hook when users come into rooms that have a `PresenceRule`, or go: users on any
  /// replica, in rooms with members of this replica's managers. A user with several connections in
  /// a room comes with the first one and goes with the last one, wherever they are.
  ///
  /// Without a failover of Redis, each change is told once. After one, or after a lost connection,
  /// the list is told anew if it has changed: see `PresenceChange::is_fresh`.
  /// @par Errors         `errc::not_bound`; `not_listed` if the backplane has no presence;
  ///                     `invalid_option` if the hook is empty.
  /// @par Thread safety  On the backplane's executor, where the hook is called, or before the
  ///                     backplane starts.
  void on_presence(std::function<void(const PresenceChange&)> hook) const;

  /// Returns who is in a room, on all replicas. If the room has members of this replica, the answer
  /// comes from its own memory.
  /// @par Errors    at the call `errc::not_bound`, `invalid_room_name`, and `not_listed` if no
  ///                `PresenceRule` matches the room; when awaited `backplane_unavailable`.
  /// @par Suspends  for a turn of the backplane's executor, or until the store has answered.
  awaitable<Presence> present(std::string_view room) const;

  /// Returns how many users are in a room, on all replicas; otherwise like `present`.
  awaitable<std::size_t> present_count(std::string_view room) const;

  // --- the other replicas ---
  //
  // These need a registry of the replicas: see `redis_registry`. `LocalBackplane`s have one.
  // Without a registry each call throws `errc::not_supported`.

  /// Returns the replicas, this one included, as of the last beat: sorted by name. A replica is
  /// there from its start until it stops, or until its lease has ended.
  /// @par Errors         `errc::not_supported`, `not_bound`.
  /// @par Thread safety  From any thread.
  [[nodiscard]] std::vector<ReplicaInfo> replicas() const;

  /// Asks all replicas, this one included. Each answers with what its hook for @p name returns.
  /// @param question  passed to the hooks; at most 64,000 bytes as JSON, as is each answer
  /// @returns the answers, and the names of the replicas that did not answer in time
  /// @par Errors        at the call: `errc::not_supported`, `not_bound`; `invalid_option` for the
  ///                    timeout, and for a name that is empty, longer than 255 bytes, not UTF-8, or
  ///                    begins with `roost:`; `invalid_json`, `message_too_big`.
  /// @par Suspends      until all replicas have answered, or for the timeout.
  /// @par Cancellation  stops waiting; the question may have been asked.
  awaitable<Survey> ask(std::string_view name, const nlohmann::json& question,
                        AskOptions options = {}) const;
  /// Answers questions with @p name: the hook gets the question and returns the answer. A later
  /// hook for the same name replaces the former. An exception becomes the answer's `error`.
  /// @par Errors         `errc::not_supported`, `not_bound`; `invalid_option` for the name, see
  ///                     `ask`, and for an empty hook.
  /// @par Thread safety  From any thread. The hook is called on the backplane's executor, and must
  ///                     not block. It stays until the backplane is gone.
  void on_ask(std::string_view name,
              std::function<nlohmann::json(const nlohmann::json& question)> hook) const;

  /// Disconnects connections, on any replica: each is unregistered immediately, then closed.
  /// @returns how many connections, and which replicas did not answer in time
  /// @par Errors    at the call: `errc::not_supported`, `not_bound`; `invalid_option` for an
  /// option,
  ///                and for a target that is empty, longer than 255 bytes or not UTF-8;
  ///                `invalid_room_name`.
  /// @par Suspends  until all replicas have answered, or for the timeout; not for close handshakes.
  awaitable<Reached> disconnect(Target target, ClusterDisconnectOptions options = {}) const;
  /// Joins connections, on any replica, to a room, unless `room_validator` refuses or the room is
  /// full.
  /// @returns how many connections are in the room now, of those of @p target
  /// @par Errors    those of `disconnect`.
  /// @par Suspends  until all replicas have answered, or for the timeout.
  awaitable<Reached> join(Target target, std::string_view room, AskOptions options = {}) const;
  /// Makes connections, on any replica, leave a room.
  /// @returns how many connections were in the room, of those of @p target
  /// @par Errors    those of `join`.
  /// @par Suspends  until all replicas have answered, or for the timeout.
  awaitable<Reached> leave(Target target, std::string_view room, AskOptions options = {}) const;
  /// Counts the members of a room on all replicas.
  /// @par Errors    those of `join`.
  /// @par Suspends  until all replicas have answered, or for the timeout.
  awaitable<Reached> room_size(std::string_view room, AskOptions options = {}) const;

  /// Ends the binding: the manager gets no more messages from the backplane, and sending throws
  /// `errc::not_bound`.
  void unbind() noexcept;

  /// @private For `bind_manager`.
  explicit Cluster(std::shared_ptr<detail::ClusterBinding> binding) noexcept
      : binding_(std::move(binding)) {}

 private:
  /// @par Errors  `errc::not_bound`.
  [[nodiscard]] const detail::ClusterBinding& bound() const;

  std::shared_ptr<detail::ClusterBinding> binding_;
};

template <class Ws>
Cluster bind_manager(BackplaneRef backplane, ConnectionManager<Ws>& manager, BindOptions options) {
  detail::check_option(!options.allow_global || !manager.options().require_room,
                       "allow_global contradicts the manager's require_room");
  detail::check_wire_limit(backplane.any().max_message_bytes(),
                           manager.options().max_message_bytes);
  const auto& state = detail::ManagerAccess::state(manager);
  const auto bound =
      std::make_shared<const detail::BoundManagerOf<Ws>>(state, options.allow_global);
  return Cluster(detail::make_binding(std::move(backplane), bound, state->rooms()));
}

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/cluster.ipp"
#include "roost/backplane/delivery/binding.hpp"
#endif
