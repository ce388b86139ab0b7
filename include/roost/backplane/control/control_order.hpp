// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "roost/backplane/control.hpp"

namespace roost::detail {

/// What a replica is told to do.
struct ControlOrder {
  enum class Kind : unsigned char { disconnect, join, leave, room_size };
  Kind kind = Kind::room_size;
  Target::Kind to = Target::Kind::connection;
  std::string name = {};  ///< Of the connection, user or room.
  std::string room = {};  ///< To join, to leave or to count.
  std::uint16_t code = 1000;
  std::string reason = {};
  std::string except = {};
};

/// A manager that carries out orders. From any thread.
class ControlMember {
 public:
  /// Carries out @p order, and calls @p done, on any thread, with how many connections it reached.
  /// `done` is not called if the manager ends meanwhile.
  virtual void carry_out(ControlOrder order, std::function<void(std::size_t)> done) const = 0;
  /// Stores how many connections the manager has: immediately if called on its executor, else soon.
  virtual void count_connections(std::shared_ptr<std::atomic<std::size_t>> count) const = 0;

 protected:
  ~ControlMember() = default;
};

}  // namespace roost::detail
