// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "roost/redis/detail/shared.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// The connection that runs scripts, as the rest of a `RedisBackplane` knows it. Programs without
/// histories and without a registry have none of it. On the executor.
class RedisScripting {
 public:
  using ChildPtr = std::shared_ptr<Child<void>>;

  RedisScripting() = default;
  RedisScripting(const RedisScripting&) = delete;
  RedisScripting& operator=(const RedisScripting&) = delete;

  /// Begins to connect, unless that has begun. Why the connection could not be used so far does not
  /// count any more.
  virtual void begin_anew() = 0;
  /// Closes the connection, since Redis is not a primary any more; it connects anew.
  virtual void drop_scripts(const std::string& why) = 0;
  /// Ends; before that, messages on their way may arrive for a moment.
  /// @returns the coroutine that runs until the end; may be null
  virtual ChildPtr stop() = 0;
  /// Ends immediately.
  /// @returns what runs until it has ended; may be null
  virtual ChildPtr end_scripts() = 0;
  /// Ends as `end_scripts` does, for an `io_context` that destroys the coroutines itself.
  virtual void release_scripts() = 0;
  /// Why the connection cannot be used. Empty: it can, or that is not known yet.
  [[nodiscard]] virtual const std::string& why_down() const noexcept = 0;
  /// Whether the connection is made, or tried.
  [[nodiscard]] virtual bool has_begun() const noexcept = 0;
  /// Whether the connection is made.
  [[nodiscard]] virtual bool is_up() const noexcept = 0;
  /// Whether no message is on its way.
  [[nodiscard]] virtual bool is_unused() const noexcept = 0;
  /// Asks whether its Redis still is a primary: there is a reason to doubt it.
  virtual void check() = 0;
  /// Adds the messages on their way.
  virtual void fill(RedisStats& stats) const = 0;
  /// Notified when one of these changes.
  WaitList changed;

 protected:
  ~RedisScripting() = default;
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

}  // namespace roost::detail
