// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "roost/base/clock.hpp"
#include "roost/base/log.hpp"
#include "roost/redis/stats.hpp"

namespace roost {

/// Which replicas get a message.
enum class Routing {
  /// All, over one channel, like those of hawkapi-websockets.
  shared_channel,
  /// Those with members in its room, over `{channel}:room:{room}`, which a replica subscribes to
  /// while a bound manager has members there. Messages to everyone and to unions of rooms go to all
  /// replicas, over the channel itself. All replicas must agree on this.
  per_room,
};

/// The options of a `RedisBackplane`, fixed for its life. No time may be over a year.
struct RedisOptions {
  /// `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS, or
  /// `unix://[[user]:password@]/path[?db=database]`; user and password percent-encoded. `valkey://`
  /// and `valkeys://` are the same as `redis://` and `rediss://`.
  ///
  /// A database does not keep replicas apart: channels belong to the whole Redis, so `/0` and `/1`
  /// hear each other. Programs that share a Redis need a `channel` each.
  std::string url = "redis://localhost:6379/0";
  /// The channel that replicas meet at; the default is that of hawkapi-websockets. Those whose
  /// names begin with it and a colon are used too. UTF-8, not empty.
  std::string channel = "hawkapi:ws";
  /// Which replicas get a message. With `per_room`, `connect` and `join` of a bound manager
  /// complete when messages to the room arrive; while Redis cannot be heard they do not wait.
  Routing routing = Routing::shared_channel;
  /// Certificates (PEM) by which one of them must have signed that of the server, for `rediss://`.
  /// Empty: those of the system.
  std::string ca_file = {};
  /// Our certificate (PEM, with those between it and the root), for a Redis that asks for one; with
  /// `private_key_file`. Only over TLS. Empty: none.
  std::string certificate_file = {};
  /// The key of `certificate_file` (PEM, without a password). Empty: none.
  std::string private_key_file = {};
  /// The name that the server's certificate must be for, and that the server is asked for (SNI).
  /// Only over TLS. Empty: the host of `url`.
  std::string server_name = {};
  /// What `CLIENT LIST` shows. Empty: nothing. No spaces.
  std::string client_name = "roost";

  /// Whether `start` fails if Redis cannot be reached; if not, it returns at once and keeps trying.
  bool require_connection = true;
  /// From the name of the host to the end of the log-in; a host with several addresses gives each
  /// its share. Above 0.
  Clock::duration connect_timeout = std::chrono::seconds(5);
  /// For the answer to what is sent; of a long answer, or to many commands, for each part that
  /// comes. Of a long message, for each 64 KiB that Redis takes. Above 0.
  Clock::duration command_timeout = std::chrono::seconds(5);
  /// The delay before a new attempt to connect is random, at most this after the first failure.
  /// Above 0.
  Clock::duration min_retry_delay = std::chrono::milliseconds(500);
  /// It doubles up to this. At least `min_retry_delay`.
  Clock::duration max_retry_delay = std::chrono::seconds(30);
  /// After so much silence the subscription is asked whether it still works, by a message of its
  /// own; twice `command_timeout` later it is made anew. The connection that publishes is asked as
  /// often, but at least every 5 s, and before a message if it was not for a second, whether it
  /// works and its Redis is still a primary (`ROLE`): what is published to a replica does not reach
  /// the others. Above 0.
  Clock::duration probe_interval = std::chrono::seconds(30);
  /// How long after a message, at most, the others are told its number, so that they notice if it
  /// was lost and nothing follows. Above 0.
  Clock::duration announce_interval = std::chrono::seconds(5);

  /// Per message published, in bytes of JSON. At least 1, at most 66,060,288; for `bind_manager` at
  /// least six times the `max_message_bytes` of the manager and 4096, since a byte of text may take
  /// six as JSON. Redis itself cuts off a subscriber with over 32 MiB to read: beyond that,
  /// `client-output-buffer-limit pubsub` must be raised there.
  std::size_t max_message_bytes = 8'388'608;
  /// How much may wait for Redis to come back, in bytes of memory; beyond, the oldest are dropped.
  /// While Redis takes messages, what comes in one turn of the event loop may wait whatever its
  /// size, later ones up to four times this; beyond, the newest are refused with
  /// `errc::backplane_full`. At least `max_message_bytes` + 4096.
  std::size_t max_spool_bytes = 67'108'864;
  /// How long a message may wait to be sent. Above 0.
  Clock::duration max_spool_age = std::chrono::seconds(30);
  /// How many messages may wait for a handler that does not keep up; what comes then is dropped,
  /// and `Published::missed` tells. For one that has had no turn of the event loop yet, or works,
  /// four times as many may wait, and more if they come in one turn of its own loop. At least 1.
  std::size_t max_queued_messages = 100'000;
  /// How many bytes of JSON may wait for a handler that does not keep up, as with
  /// `max_queued_messages`. At least `max_message_bytes`.
  std::size_t max_queued_bytes = 67'108'864;

  /// Takes log events, on the backplane's executor. Empty: nothing is logged.
  Logger logger = {};
  /// What all durations here are measured by. Time in which the event loop did not run does not
  /// count. Not null; must outlive the backplane's coroutines.
  Clock* clock = &Clock::system();
};

/// Messages of one publisher that did not come, that came twice, or of which that is not known.
struct RedisLoss {
  bool is_duplicate = false;  ///< They came again, and were not delivered again.
  std::string node;           ///< Of the publisher; each `RedisBackplane` is one.
  std::string channel;        ///< On which they were sent.
  std::uint64_t first = 0;    ///< The numbers of the first and the last of them.
  std::uint64_t last = 0;     ///< The last of them.
  /// They may have been lost, or may not have been for this replica. That is so when a publisher is
  /// heard for the first time after a connection was lost, and does not tell when it began; and
  /// when there were so many publishers that it may have been forgotten.
  bool is_uncertain = false;

  /// How many they are.
  [[nodiscard]] std::uint64_t count() const noexcept { return last - first + 1; }
};

}  // namespace roost
