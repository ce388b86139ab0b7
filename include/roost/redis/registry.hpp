// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Keeps a registry of the replicas in Redis, so that they can be asked and told what to do, and so
/// that what a dead one has left is cleaned up. Programs that do not include this compile none of
/// it.

#include <chrono>
#include <memory>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"

namespace roost {

namespace detail {
class RedisRegistryFactory;
}

/// The options of `redis_registry`. All replicas must use the same.
struct RegistryOptions {
  /// How long a replica counts as alive after its last beat, by the clock of Redis. 5 s to 5 min,
  /// and at least three times `beat_interval`.
  Clock::duration lease = std::chrono::seconds(30);
  /// How often a replica tells Redis that it is alive. 500 ms to 5 s.
  Clock::duration beat_interval = std::chrono::seconds(5);
};

/// Makes the registry of replicas for `RedisOptions::registry`.
/// @code
/// roost::RedisOptions options;
/// options.registry = roost::redis_registry();
/// @endcode
///
/// The registry is one hash in Redis, under `<channel>:replicas`. Scripts change it; they need
/// Redis 6 or later, and the permission to run. `RedisBackplane::start` tries each script, and
/// fails with the error of Redis if one is not permitted.
///
/// A replica that has not beaten for `lease` is buried: it is not waited for any longer, and
/// another replica cleans up what it has left. An outage of Redis, or a new primary with another
/// clock, buries nobody: then all leases are moved first. A replica that was buried and wakes up
/// goes on under another name.
/// @par Errors  `errc::invalid_option`, naming the field.
[[nodiscard]] std::shared_ptr<const detail::RedisRegistryFactory> redis_registry(
    RegistryOptions options = {});

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/redis/registry.ipp"
#endif
