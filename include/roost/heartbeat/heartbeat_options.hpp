// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <string>

#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"

namespace roost {

/// The options of a `HeartbeatMonitor`, which uses the manager's clock.
struct HeartbeatOptions {
  /// How often each connection is pinged. 10 ms to 1 day.
  Clock::duration interval = std::chrono::seconds(30);
  /// How long a connection may be silent before it is dropped. Longer than `interval`, at most 1
  /// week.
  Clock::duration timeout = std::chrono::seconds(90);
  /// The text message that is sent as a ping if the socket has no ping frames. UTF-8, not empty.
  std::string message = "ping";
};

namespace detail {

inline void validate(const HeartbeatOptions& options) {
  check_option(options.interval >= std::chrono::milliseconds(10) &&
                   options.interval <= std::chrono::hours(24),
               "interval must be 10 ms to 1 day");
  check_option(options.timeout > options.interval && options.timeout <= std::chrono::hours(24 * 7),
               "timeout must be longer than interval, at most 1 week");
  check_option(!options.message.empty() && is_utf8(options.message),
               "message must be UTF-8 and not empty");
}

}  // namespace detail
}  // namespace roost
