// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "roost/socket/disconnect.hpp"

namespace roost {

/// A change of the outbox of a socket that takes frames.
enum class OutboxEvent {
  above_high_water,  ///< The outbox holds at least `high_water` bytes. Reported inside `try_send`.
  below_high_water,  ///< The outbox fell below `high_water` again.
  below_low_water,   ///< The outbox fell to half of `high_water` or less.
  blocked,           ///< A flush did not write all bytes: their age counts from now on.
  emptied,           ///< All bytes were written after `blocked` or `above_high_water`.
};

/// Receives the events of a socket that a manager needs to know. The socket calls it on its
/// executor. An implementation may call `try_send` and `observe` of the socket, and no other
/// member.
class SocketObserver {
 public:
  /// The outbox has changed.
  virtual void on_outbox(OutboxEvent event) = 0;
  /// The transport or the conversation has ended: nothing more can be sent or received.
  virtual void on_closed(const Disconnect& how) = 0;
  /// The `frame_sink` of the socket must not be used any more.
  virtual void on_sink_gone() noexcept {}
  /// A pong has arrived, regardless of who sent a ping.
  virtual void on_pong(std::string_view /*payload*/) {}

 protected:
  ~SocketObserver() = default;
};

/// The sum over all outboxes of a manager.
struct OutboxTotal {
  std::size_t bytes = 0;    ///< Bytes still to be written, counted per recipient.
  std::size_t entries = 0;  ///< Entries that hold these bytes.
};

/// How a manager watches an outbox: the observer, the high-water mark, the total that the outbox is
/// part of, and whether its frames may be dropped.
struct OutboxWatch {
  SocketObserver* observer = nullptr;                                ///< Null: no observer.
  std::size_t high_water = std::numeric_limits<std::size_t>::max();  ///< The mark in bytes.
  OutboxTotal* total = nullptr;                                      ///< Null: no total.
  bool is_lossy = false;  ///< Whether frames may be dropped.
};

}  // namespace roost
