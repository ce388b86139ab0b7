// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/delivery/handler_queues.hpp"
#include "roost/base/clock.hpp"
#include "roost/redis/connection/command_connection.hpp"
#include "roost/redis/publishing/spool.hpp"

namespace roost::detail {

/// The connection that runs scripts, as the rest of a `RedisBackplane` knows it. Programs without
/// histories and without a registry have none of it. On the executor.
class RedisScripting : public RedisCommandConnection {
 public:
  /// Begins to connect, unless that has begun. Why the connection could not be used so far does not
  /// count any more.
  virtual void begin_anew() = 0;
  /// Why the connection cannot be used. Empty: it can, or that is not known yet.
  [[nodiscard]] virtual const std::string& why_down() const noexcept = 0;
  /// Asks whether its Redis still is a primary: there is a reason to doubt it.
  virtual void check() = 0;
  /// Notified when the connection is made or lost, could not be made, or has ended.
  WaitList changed;

 protected:
  using RedisCommandConnection::RedisCommandConnection;
};

/// A feature of a `RedisBackplane` that needs scripts: any of them makes the connection, which all
/// share.
class RedisScriptingFactory {
 public:
  virtual ~RedisScriptingFactory() = default;
  /// @param unusable  to be called when a Redis turns out to be no primary
  [[nodiscard]] virtual std::shared_ptr<RedisScripting> make_scripting(
      RedisSharedPtr shared, std::function<void(const std::string& why)> unusable) const = 0;
  /// The options that all replicas must agree on, as a text to be compared.
  [[nodiscard]] virtual std::string rules() const = 0;
};

class ControlDesk;

/// A part of a backplane that keeps something in Redis under the names of replicas, such as
/// presence. On the executor.
///
/// How it hooks in: its factory gets the `RedisRegistrar` of the backplane, and calls `listen`
/// before the backplane starts.
class RegistryListener {
 public:
  /// This replica has another name than before: it was buried, or has started anew. The listener
  /// must write again, under the new name, what it keeps in Redis: the part under the former name
  /// is cleaned up.
  virtual void on_named(const std::string& name) = 0;
  /// This replica is the one to remove what the buried replica @p name has left. It is told so
  /// again after a while. If there was something to remove, call `RedisRegistrar::was_left`.
  virtual void on_clean(const std::string& name) = 0;
  /// Returns how long what this replica has written is to stay when it stops.
  [[nodiscard]] virtual Clock::duration linger() const = 0;

 protected:
  ~RegistryListener() = default;
};

/// The registry of replicas, as the rest of a `RedisBackplane` knows it. Programs without
/// `roost/redis/registry.hpp` have none of it. On the executor.
class RedisRegistrar {
 public:
  RedisRegistrar() = default;
  RedisRegistrar(const RedisRegistrar&) = delete;
  RedisRegistrar& operator=(const RedisRegistrar&) = delete;
  virtual ~RedisRegistrar() = default;

  /// Makes what asks the other replicas, and answers them; once, before anything else. The desk
  /// owns the registry.
  [[nodiscard]] virtual std::shared_ptr<ControlDesk> make_desk() = 0;
  /// A message has come over the control channel, or to this replica alone.
  /// @returns false if it is not one of a replica
  virtual bool on_message(const std::string& text) = 0;
  virtual void fill(RedisStats& stats) const = 0;

  /// The name of this replica. Until the first beat is answered it may be unknown to the others.
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  virtual void listen(std::weak_ptr<RegistryListener> listener) = 0;
  /// Something was left of a buried replica: it will be cleaned up again soon.
  virtual void was_left(const std::string& name) = 0;
};

/// Makes the registry of a backplane.
class RedisRegistryFactory : public RedisScriptingFactory {
 public:
  /// @param rules  a digest of the options that all replicas must agree on
  [[nodiscard]] virtual std::shared_ptr<RedisRegistrar> make(
      RedisSharedPtr shared, const std::shared_ptr<RedisScripting>& scripting,
      std::string rules) const = 0;
};

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
      std::shared_ptr<HandlerQueues> inbound,
      std::function<bool(const std::string& channel)> is_listening) const = 0;
};

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
  std::function<void(const std::string& channel)> subscribe;
  std::function<void(const std::string& channel)> unsubscribe;
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
