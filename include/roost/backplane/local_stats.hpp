// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

// In a header of their own, so that metrics do not compile a `LocalBackplane`.

namespace roost {

/// What a `LocalHub` keeps of the rooms that have a history, in all its channels together. Gauges
/// are as of now, the counter since the hub was made.
struct LocalHubStats {
  /// Gauge: rooms with a history. A room stays one until its positions are not valid any more, also
  /// when none of its messages is kept.
  std::size_t rooms = 0;
  std::size_t messages = 0;    ///< Gauge: messages that are kept.
  std::size_t bytes = 0;       ///< Gauge: bytes of the kept messages as JSON.
  std::uint64_t recorded = 0;  ///< Counter: messages that were recorded.
};

/// The counters of a `LocalBackplane`, since it was made.
struct LocalBackplaneStats {
  std::uint64_t published = 0;  ///< Messages that the backplane has published.
  std::uint64_t received = 0;   ///< Messages that the backplane has received.
  std::uint64_t dropped = 0;    ///< Messages that a handler missed because too many waited for it.
  std::uint64_t failed = 0;     ///< Calls of a handler that threw.
  std::uint64_t asks = 0;       ///< Questions and orders to all replicas, see `Cluster::ask`.
  std::uint64_t missing_answers = 0;  ///< Answers to these that did not come in time.
  std::size_t replicas = 0;  ///< Gauge: replicas on the channel; 0 if no manager is bound here.
  std::uint64_t presence_changes = 0;  ///< Users who came or went, as `on_presence` was told.
  std::uint64_t presence_reads = 0;    ///< Lists of users that were read anew.
  std::size_t presence_rooms = 0;      ///< Gauge: rooms with presence that have members here.
  std::size_t presence_users = 0;      ///< Gauge: users in the lists of these rooms.
};

}  // namespace roost
