// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace roost {

/// What happens to a message for a connection whose outbox is over its high-water mark and could
/// not be emptied by a flush.
enum class Overflow : unsigned char {
  /// The message is queued. Over `max_outbox_bytes` the connection is dropped, unless the peer is
  /// taking queued bytes.
  close,
  drop_newest,  ///< The message is not sent.
  /// The oldest messages that may be dropped make room for it; if that does not suffice, it is not
  /// sent. Only messages with a drop policy of which no byte can be on the wire may be dropped.
  drop_oldest,
};

/// Returns the name of a policy.
[[nodiscard]] constexpr std::string_view to_string(Overflow overflow) noexcept {
  switch (overflow) {
    case Overflow::close: return "close";
    case Overflow::drop_newest: return "drop_newest";
    case Overflow::drop_oldest: return "drop_oldest";
  }
  return "unknown";
}

/// What happened to one message, counted in connections.
struct SendReport {
  std::size_t taken = 0;  ///< Connections that accepted the message: the call returns this number.
  std::size_t conflated = 0;  ///< Part of `taken`: it replaced a message with its key.
  std::size_t dropped = 0;    ///< Congested connections that do not get the message.
  /// Connections that were dropped because of it: the message took them over `max_outbox_bytes`,
  /// and for `backpressure_wait` they had taken nothing, or less than was added. Connections that
  /// still have time to show that they read are not counted.
  std::size_t overflowed = 0;
};

/// How an outbox treats a frame that may be dropped or may replace another.
struct FramePolicy {
  Overflow overflow = Overflow::close;  ///< The drop policy of the frame.
  std::uint32_t key_hash = 0;           ///< Hash of the frame's key; 0: no key.
  bool may_queue = true;                ///< False: it may only replace another.
};

/// What an outbox did with a frame that may be dropped or may replace another.
struct Queueing {
  /// The frame was queued, replaced another, or was dropped, or the connection is closed.
  enum class Result : unsigned char { taken, conflated, dropped, closed };
  Result result = Result::taken;  ///< What happened to the frame.
  std::size_t displaced = 0;      ///< Older frames dropped to make room.
};

}  // namespace roost
