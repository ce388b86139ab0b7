// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>
#include <type_traits>

#include "roost/access/origin_policy.hpp"
#include "roost/access/rate_limit.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/base/hook.hpp"
#include "roost/base/log.hpp"
#include "roost/base/names.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/overflow.hpp"

namespace roost {

/// The options of `ConnectionManager::drain`.
struct DrainOptions {
  /// When the drain must be complete: transports that have not closed by then are aborted. 0 to 1
  /// day. Keep it below the time after which the process is killed (Docker: 10 s, Kubernetes: 30
  /// s).
  ///
  /// A drain rarely takes longer than `spread` plus a `close_timeout`: a peer that takes nothing,
  /// or does not answer its close frame, is aborted after the manager's `close_timeout`, and a
  /// client that does not complete its request after the `close_timeout` of `listen`.
  Clock::duration deadline = std::chrono::seconds(30);
  /// The close code for the connections.
  std::uint16_t code = close_code::service_restart;
  /// The time over which the closes are spread evenly, at most 10 ms apart, so that few connections
  /// are closed quickly. At most half of `deadline` is used, so that the last peer has time to
  /// answer. 0: all at the same time; at most 1 day.
  Clock::duration spread = std::chrono::seconds(5);
  /// How long clients are asked to wait before they reconnect. The close reason is `retry-ms=N`,
  /// with N spread evenly from `retry_after` to `retry_after + retry_spread`, so that they do not
  /// all reconnect at the same time. 0 to 1 day.
  Clock::duration retry_after = std::chrono::seconds(1);
  /// The length of the interval over which clients reconnect, see `retry_after`. 0 to 1 day.
  Clock::duration retry_spread = std::chrono::seconds(10);
};

/// The result of a drain. `closed`, `left` and `aborted` add up to `connections`.
struct DrainReport {
  std::size_t connections = 0;  ///< Registered when the drain began.
  std::size_t closed = 0;       ///< Completed their close handshake in time.
  std::size_t left = 0;         ///< Left by themselves, or were dropped, before their turn.
  std::size_t aborted = 0;      ///< Aborted at the deadline, or after `close_timeout`.
  /// Handlers that still run because they ignore their cancellation.
  std::size_t unfinished = 0;
};

static_assert(std::is_trivially_destructible_v<DrainOptions>);

namespace detail {

void validate(const DrainOptions& options);

}  // namespace detail

template <class Ws>
class Connection;

/// What to do with a peer that sends more than its rate allows.
enum class OverRate {
  wait,  ///< Its messages are delayed: roost stops reading, so TCP slows the peer down.
  /// The connection is closed with 1008. Messages that arrive while the handler does not receive,
  /// or while the event loop does not run, are read together afterwards; the peer gets its full
  /// rate for that time, even beyond a burst.
  close,
};

/// How much each peer may send. A message counts when it is received; messages that nobody receives
/// are held back by backpressure.
struct InboundRate {
  /// Limit on the number of messages of any size.
  RateLimit messages = {};
  RateLimit bytes = {};  ///< Limit on payload bytes. A message over the burst delays the next.
  /// What to do with a peer that sends more than that.
  OverRate over_rate = OverRate::wait;
};

/// The options of a `ConnectionManager`. They cannot be changed later.
template <class Ws>
struct ManagerOptions {
  /// The time within which a peer must take `min_progress_bytes` while frames are queued for it;
  /// otherwise its connection is dropped. For a socket that does not accept frames it limits each
  /// send. 1 ms to 1 day.
  Clock::duration send_timeout = std::chrono::seconds(5);
  /// Bytes that a peer must acknowledge within each `send_timeout` while frames are queued for it,
  /// or all queued bytes if they are fewer. The two options define the slowest link that is served:
  /// 32 KiB in 5 s is about 52 kbit/s. At least 1. A socket that does not report its progress
  /// (`TellsProgress`) is judged by the age of its oldest byte.
  std::size_t min_progress_bytes = 32'768;
  /// How long a sender that awaits a send waits for a congested recipient, counted from when it
  /// became congested. It is also how long a connection over `max_outbox_bytes` may take nothing
  /// before it is dropped. 0: no waiting; at most 1 day.
  Clock::duration backpressure_wait = std::chrono::milliseconds(250);
  /// How long a hook may take before it is cancelled. 1 ms to 1 day.
  Clock::duration hook_timeout = std::chrono::seconds(10);
  /// How many connections may be registered at the same time, including those being admitted.
  /// `nullopt`: no limit; use it only if you limit connections elsewhere.
  std::optional<std::size_t> max_connections = 10'000;
  /// The largest inbound message in bytes. At least 1. `nullopt`: no limit.
  std::optional<std::size_t> max_message_bytes = 1'048'576;
  /// Which pages may connect. Not set: `check_origin` allows all, and `listen` applies
  /// `OriginPolicy::same_host`.
  OriginPolicy allowed_origins = {};
  /// Whether every broadcast must name a room.
  bool require_room = false;
  /// Called for every initial room and every `join`. The join is denied if it returns false, throws
  /// or takes longer than `hook_timeout`.
  Hook<bool(std::string_view room, Connection<Ws>& connection)> room_validator = {};
  /// Called before a connection is registered; it may change the metadata. The connection is
  /// refused if it returns false, throws or takes longer than `hook_timeout`.
  Hook<bool(Ws& socket, nlohmann::json& metadata)> on_connect = {};
  /// The high-water mark: a connection with at least so many bytes in its outbox is congested. At
  /// least 1.
  std::size_t outbox_high_water = 65'536;
  /// Bytes that an outbox may hold for a peer that does not keep up. A call that sends a message
  /// larger than this throws. A burst may exceed the limit: the bytes that a flush leaves of it are
  /// kept while the peer reads, and up to `max_outbox_bytes` may be queued behind them. At least
  /// `outbox_high_water` + `max_message_bytes` + 14, so that one message of the largest size always
  /// fits.
  std::size_t max_outbox_bytes = 4'194'304;
  /// Memory of all outboxes together, in bytes; a frame that many outboxes share counts once. If it
  /// is exceeded after a flush, connections are dropped until the memory is an eighth below the
  /// limit: first those whose peers take nothing, then those with the fullest outboxes. Up to an
  /// eighth of it may be messages of histories that are kept for clients which return a little
  /// later (32 MiB if there is no limit); these go before any connection is dropped. At least
  /// `max_outbox_bytes`. `nullopt`: no limit.
  std::optional<std::size_t> max_total_outbox_bytes = 268'435'456;
  /// How much each peer may send. No limit by default: a sensible one depends on the application.
  InboundRate inbound = {};
  /// How many rooms a connection may be in. 0: none.
  std::size_t max_rooms_per_connection = 128;
  /// The longest name of a room, in bytes of UTF-8. At least 1.
  std::size_t max_room_name_bytes = 255;
  /// How many connections may be in one room. At least 1. `nullopt`: no limit.
  std::optional<std::size_t> max_room_members = {};
  /// The function that takes log events. Empty: nothing is logged.
  Logger logger = {};
  /// How long a close handshake may take before the transport is aborted. A peer that has yet to
  /// take frames sent earlier gets this time for each `min_progress_bytes`, or for all that is
  /// left, at most twelve times, and once more for its answer. 1 ms to 1 day.
  Clock::duration close_timeout = std::chrono::seconds(5);
  /// How long the handler of a session, if it has received before, may go on after its connection
  /// has ended. Then it is cancelled. 0: it is cancelled immediately; at most 1 day.
  Clock::duration handler_grace = std::chrono::seconds(10);
  /// The clock of all durations here. Time in which the event loop did not run, because the process
  /// was stopped or a handler blocked, does not count. Not null; must outlive the manager's
  /// coroutines. (`ConnectionManager::options` returns the loop's clock instead, which omits such
  /// time.)
  Clock* clock = &Clock::system();
};

/// A view of a JSON value, for the options of awaited calls. The value must be a variable, not a
/// temporary.
class JsonView {
 public:
  /// Makes a view of no value.
  constexpr JsonView() noexcept = default;
  /// Makes a view of @p value, which must outlive the call.
  JsonView(const nlohmann::json& value) noexcept  // NOLINT: implicit on purpose
      : value_(std::addressof(value)) {}
  JsonView(nlohmann::json&&) = delete;  // would dangle
  /// Returns the value; null if there is none.
  [[nodiscard]] const nlohmann::json* get() const noexcept { return value_; }

 private:
  const nlohmann::json* value_ = nullptr;
};

/// What to do with a new connection whose id is in use.
enum class OnDuplicate {
  refuse,  ///< `connect` throws `errc::duplicate_connection_id`.
  /// The old connection is unregistered immediately and closed with 1008 in the background. Its
  /// hooks run before those of the new one, which waits for them: the two never overlap. If the old
  /// connection had left by itself, the id is free, and the new one does not wait for its hooks.
  ///
  /// A hook must not await a `connect` that replaces its own connection: each would wait for the
  /// other until `hook_timeout`. Spawn the call there.
  replace,
};

/// The options of `ConnectionManager::connect`.
struct ConnectOptions {
  /// The id of the connection, 1 to 255 bytes of UTF-8. Not set: 128 random bits in hexadecimal.
  std::optional<std::string_view> connection_id = {};
  /// The application's data about the connection; `on_connect` may change it. Not set: an empty
  /// object.
  JsonView metadata = {};
  /// The rooms that the connection joins initially; at most `max_rooms_per_connection`.
  Names rooms = {};
  /// What to do if the id is in use.
  OnDuplicate on_duplicate = OnDuplicate::refuse;
  /// What happens to messages for this connection while it is congested, unless a message overrides
  /// it.
  Overflow overflow = Overflow::close;
  /// What the client sent to resume: its positions in rooms with a history, as `lobby:<position>`
  /// joined by commas, or an empty text. If this is set, even to an empty text, each message to
  /// this client has a line before its payload that states the new position. Text beyond 8,192
  /// bytes or 128 rooms is ignored, and the rooms left out count as malformed.
  std::optional<std::string_view> resume = {};
  /// For initial rooms with a history that `resume` does not name: how many of the latest messages
  /// the client gets. 0: none.
  std::size_t last = 0;
  /// The user that the connection belongs to, 1 to 255 bytes of UTF-8 without control characters. A
  /// user may have several connections, also with several replicas. Not set: the connection's id.
  std::optional<std::string_view> user = {};
  /// What others may know about the user (a name, a picture), at most 1 KiB as JSON: with presence
  /// it is shown to all who see the members of a room. Not set: nothing.
  JsonView user_info = {};
};

/// The options of `ConnectionManager::join`.
struct JoinOptions {
  /// The client's position in the room. The client gets all messages after it if the history still
  /// has them all. The client is told whether it has them all only if `ConnectOptions::resume` was
  /// set.
  std::optional<std::string_view> since = {};
  /// For a room with a history, if `since` is not set: how many of the latest messages the client
  /// gets. 0: none.
  std::size_t last = 0;
};

/// The options of sending to one connection.
///
/// Sending a message with a drop policy or a key never waits: if a connection is congested, the
/// policy decides immediately.
struct SendOptions {
  /// The drop policy. Not set: that of the connection, or `drop_oldest` for a message with a key.
  std::optional<Overflow> overflow = {};
  /// The key of a value of which only the latest message counts (a cursor, a price). The message
  /// replaces a queued message with this key and takes its place in the queue. 1 to 255 bytes. A
  /// key means the same in all rooms.
  std::optional<std::string_view> key = {};
  /// Receives what happened to the message; must live until the call has completed.
  SendReport* report = nullptr;
};

/// The options of a broadcast: the recipients (everyone, one room, or the union of several rooms,
/// each member once) and how it is sent.
struct BroadcastOptions {
  /// The room to send to. If neither `room` nor `rooms` is set, everyone gets the message.
  std::optional<std::string_view> room = {};
  Names rooms = {};  ///< Several rooms. An empty vector: nobody gets the message.
  /// Ids of connections that do not get the message.
  Names exclude = {};
  /// The drop policy, see `SendOptions::overflow`.
  std::optional<Overflow> overflow = {};
  /// The key of a value of which only the latest message counts, see `SendOptions::key`.
  std::optional<std::string_view> key = {};
  /// Receives what happened to the message; must live until the call has completed. Must be null
  /// for `post_*` and for a `Cluster`.
  SendReport* report = nullptr;
  /// Whether a `Cluster` records the message for clients that come back later. Not set: it does if
  /// the room has a `HistoryRule` and the message has no key. False: the message is sent as in a
  /// room without a rule. True: the call throws if it cannot be recorded.
  std::optional<bool> record = {};
};

/// The options of `ConnectionManager::close_all`.
struct CloseAllOptions {
  /// When connections that have not closed are aborted. 0 to 1 day.
  Clock::duration deadline = std::chrono::seconds(5);
};

// g++ 12 destroys an owning temporary aggregate in a `co_await` expression twice.
static_assert(std::is_trivially_destructible_v<ConnectOptions>);
static_assert(std::is_trivially_destructible_v<SendOptions>);
static_assert(std::is_trivially_destructible_v<BroadcastOptions>);
static_assert(std::is_trivially_destructible_v<JoinOptions>);
static_assert(std::is_trivially_destructible_v<CloseAllOptions>);

namespace detail {

template <class Ws>
void validate(const ManagerOptions<Ws>& options) {
  check_limit(options.send_timeout, "send_timeout");
  check_option(options.min_progress_bytes > 0, "min_progress_bytes must be at least 1");
  check_wait(options.backpressure_wait, "backpressure_wait");
  check_limit(options.hook_timeout, "hook_timeout");
  check_limit(options.close_timeout, "close_timeout");
  check_wait(options.handler_grace, "handler_grace");
  check_option(!options.max_message_bytes || *options.max_message_bytes > 0,
               "max_message_bytes must be at least 1; nullopt lifts the limit");
  check_option(options.outbox_high_water > 0, "outbox_high_water must be at least 1");
  check_option(options.max_outbox_bytes >= options.outbox_high_water &&
                   options.max_outbox_bytes - options.outbox_high_water >=
                       (options.max_message_bytes ? *options.max_message_bytes + 14 : 0),
               "max_outbox_bytes must be at least outbox_high_water + max_message_bytes + 14");
  check_option(!options.max_total_outbox_bytes ||
                   *options.max_total_outbox_bytes >= options.max_outbox_bytes,
               "max_total_outbox_bytes must be at least max_outbox_bytes; nullopt lifts the limit");
  validate(options.inbound.messages, "inbound.messages");
  validate(options.inbound.bytes, "inbound.bytes");
  check_option(!options.max_room_members || *options.max_room_members > 0,
               "max_room_members must be at least 1; nullopt lifts the limit");
  check_option(options.max_room_name_bytes > 0, "max_room_name_bytes must be at least 1");
  check_option(options.clock != nullptr, "clock must not be null");
}

}  // namespace detail
}  // namespace roost

namespace roost::detail {

inline void validate(const DrainOptions& options) {
  check_wait(options.deadline, "deadline");
  check_wait(options.spread, "spread");
  check_option(close_code::may_be_sent(options.code), "code must be one that may be sent");
  check_wait(options.retry_after, "retry_after");
  check_wait(options.retry_spread, "retry_spread");
}

}  // namespace roost::detail
