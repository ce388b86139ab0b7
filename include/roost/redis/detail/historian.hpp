// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/detail/handler_queues.hpp"
#include "roost/redis/detail/scripting.hpp"
#include "roost/redis/detail/shared.hpp"
#include "roost/redis/publishing/spool.hpp"

namespace roost::detail {

/// The histories of rooms in Redis, as the rest of a `RedisBackplane` knows them. Programs without
/// `roost/redis/history.hpp` have none of it. On the executor, but for `BackplaneHistory`.
class RedisHistorian : public BackplaneHistory {
 public:
  /// Redis has acknowledged the subscription of a channel; or the connection is lost.
  virtual void on_subscribed(const std::string& channel) = 0;
  virtual void on_disconnected() = 0;
  /// A message has come. @returns false if it is not of a history; then @p text is as before
  virtual bool on_message(std::string& text) = 0;

  virtual std::shared_ptr<Outcome> record(OutgoingMessage message) = 0;
  /// Waits for an outcome, which is known in time.
  virtual boost::asio::awaitable<void> until_known(std::shared_ptr<Outcome> outcome) = 0;
  /// @par Errors  `errc::message_too_big`
  virtual void check_size(const OutgoingMessage& message) const = 0;
};

/// Makes the histories of a backplane.
class RedisHistoryFactory : public RedisScriptingFactory {
 public:
  /// @param is_listening  whether Redis has acknowledged the subscription of a channel
  [[nodiscard]] virtual std::shared_ptr<RedisHistorian> make(
      RedisSharedPtr shared, const std::shared_ptr<RedisScripting>& scripting,
      std::shared_ptr<Inbound> inbound,
      std::function<bool(const std::string& channel)> is_listening) const = 0;
};

}  // namespace roost::detail
