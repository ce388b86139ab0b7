// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "roost/backplane/presence.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/log.hpp"

namespace boost::asio {
class any_io_executor;
}

namespace roost {
struct LocalBackplaneStats;
}

namespace roost::detail {

/// The presence of a `LocalBackplane`, as the rest of it knows it. Programs without
/// `roost/backplane/local_presence.hpp` have none of it.
class LocalPresence {
 public:
  virtual ~LocalPresence() = default;
  [[nodiscard]] virtual std::shared_ptr<BackplanePresence> presence() = 0;
  /// Adds the numbers of presence. From any thread.
  virtual void fill(LocalBackplaneStats& stats) const = 0;
  /// The backplane starts, or stops.
  virtual void begin() = 0;
  virtual void end() noexcept = 0;
  /// The backplane, or its `io_context`, is gone.
  virtual void close() noexcept = 0;
};

/// Makes the presence of a `LocalBackplane`.
class LocalPresenceFactory {
 public:
  virtual ~LocalPresenceFactory() = default;
  /// @param of_hub  what all backplanes of a hub share; null until the first one is made
  /// @par Errors    `errc::invalid_option` if the other backplanes have other options.
  [[nodiscard]] virtual std::shared_ptr<LocalPresence> make(
      const boost::asio::any_io_executor& executor, Clock& clock, Logger logger,
      const std::string& channel, std::shared_ptr<void>& of_hub) const = 0;
};

}  // namespace roost::detail
