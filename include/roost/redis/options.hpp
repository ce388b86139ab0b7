// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "roost/base/clock.hpp"
#include "roost/base/log.hpp"
#include "roost/redis/stats.hpp"

namespace roost {

namespace detail {
class RedisHistoryFactory;
class RedisPresenceFactory;
class RedisRegistryFactory;
}  // namespace detail

/// Decides which replicas get a message.
enum class Routing {
  /// All replicas get all messages, over one channel. This is how hawkapi-websockets works.
  shared_channel,
  /// A message to one room goes only to replicas with members in that room, over
  /// `{channel}:room:{room}`. A replica subscribes to that channel while a bound manager has
  /// members in the room. Messages to everyone and to unions of rooms go to all replicas, over the
  /// main channel. All replicas must use the same routing.
  per_room,
};

/// The options of a `RedisBackplane`, fixed for its life. No duration may be over a year.
struct RedisOptions {
  /// The address of Redis: `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS,
  /// or `unix://[[user]:password@]/path[?db=database]`. User and password are percent-encoded.
  /// `valkey://` and `valkeys://` mean the same as `redis://` and `rediss://`.
  ///
  /// `redis+sentinel://[[user]:password@]host[:port],host[:port]/name[/database]` names Sentinels,
  /// which know the address of the primary with that name; `rediss+sentinel://` uses TLS for them
  /// and for the primary. One Sentinel that answers is enough, and the others become known through
  /// it. They are asked for each connection, half a second each, and once in each `probe_interval`.
  /// Where Sentinels want a log-in of their own: `?sentinel_user=user&sentinel_password=password`.
  ///
  /// The database does not separate replicas: channels belong to the whole Redis, so replicas with
  /// `/0` and `/1` get each other's messages. Programs that share a Redis need different
  /// `channel`s.
  std::string url = "redis://localhost:6379/0";
  /// The channel that all replicas of a program use; the default is that of hawkapi-websockets.
  /// Channels whose names begin with this name and a colon are used too. UTF-8, not empty.
  std::string channel = "hawkapi:ws";
  /// Which replicas get a message. With `per_room`, `connect` and `join` of a bound manager
  /// complete once messages to the room arrive; they do not wait while Redis is not connected.
  Routing routing = Routing::shared_channel;
  /// File with the certificates (PEM) of the authorities that may have signed the server's
  /// certificate, for `rediss://`. Empty: those of the system.
  std::string ca_file = {};
  /// File with our certificate (PEM, with intermediate certificates), for a Redis that requires
  /// one. Needs `private_key_file`, and TLS. Empty: none.
  std::string certificate_file = {};
  /// File with the key of `certificate_file` (PEM, without a password). Empty: none.
  std::string private_key_file = {};
  /// The name to request from the server (SNI) and to expect in its certificate. Needs TLS. Empty:
  /// the host of `url`.
  std::string server_name = {};
  /// The name of our connections in `CLIENT LIST`. Without spaces. Empty: none.
  std::string client_name = "roost";

  /// Which rooms have a history, made with `redis_history` of `roost/redis/history.hpp`. All
  /// replicas must use the same rules. Not set: no room has a history.
  std::shared_ptr<const detail::RedisHistoryFactory> history = {};
  /// The registry of the replicas, made with `redis_registry` of `roost/redis/registry.hpp`, for
  /// `Cluster::ask`, `disconnect` and the like. All replicas must use the same options. Not set:
  /// these throw `errc::not_supported`.
  std::shared_ptr<const detail::RedisRegistryFactory> registry = {};
  /// Which rooms have presence, made with `redis_presence` of `roost/redis/presence.hpp`. Needs
  /// `registry`. All replicas must use the same rules. Not set: no room has presence.
  std::shared_ptr<const detail::RedisPresenceFactory> presence = {};
  /// What the replica is called in `Cluster::replicas`: any UTF-8, at most 255 bytes.
  std::string label = {};

  /// Whether `start` fails if Redis cannot be reached. If false, `start` returns immediately, and
  /// the backplane keeps trying to connect.
  bool require_connection = true;
  /// Limit on connecting, from the lookup of the host to the end of the log-in. A host with several
  /// addresses gives each address its share. Above 0.
  Clock::duration connect_timeout = std::chrono::seconds(5);
  /// Limit on the answer to a command. If an answer is long, or answers many commands, the limit
  /// applies to each part that arrives. For a long message it applies to each 64 KiB that Redis
  /// takes. Above 0.
  Clock::duration command_timeout = std::chrono::seconds(5);
  /// The upper bound of the delay before a new attempt to connect after the first failure; the
  /// delay is random. Above 0.
  Clock::duration min_retry_delay = std::chrono::milliseconds(500);
  /// The highest upper bound of the delay: it doubles with each failure up to this. At least
  /// `min_retry_delay`.
  Clock::duration max_retry_delay = std::chrono::seconds(30);
  /// How long a connection may be silent before it is checked. Above 0. The subscription is checked
  /// with a message of its own; if none comes back for twice `command_timeout`, it connects again.
  ///
  /// The connection that publishes asks Redis whether it is still a primary (`ROLE`), since a
  /// message that is published to a replica does not reach the others. It asks after this time but
  /// at least every 5 s, and before a message if it has not asked for a second.
  Clock::duration probe_interval = std::chrono::seconds(30);
  /// After a message, the other replicas are told its number within this time, so that they notice
  /// the loss of a message that is not followed by another. Above 0.
  Clock::duration announce_interval = std::chrono::seconds(5);

  /// Limit on one published message, in bytes of JSON. 1 to 66,060,288; for `bind_manager` at least
  /// six times the `max_message_bytes` of the manager plus 4096, since a byte of text may take six
  /// bytes as JSON. By default Redis disconnects a subscriber with more than 32 MiB to read: for
  /// larger messages raise its `client-output-buffer-limit pubsub`.
  std::size_t max_message_bytes = 8'388'608;
  /// How much memory messages may take while they wait for Redis, in bytes. At least
  /// `max_message_bytes` + 4096. While Redis is away, the oldest messages are dropped beyond this
  /// limit. While Redis takes messages, all messages of one turn of the event loop may wait; later
  /// ones may wait up to four times this limit, and beyond that they are refused with
  /// `errc::backplane_full`.
  std::size_t max_spool_bytes = 67'108'864;
  /// How long a message may wait to be sent; then it is dropped. Above 0.
  Clock::duration max_spool_age = std::chrono::seconds(30);
  /// How many messages may wait for a handler that does not keep up. Further messages are dropped
  /// and counted in `Published::missed`. Four times as many may wait for a handler that has had no
  /// turn of the event loop yet, or that takes messages, and more if they all arrive in one turn of
  /// the handler's own event loop. At least 1.
  std::size_t max_queued_messages = 100'000;
  /// How many bytes of JSON may wait for a handler that does not keep up; otherwise like
  /// `max_queued_messages`. At least `max_message_bytes`.
  std::size_t max_queued_bytes = 67'108'864;

  /// Takes log events, on the backplane's executor. Empty: nothing is logged.
  Logger logger = {};
  /// The clock of all durations here. Time in which the event loop did not run does not count. Not
  /// null; must outlive the backplane's coroutines.
  Clock* clock = &Clock::system();
};

/// Reports messages of one publisher that were lost, that came twice, or that may have been lost.
struct RedisLoss {
  bool is_duplicate = false;  ///< The messages came again, and were not delivered again.
  std::string node;           ///< The id of the publisher; each `RedisBackplane` has one.
  std::string channel;        ///< The channel of the messages.
  std::uint64_t first = 0;    ///< The number of the first message.
  std::uint64_t last = 0;     ///< The number of the last message.
  /// The messages may have been lost, or may have been sent before this replica could have received
  /// them. This is unknown in two cases: a publisher is heard for the first time after a connection
  /// was lost, and does not tell when it began; or there were so many publishers that this one may
  /// have been forgotten.
  bool is_uncertain = false;

  /// The number of messages.
  [[nodiscard]] std::uint64_t count() const noexcept { return last - first + 1; }
};

}  // namespace roost
