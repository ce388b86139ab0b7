// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "roost/access/origin_policy.hpp"
#include "roost/access/rate_limit.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/base/hook.hpp"
#include "roost/base/log.hpp"
#include "roost/base/names.hpp"
#include "roost/socket/disconnect.hpp"
#include "roost/socket/overflow.hpp"

namespace roost {

/// How a manager lets its connections go before the process ends.
struct DrainOptions {
  /// When all must be over: what has not closed by then is aborted. 0 to 1 day. A peer that takes
  /// nothing, or does not answer its close frame, is aborted after the manager's `close_timeout`
  /// already, and one that does not end its request after the `close_timeout` of `listen`, so that
  /// a drain rarely takes longer than `spread` and that. Keep it below the time after which the
  /// process is killed: Docker's is 10 s, Kubernetes' 30 s.
  Clock::duration deadline = std::chrono::seconds(30);
  /// The close code that the connections get.
  std::uint16_t code = close_code::service_restart;
  /// The time over which the closes are paced, one after the other at equal distances of at most
  /// 10 ms: few are not kept waiting. Cut to half of the deadline, so that the last has time to
  /// answer. 0: all at once; at most 1 day.
  Clock::duration spread = std::chrono::seconds(5);
  /// How long clients are asked to wait before they come back: the close reason is `retry-ms=N`,
  /// with N spread evenly over `retry_spread` from here on, so that they do not come all at once.
  /// 0 to 1 day.
  Clock::duration retry_after = std::chrono::seconds(1);
  /// See `retry_after`. 0 to 1 day.
  Clock::duration retry_spread = std::chrono::seconds(10);
};

/// How those left who were registered when a drain began. `closed`, `left` and `aborted` add up to
/// `connections`.
struct DrainReport {
  std::size_t connections = 0;  ///< How many there were.
  std::size_t closed = 0;       ///< Got their close frame, and were gone before the deadline.
  std::size_t left = 0;         ///< Left by themselves, or were dropped, before it was their turn.
  std::size_t aborted = 0;      ///< Were cut off at the deadline, or after `close_timeout`.
  /// Handlers of connections that still run: they ignore that they were cancelled.
  std::size_t unfinished = 0;
};

static_assert(std::is_trivially_destructible_v<DrainOptions>);

namespace detail {

void validate(const DrainOptions& options);

}  // namespace detail

template <class Ws>
class Connection;

/// What to do with a peer that sends more than its rate.
enum class OverRate {
  wait,  ///< Its messages are taken later: nothing is read meanwhile, and the peer feels it.
  /// It is closed with 1008. What it sends while its handler does not receive, or while the event
  /// loop does not run, comes together afterwards: such time counts in full, also beyond a burst.
  close,
};

/// How much one peer may send. Counted where a message is taken: what it has sent and nobody
/// receives is held back anyway.
struct InboundRate {
  /// Messages, whatever their size.
  RateLimit messages = {};
  RateLimit bytes = {};  ///< Of payload. A message over the burst makes the next ones wait.
  /// What to do with a peer that sends more.
  OverRate over_rate = OverRate::wait;
};

/// The options of a `ConnectionManager`, fixed for its life.
template <class Ws>
struct ManagerOptions {
  /// How long a connection with something queued may take less than `min_progress_bytes` before it
  /// is dropped; for a socket that takes no frames, how long one send may take. 1 ms to 1 day.
  Clock::duration send_timeout = std::chrono::seconds(5);
  /// Bytes that the peer must acknowledge within each `send_timeout` while something is queued for
  /// it, or all of it if that is less. The two are the slowest link that is served: 32 KiB in 5 s
  /// is about 52 kbit/s. At least 1. Sockets that do not tell their progress (`TellsProgress`) are
  /// judged by the age of their oldest byte.
  std::size_t min_progress_bytes = 32'768;
  /// How long an awaiting sender waits for a congested recipient, counted from when it became
  /// congested; and how long, at least, a connection over `max_outbox_bytes` may take nothing. 0:
  /// not at all; at most 1 day.
  Clock::duration backpressure_wait = std::chrono::milliseconds(250);
  /// How long a hook may take to answer. 1 ms to 1 day.
  Clock::duration hook_timeout = std::chrono::seconds(10);
  /// How many may be registered at once, those under way included. `nullopt`: no limit, only for
  /// those who limit connections elsewhere.
  std::optional<std::size_t> max_connections = 10'000;
  /// Per message received, in bytes. `nullopt`: no limit.
  std::optional<std::size_t> max_message_bytes = 1'048'576;
  /// Which pages may connect. Not set: `check_origin` passes all, `listen` wants the same host.
  OriginPolicy allowed_origins = {};
  /// Whether a broadcast must name a room.
  bool require_room = false;
  /// Asked for every initial room and every `join`. False, an exception or no answer: denied.
  Hook<bool(std::string_view room, Connection<Ws>& connection)> room_validator = {};
  /// Asked before a connection is registered; may change the metadata. False, an exception or no
  /// answer: denied.
  Hook<bool(Ws& socket, nlohmann::json& metadata)> on_connect = {};
  /// Bytes in an outbox from which on its connection counts as congested. At least 1.
  std::size_t outbox_high_water = 65'536;
  /// Bytes that an outbox may hold for a peer that does not keep up; one message that is larger is
  /// refused at the call. A burst may be larger: what a flush has left of it is kept while the peer
  /// takes some of it, and so much may be queued behind it. At least `outbox_high_water` +
  /// `max_message_bytes` + 14, so that one message of the largest size always fits.
  std::size_t max_outbox_bytes = 4'194'304;
  /// Memory of all outboxes together, in bytes, over which connections are dropped after a flush:
  /// those that take nothing first, then the fullest, until it is an eighth less. What many share
  /// counts once. At least `max_outbox_bytes`. `nullopt`: no limit.
  std::optional<std::size_t> max_total_outbox_bytes = 268'435'456;
  /// What each peer may send. Off by default: only the application knows what is much.
  InboundRate inbound = {};
  /// How many rooms one connection may be in. 0: none.
  std::size_t max_rooms_per_connection = 128;
  /// Bytes of UTF-8 in the name of a room. At least 1.
  std::size_t max_room_name_bytes = 255;
  /// Connections in one room. At least 1. `nullopt`: as many as there are.
  std::optional<std::size_t> max_room_members = {};
  /// Takes log events. Empty: nothing is logged.
  Logger logger = {};
  /// How long a close handshake may take before the transport is aborted. A peer that has still to
  /// take what was sent before has that long for each `min_progress_bytes`, or for all that is
  /// left, at most twelve times, and then for its answer. 1 ms to 1 day.
  Clock::duration close_timeout = std::chrono::seconds(5);
  /// How long a session's handler that has received before may go on after its connection has
  /// ended, before it is cancelled. 0: not at all; at most 1 day.
  Clock::duration handler_grace = std::chrono::seconds(10);
  /// What all durations here are measured by. Time in which the event loop did not run, because the
  /// process was stopped or a handler blocked, does not count. Not null; must outlive the manager's
  /// coroutines. (`ConnectionManager::options` shows the clock of the loop, which leaves it out.)
  Clock* clock = &Clock::system();
};

/// JSON as an option of an awaited call: a view of a value that has a name.
class JsonView {
 public:
  /// Of no value.
  constexpr JsonView() noexcept = default;
  /// Of @p value, which must outlive the call.
  JsonView(const nlohmann::json& value) noexcept  // NOLINT: implicit on purpose
      : value_(std::addressof(value)) {}
  JsonView(nlohmann::json&&) = delete;  // would dangle: name the value first
  /// The value; null if there is none.
  [[nodiscard]] const nlohmann::json* get() const noexcept { return value_; }

 private:
  const nlohmann::json* value_ = nullptr;
};

/// What to do with a connection whose id is in use.
enum class OnDuplicate {
  refuse,  ///< The new one gets `errc::duplicate_connection_id`.
  /// The old one is unregistered at once and closed with 1008 in the background. The hooks are told
  /// of its end before they are told of the new one, which waits for that: hooks of a connection
  /// and of the one that replaces it never overlap. So a hook must not await a `connect` that
  /// replaces its own connection: that waits for the hook, which its `hook_timeout` ends; it may
  /// spawn it. Where the old one has left by itself the id is free, and nothing waits for its
  /// hooks.
  replace,
};

/// How a socket is registered.
struct ConnectOptions {
  /// Not set: 128 random bits in hex. At most 255 bytes of UTF-8.
  std::optional<std::string_view> connection_id = {};
  /// What the application knows of the connection; `on_connect` may change it. Not set: an empty
  /// object.
  JsonView metadata = {};
  /// The rooms that it is in from the beginning; no more than `max_rooms_per_connection`.
  Names rooms = {};
  /// What happens if the id is in use.
  OnDuplicate on_duplicate = OnDuplicate::refuse;
  /// What becomes of messages to this connection while it is congested, unless they say otherwise.
  Overflow overflow = Overflow::close;
};

/// How a message is sent.
///
/// One with a drop policy or a key makes nobody wait: where a connection is congested it is decided
/// at once what becomes of it.
struct SendOptions {
  /// Not set: that of the connection, or with a key `drop_oldest`.
  std::optional<Overflow> overflow = {};
  /// The latest message of a key is all that counts (a cursor, a price): it takes the place of one
  /// that is still queued, whatever stands between them. 1 to 255 bytes; the same in all rooms.
  std::optional<std::string_view> key = {};
  /// Where to say what became of it; must live until the call has completed.
  SendReport* report = nullptr;
};

/// Who gets a broadcast: everyone, one room, or the union of several rooms, each member once.
struct BroadcastOptions {
  /// Not set, and no `rooms` either: everyone.
  std::optional<std::string_view> room = {};
  Names rooms = {};  ///< An empty vector is nobody; not set is everyone.
  /// Ids of connections that do not get it.
  Names exclude = {};
  /// As in `SendOptions`.
  std::optional<Overflow> overflow = {};
  /// As in `SendOptions`.
  std::optional<std::string_view> key = {};
  /// As in `SendOptions`. There is none of what is posted, or sent through a `Cluster`.
  SendReport* report = nullptr;
};

/// How `close_all` ends the connections.
struct CloseAllOptions {
  /// What has not closed by then is aborted. 0 to 1 day.
  Clock::duration deadline = std::chrono::seconds(5);
};

// g++ 12 destroys an owning temporary aggregate of a `co_await` expression twice.
static_assert(std::is_trivially_destructible_v<ConnectOptions>);
static_assert(std::is_trivially_destructible_v<SendOptions>);
static_assert(std::is_trivially_destructible_v<BroadcastOptions>);
static_assert(std::is_trivially_destructible_v<CloseAllOptions>);

namespace detail {

/// Whether it is 1 ms to 1 day.
[[nodiscard]] bool is_limit(Clock::duration d) noexcept;
/// Whether it is 0 to 1 day.
[[nodiscard]] bool is_wait(Clock::duration d) noexcept;

template <class Ws>
void validate(const ManagerOptions<Ws>& options) {
  check_option(is_limit(options.send_timeout), "send_timeout must be 1 ms to 1 day");
  check_option(options.min_progress_bytes > 0, "min_progress_bytes must be at least 1");
  check_option(is_wait(options.backpressure_wait), "backpressure_wait must be 0 to 1 day");
  check_option(is_limit(options.hook_timeout), "hook_timeout must be 1 ms to 1 day");
  check_option(is_limit(options.close_timeout), "close_timeout must be 1 ms to 1 day");
  check_option(is_wait(options.handler_grace), "handler_grace must be 0 to 1 day");
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
  constexpr Clock::duration zero{};
  constexpr std::chrono::hours day(24);
  check_option(options.deadline >= zero && options.deadline <= day, "deadline must be 0 to 1 day");
  check_option(options.spread >= zero && options.spread <= day, "spread must be 0 to 1 day");
  check_option(close_code::may_be_sent(options.code), "code must be one that may be sent");
  check_option(options.retry_after >= zero && options.retry_after <= day,
               "retry_after must be 0 to 1 day");
  check_option(options.retry_spread >= zero && options.retry_spread <= day,
               "retry_spread must be 0 to 1 day");
}

inline bool is_limit(Clock::duration d) noexcept {
  return d >= std::chrono::milliseconds(1) && d <= std::chrono::hours(24);
}

inline bool is_wait(Clock::duration d) noexcept {
  return d >= Clock::duration::zero() && d <= std::chrono::hours(24);
}

}  // namespace roost::detail
