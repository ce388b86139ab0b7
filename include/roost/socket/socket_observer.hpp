// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <limits>
#include <string_view>

#include "roost/socket/disconnect.hpp"

namespace roost {

/// What happens to the outbox of a socket that takes frames.
enum class OutboxEvent {
  above_high_water,  ///< It holds at least `high_water` bytes. Sent from inside `try_send`.
  below_high_water,  ///< It fell below that again.
  below_low_water,   ///< It fell below half of it.
  blocked,           ///< The peer did not take all of it at once: its age counts from now on.
  emptied,           ///< All of it was written, after it had been blocked or at the mark.
};

/// Whom a socket tells what a manager must know. Called on the executor of the socket; may call
/// `try_send` and `observe`, and nothing else of the socket.
class SocketObserver {
 public:
  /// Something has happened to its outbox.
  virtual void on_outbox(OutboxEvent event) = 0;
  /// The transport or the conversation has ended: nothing more can be sent or received.
  virtual void on_closed(const Disconnect& how) = 0;
  /// Nothing may go to its `frame_sink` any more.
  virtual void on_sink_gone() noexcept {}
  /// A pong has come, whoever sent the ping.
  virtual void on_pong(std::string_view /*payload*/) {}

 protected:
  ~SocketObserver() = default;
};

/// All outboxes together.
struct OutboxTotal {
  std::size_t bytes = 0;    ///< What is to be written, once for each recipient.
  std::size_t entries = 0;  ///< Pieces of memory that it is in.
};

/// Who observes an outbox, its high-water mark, the sum that it is part of, and whether what is
/// sent to it may be dropped.
struct OutboxWatch {
  SocketObserver* observer = nullptr;                                ///< Null: nobody.
  std::size_t high_water = std::numeric_limits<std::size_t>::max();  ///< In bytes.
  OutboxTotal* total = nullptr;                                      ///< Null: no sum.
  bool is_lossy = false;  ///< Whether frames may be dropped.
};

}  // namespace roost
