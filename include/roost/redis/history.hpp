// SPDX-License-Identifier: MIT
#pragma once

/// @file
/// Keeps the messages of rooms in Redis, so that a client which reconnects to any replica gets what
/// it missed. Programs that do not include this compile none of it.

#include <memory>

#include "roost/backplane/history.hpp"
#include "roost/base/build/config.hpp"

namespace roost {

namespace detail {
class RedisHistoryFactory;
}

/// Makes the histories of rooms for `RedisOptions::history`.
/// @code
/// roost::RedisOptions options;
/// options.history = roost::redis_history({.rules = {{.rooms = "chat/*"}}});
/// @endcode
///
/// The history of a room is stored under two keys in Redis: `<channel>:meta:<room>` and
/// `<channel>:log:<room>`. Scripts change them; they need Redis 6 or later, and the permission to
/// run. `RedisBackplane::start` tries each script, and fails with the error of Redis if one is not
/// permitted.
/// @par Errors  `errc::invalid_option`, naming the field.
[[nodiscard]] std::shared_ptr<const detail::RedisHistoryFactory> redis_history(
    HistoryOptions options);

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/redis/history.ipp"
#endif
