// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// The state and counters of a `RedisBackplane`. In a header of its own, so that programs without
// hiredis can use its metrics.

namespace roost {

/// The state of a `RedisBackplane`'s subscription.
enum class RedisState {
  stopped,     ///< The backplane was not started, or was stopped.
  connecting,  ///< The first attempt to connect is under way.
  subscribed,  ///< Messages arrive.
  suspect,     ///< A probe did not come back; a last one is on its way.
  down,        ///< The connection failed or was lost; the backplane tries again.
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

/// The counters of a `RedisBackplane`, since it was made, and some gauges.
struct RedisStats {
  std::uint64_t published = 0;  ///< Messages that were given to `publish`.
  std::uint64_t writes = 0;     ///< Bursts of messages that were sent, each in one write.
  std::uint64_t received = 0;   ///< Messages given to handlers, the backplane's own included.
  std::uint64_t echoes = 0;     ///< The backplane's own messages that came back from Redis.
  std::uint64_t skipped = 0;  ///< Received messages that are not a JSON object, or nested too deep.
  std::uint64_t lost = 0;     ///< Messages of others that were lost.
  std::uint64_t uncertain = 0;    ///< How often messages of others may have been lost.
  std::uint64_t duplicates = 0;   ///< Messages of others that came twice.
  std::uint64_t unknown = 0;      ///< Messages sent to Redis without getting an answer.
  std::uint64_t spool_drops = 0;  ///< Messages never sent: too old, or over the limit.
  std::uint64_t connects = 0;     ///< Connections that were made, to publish or to subscribe.
  std::uint64_t dropped = 0;  ///< Messages that a handler missed because too many waited for it.
  std::uint64_t failed = 0;   ///< Calls of a handler that threw.
  std::uint64_t asks = 0;     ///< Questions and orders to all replicas, see `Cluster::ask`.
  std::uint64_t missing_answers = 0;   ///< Answers to these that did not come in time.
  std::size_t spooled = 0;             ///< Gauge: messages that wait to be sent.
  std::size_t in_flight = 0;           ///< Gauge: messages that were sent and are not answered yet.
  std::size_t replicas = 0;            ///< Gauge: replicas in the registry; 0 without a registry.
  std::uint64_t presence_changes = 0;  ///< Users who came or went, as `on_presence` was told.
  std::uint64_t presence_reads = 0;    ///< Lists of users that were read anew.
  std::size_t presence_rooms = 0;      ///< Gauge: rooms with presence that have members here.
  std::size_t presence_users = 0;      ///< Gauge: users in the lists of these rooms.
};

}  // namespace roost
