// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "roost/base/clock.hpp"
#include "roost/socket/disconnect.hpp"

// The replicas of a `Cluster`: which there are, what they are asked, and what they are told to do.

namespace roost {

/// A replica, as the registry knows it.
struct ReplicaInfo {
  /// The name of the replica: random, and another one when the process starts again, or when the
  /// replica was taken for dead.
  std::string name = {};
  std::string version = {};     ///< Its version of roost.
  std::string label = {};       ///< `label` of its backplane's options.
  std::size_t connections = 0;  ///< The connections of its bound managers at its last beat.
  /// A digest of the options that all replicas must agree on, such as the rules of histories.
  std::string rules = {};
};

/// The answer of one replica.
struct ReplicaAnswer {
  std::string replica = {};    ///< The name of the replica.
  nlohmann::json answer = {};  ///< What its hook returned; null if `error` is set.
  /// Why the replica has no answer: it has no hook for the question, or the hook threw. Empty if it
  /// has one.
  std::string error = {};
};

/// What the replicas answered to a question.
struct Survey {
  std::vector<ReplicaAnswer> answers = {};  ///< Sorted by the name of the replica.
  /// The names of the replicas that were in the registry and did not answer in time, sorted. They
  /// may have got the question, or get it later.
  std::vector<std::string> missing = {};
};

/// What an order to all replicas has reached.
struct Reached {
  std::size_t count = 0;  ///< How many connections, on the replicas that answered.
  /// The names of the replicas that did not answer in time, sorted. They may have carried out the
  /// order, or carry it out later.
  std::vector<std::string> missing = {};
};

/// Names the connections that an order is for, on any replica. It refers to the name, which must
/// live until the call returns.
class Target {
 public:
  /// @private
  enum class Kind : unsigned char { connection, user, room };

  /// The connection with this id.
  [[nodiscard]] static constexpr Target connection(std::string_view id) noexcept {
    return {Kind::connection, id};
  }
  /// The connections of a user, see `ConnectOptions::user`.
  [[nodiscard]] static constexpr Target user(std::string_view name) noexcept {
    return {Kind::user, name};
  }
  /// The members of a room.
  [[nodiscard]] static constexpr Target room(std::string_view name) noexcept {
    return {Kind::room, name};
  }

  /// @private
  [[nodiscard]] constexpr Kind kind() const noexcept { return kind_; }
  /// @private
  [[nodiscard]] constexpr std::string_view name() const noexcept { return name_; }

 private:
  constexpr Target(Kind kind, std::string_view name) noexcept : kind_(kind), name_(name) {}

  Kind kind_;
  std::string_view name_;
};

/// The options of `Cluster::ask`, and of orders without options of their own.
struct AskOptions {
  /// How long to wait for the answers of other replicas. Above 0, at most a minute.
  Clock::duration timeout = std::chrono::seconds(2);
};

/// The options of `Cluster::disconnect`.
struct ClusterDisconnectOptions {
  /// The close code: 1000 to 4999, one that may be sent; any other becomes 1011.
  std::uint16_t code = close_code::normal;
  /// The close reason: UTF-8, cut to 123 bytes.
  std::string_view reason = {};
  /// The id of a connection that stays. Empty: none.
  std::string_view except = {};
  /// How long to wait for the answers of other replicas. Above 0, at most a minute.
  Clock::duration timeout = std::chrono::seconds(2);
};

}  // namespace roost
