// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <functional>

#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/redis/connection/codec.hpp"

namespace roost::detail {

/// How several calls of a script are sent as one: the first with all its arguments, then the own
/// arguments of each other one.
struct RedisJoint {
  std::size_t first = 0;  ///< The first argument that is the call's own, counted with the keys.
  std::size_t count = 0;  ///< How many arguments are its own.
  /// Makes the reply to one of the calls out of the reply to all.
  RedisReply (*part)(const RedisReply& all, std::size_t which) = nullptr;
};

/// The number of a script among those of its user.
/// @tparam Script  an enumeration of these scripts, in their order
template <class Script>
[[nodiscard]] constexpr std::size_t number_of(Script script) noexcept {
  return static_cast<std::size_t>(script);
}

/// A script to run.
struct RedisCall {
  /// What became of the call: the reply, or why there is none. `backplane_unavailable` means that
  /// the script did not run and will not, `outcome_unknown` that nobody knows. A question that is
  /// dropped gets `outcome_unknown`. Called once, unless the connection is destroyed before.
  using Done = std::function<void(const RedisReply* reply, errc why)>;

  std::size_t script = 0;                   ///< Which of the user's scripts.
  std::vector<std::string> arguments = {};  ///< The keys first.
  Done done = {};
  std::size_t keys = 2;  ///< How many of the arguments are keys.
  /// Set: calls that wait may be sent as one if they have the same user, script and first key, and
  /// this is the same object. The arguments that are not the call's own must be equal then: those
  /// of the first call are sent. Each call still has an outcome of its own.
  const RedisJoint* joint = nullptr;

  /// Whether the call waits for Redis. A question does not: it is dropped when the connection is
  /// lost, and whoever asks will ask again.
  bool is_patient = false;

  // The connection's.
  enum class Kind : unsigned char { script, load, beat };
  Kind kind = Kind::script;
  std::size_t user = 0;
  Clock::time_point created = {};
  Clock::time_point sent = {};
  std::size_t followers = 0;  ///< How many calls behind it were sent as one with it.
  std::size_t bytes = 0;
};

/// A call that tries a script once before it is needed. It must change nothing that anybody uses.
struct RedisTrial {
  std::size_t script = 0;
  std::vector<std::string> arguments = {};  ///< The keys first.
  std::size_t keys = 2;
  /// Returns why the reply shows that the script cannot be used; null: it can. Null: any reply that
  /// is not an error will do.
  const char* (*why_not)(const RedisReply& reply) = nullptr;
};

/// The scripts of a user of the script connection.
struct RedisScriptSet {
  std::string_view name;     ///< In errors: "the scripts of the history".
  std::string_view refused;  ///< The log event for a call that Redis refuses.
  std::span<const std::string_view> texts;
};

/// A part of a `RedisBackplane` that runs scripts, such as the histories. All users share one
/// `RedisScriptConnection`. On the backplane's executor.
class RedisScriptUser {
 public:
  RedisScriptUser() = default;
  RedisScriptUser(const RedisScriptUser&) = delete;
  RedisScriptUser& operator=(const RedisScriptUser&) = delete;
  virtual ~RedisScriptUser() = default;

  /// The scripts, which are the same each time and live as long as the program.
  [[nodiscard]] virtual RedisScriptSet scripts() const = 0;
  /// Calls that try each script, with every command that it has.
  [[nodiscard]] virtual std::vector<RedisTrial> trials() const = 0;

  /// The backplane starts, perhaps while the connection is still up.
  virtual void on_begin() {}
  virtual void on_up() {}
  /// The connection could not be made, or was lost.
  virtual void on_down(const std::string& /*why*/) {}
  /// The connection is up and will end: calls that are made now may still be sent.
  virtual void on_stopping() {}
  /// The connection ends: the backplane stops, or is gone.
  virtual void on_end() {}
  /// Called each `beat_interval` while the connection is up.
  virtual void on_beat() {}
  /// The shortest interval that a user wants is that of all users.
  [[nodiscard]] virtual Clock::duration beat_interval() const { return std::chrono::seconds(5); }

  /// Questions are fetched when they can be sent. A user with questions calls
  /// `RedisScriptConnection::ask`.
  [[nodiscard]] virtual bool has_questions() { return false; }
  /// @pre `has_questions()`
  [[nodiscard]] virtual RedisCall next_question() { return {}; }
};

}  // namespace roost::detail
