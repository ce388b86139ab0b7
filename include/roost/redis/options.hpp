// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "roost/clock.hpp"
#include "roost/log.hpp"

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

/// The options of a `RedisBackplane`, fixed for its life.
struct RedisOptions {
  /// `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS, or
  /// `unix://[[user]:password@]/path[?db=database]`; user and password percent-encoded.
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
  /// What `CLIENT LIST` shows. Empty: nothing. No spaces.
  std::string client_name = "roost";

  /// Whether `start` fails if Redis cannot be reached; if not, it returns at once and keeps trying.
  bool require_connection = true;
  /// From the name of the host to the end of the log-in. Above 0.
  Clock::duration connect_timeout = std::chrono::seconds(5);
  /// For the answer to what is sent. Above 0.
  Clock::duration command_timeout = std::chrono::seconds(5);
  /// The delay before a new attempt to connect is random, at most this after the first failure.
  /// Above 0.
  Clock::duration min_retry_delay = std::chrono::milliseconds(500);
  /// It doubles up to this. At least `min_retry_delay`.
  Clock::duration max_retry_delay = std::chrono::seconds(30);
  /// After so much silence the subscription is asked whether it still works, by a message of its
  /// own; twice `command_timeout` later it is made anew. Above 0.
  Clock::duration probe_interval = std::chrono::seconds(30);
  /// How long after a message, at most, the others are told its number, so that they notice if it
  /// was lost and nothing follows. Above 0.
  Clock::duration announce_interval = std::chrono::seconds(5);

  /// Per message published, in bytes of JSON. At least 1.
  std::size_t max_message_bytes = 1'048'576;
  /// How much may wait for Redis to come back, in bytes of memory; beyond, the oldest are dropped.
  /// At least `max_message_bytes` + 4096.
  std::size_t max_spool_bytes = 16'777'216;
  /// How long it may wait. Above 0.
  Clock::duration max_spool_age = std::chrono::seconds(30);
  /// How many messages may wait for one handler; what comes then is dropped. At least 1.
  std::size_t max_queued_messages = 10'000;
  /// The same in bytes of JSON. At least `max_message_bytes`.
  std::size_t max_queued_bytes = 16'777'216;

  /// Takes log events, on the backplane's executor. Empty: nothing is logged.
  Logger logger = {};
  /// What all durations here are measured by. Not null; must outlive the backplane's coroutines.
  Clock* clock = &Clock::system();
};

/// How a `RedisBackplane` hears the others.
enum class RedisState {
  stopped,     ///< Not at all: it has not been started, or has been stopped.
  connecting,  ///< Not yet: the first attempt is under way.
  subscribed,  ///< It hears everything.
  suspect,     ///< A probe did not come back; a last one is on its way.
  down,        ///< Not at all: the connection failed or was lost, and is tried again.
};

/// The name of a state.
[[nodiscard]] constexpr std::string_view to_string(RedisState state) noexcept {
  switch (state) {
    case RedisState::stopped: return "stopped";
    case RedisState::connecting: return "connecting";
    case RedisState::subscribed: return "subscribed";
    case RedisState::suspect: return "suspect";
    case RedisState::down: return "down";
  }
  return "unknown";
}

/// Messages of one publisher that did not come, or that came twice.
struct RedisLoss {
  bool is_duplicate = false;  ///< They came again, and were not delivered again.
  std::string node;           ///< Of the publisher; each `RedisBackplane` is one.
  std::string channel;        ///< On which they were sent.
  std::uint64_t first = 0;    ///< The numbers of the first and the last of them.
  std::uint64_t last = 0;     ///< The last of them.

  /// How many they are.
  [[nodiscard]] std::uint64_t count() const noexcept { return last - first + 1; }
};

/// What a `RedisBackplane` counts, since it was made; and two gauges.
struct RedisStats {
  std::uint64_t published = 0;  ///< Messages it was given to publish.
  std::uint64_t writes = 0;     ///< Bursts of them that were sent, each in one write to its socket.
  std::uint64_t received = 0;   ///< Messages its handlers were given, its own included.
  std::uint64_t echoes = 0;     ///< Its own messages that came back from Redis.
  std::uint64_t skipped = 0;    ///< Messages that came and were no JSON object, or nested too deep.
  std::uint64_t lost = 0;       ///< Messages of others that did not come.
  std::uint64_t duplicates = 0;   ///< Messages of others that came again.
  std::uint64_t unknown = 0;      ///< Messages sent to Redis that got no answer.
  std::uint64_t spool_drops = 0;  ///< Messages that were never sent: they waited too long.
  std::uint64_t connects = 0;     ///< Connections that were made to publish or to subscribe.
  std::uint64_t dropped = 0;  ///< Messages that a handler missed because too many waited for it.
  std::uint64_t failed = 0;   ///< Calls of a handler that threw.
  std::size_t spooled = 0;    ///< Gauge: messages that wait to be sent.
  std::size_t in_flight = 0;  ///< Gauge: messages that were sent and are not answered yet.
};

}  // namespace roost
