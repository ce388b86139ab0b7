// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Keeps in Redis who is in a room. Programs that do not include this compile none of it.

#include <memory>

#include "roost/backplane/presence.hpp"
#include "roost/base/build/config.hpp"

namespace roost {

namespace detail {
class RedisPresenceFactory;
}

/// Makes presence for `RedisOptions::presence`, which also needs `RedisOptions::registry`.
/// @code
/// roost::RedisOptions options;
/// options.registry = roost::redis_registry();
/// options.presence = roost::redis_presence({.rules = {{.rooms = "chat/*"}}});
/// @endcode
///
/// The users of a room are one hash in Redis, `<channel>:who:<room>`, and the rooms in which a
/// replica has users are one set, `<channel>:in:<replica>`. Scripts change them; they need Redis 6
/// or later, and the permission to run. `RedisBackplane::start` tries each script, and fails with
/// the error of Redis if one is not permitted.
///
/// The users of a replica that has died go when its lease has ended; those of a replica that has
/// stopped, a lease after that.
/// @par Errors  `errc::invalid_option`, naming the field.
[[nodiscard]] std::shared_ptr<const detail::RedisPresenceFactory> redis_presence(
    PresenceOptions options);

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/redis/presence.ipp"
#endif
