// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace roost {

/// What becomes of a message for a connection whose outbox is over its high-water mark, and was not
/// emptied by a flush.
enum class Overflow : unsigned char {
  /// It is queued. Over `max_outbox_bytes` the connection is dropped unless it takes what is
  /// queued.
  close,
  drop_newest,  ///< It is not sent.
  /// It takes the place of the oldest messages that may be dropped; if that is not enough, it is
  /// not sent. These are messages with a drop policy of which no byte may be on the wire.
  drop_oldest,
};

/// The name of a policy.
[[nodiscard]] constexpr std::string_view to_string(Overflow overflow) noexcept {
  switch (overflow) {
    case Overflow::close: return "close";
    case Overflow::drop_newest: return "drop_newest";
    case Overflow::drop_oldest: return "drop_oldest";
  }
  return "unknown";
}

/// What became of one message.
struct SendReport {
  std::size_t taken = 0;      ///< Connections that took it over: what the call returns.
  std::size_t conflated = 0;  ///< Of these, those where it took the place of one with its key.
  std::size_t dropped = 0;    ///< Connections that are congested, and do not get it.
  /// Connections that were dropped because of it: they were over `max_outbox_bytes` with it, and
  /// had not taken anything for `backpressure_wait`, or less than was added. Those that still have
  /// time to show that they read are not among them.
  std::size_t overflowed = 0;
};

/// How an outbox treats a frame that may be dropped, or replaces another.
struct FramePolicy {
  Overflow overflow = Overflow::close;  ///< Its drop policy.
  std::uint32_t key_hash = 0;           ///< Of the frame's key; 0: it has none.
  bool may_queue = true;                ///< False: it may replace another only.
};

/// What an outbox did with such a frame.
struct Queueing {
  /// Whether it was taken, took the place of another, was dropped, or its connection closed.
  enum class Result : unsigned char { taken, conflated, dropped, closed };
  Result result = Result::taken;  ///< What became of it.
  std::size_t displaced = 0;      ///< Older frames that were dropped for it.
};

}  // namespace roost
