// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/clock.hpp"
#include "roost/redis/detail/scripting.hpp"
#include "roost/redis/detail/shared.hpp"

namespace roost::detail {

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
  /// Whether a replica of this name is alive, as of the last beat.
  [[nodiscard]] virtual bool is_alive(const std::string& name) const = 0;
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

}  // namespace roost::detail
