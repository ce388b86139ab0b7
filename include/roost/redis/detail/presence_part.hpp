// SPDX-License-Identifier: MIT
#pragma once

#include "roost/redis/detail/registrar.hpp"
#include "roost/redis/detail/scripting.hpp"
#include "roost/redis/detail/shared.hpp"

namespace roost::detail {

class BackplanePresence;

/// The presence of a `RedisBackplane`, as the rest of it knows it. Programs without
/// `roost/redis/presence.hpp` have none of it. On the executor.
class RedisPresencePart {
 public:
  RedisPresencePart() = default;
  RedisPresencePart(const RedisPresencePart&) = delete;
  RedisPresencePart& operator=(const RedisPresencePart&) = delete;
  virtual ~RedisPresencePart() = default;

  [[nodiscard]] virtual std::shared_ptr<BackplanePresence> presence() = 0;
  virtual void fill(RedisStats& stats) const = 0;
  /// Redis has acknowledged the subscription of a channel; or the connection is lost.
  virtual void on_subscribed(const std::string& channel) = 0;
  virtual void on_disconnected() = 0;
  /// A message has come. @returns false if @p channel is not one of presence
  virtual bool on_message(const std::string& channel, const std::string& text) = 0;
  /// The backplane, or its `io_context`, is gone.
  virtual void close_presence() noexcept = 0;
};

/// What presence needs of the connection that subscribes.
struct RedisChannels {
  std::function<void(const std::string& channel)> enter;
  std::function<void(const std::string& channel)> leave;
  /// Whether Redis has acknowledged the subscription of a channel.
  std::function<bool(const std::string& channel)> is_listening;
};

/// Makes the presence of a backplane.
class RedisPresenceFactory {
 public:
  virtual ~RedisPresenceFactory() = default;
  [[nodiscard]] virtual std::shared_ptr<RedisPresencePart> make(
      RedisSharedPtr shared, const std::shared_ptr<RedisScripting>& scripting,
      std::shared_ptr<RedisRegistrar> registrar, RedisChannels channels) const = 0;
  /// The options that all replicas must agree on, as a text to be compared.
  [[nodiscard]] virtual std::string rules() const = 0;
};

}  // namespace roost::detail
