// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// What a `RedisBackplane` tells of itself: outside its folder, as metrics of it are there for
// programs without hiredis too.

namespace roost {

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

/// What a `RedisBackplane` counts, since it was made; and two gauges.
struct RedisStats {
  std::uint64_t published = 0;  ///< Messages it was given to publish.
  std::uint64_t writes = 0;     ///< Bursts of them that were sent, each in one write to its socket.
  std::uint64_t received = 0;   ///< Messages its handlers were given, its own included.
  std::uint64_t echoes = 0;     ///< Its own messages that came back from Redis.
  std::uint64_t skipped = 0;    ///< Messages that came and were no JSON object, or nested too deep.
  std::uint64_t lost = 0;       ///< Messages of others that did not come.
  std::uint64_t uncertain =
      0;  ///< Times that it is not known whether messages of others were lost.
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
