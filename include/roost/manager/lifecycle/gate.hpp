// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/runtime/detail/tasks.hpp"

namespace roost::detail {

/// Returns the close reason that tells a client how long to wait before it reconnects.
[[nodiscard]] inline std::string retry_hint(Clock::duration delay) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(delay);
  return "retry-ms=" + std::to_string(ms.count());
}

/// An object that accepts connections: a listener.
class Entrance {
 public:
  /// Called when a drain begins. Pending requests get less time, and a listener that shares its
  /// port with others leaves new clients to them.
  virtual void hand_over() noexcept {}
  /// Stops accepting; connections that were accepted go on.
  virtual void close() noexcept = 0;
  /// Stops accepting, and aborts connections whose request is pending.
  virtual void cut_off() noexcept = 0;

 protected:
  ~Entrance() = default;
};

/// Counts connections that were rejected before the application saw them.
struct TurnedAway {
  std::uint64_t by_key = 0;
  std::uint64_t evicted = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t malformed = 0;
};

/// Decides whether a manager accepts connections. It is shared with the manager's entrances, which
/// may outlive the manager.
///
/// A drain first makes the gate refuse connections, so that clients are told to come back later,
/// and hand over shared ports. It closes the entrances when the last connection has gone. At its
/// deadline it aborts pending requests.
class Gate {
 public:
  /// Any thread may call this; all other members belong to the manager's executor.
  [[nodiscard]] bool is_open() const noexcept { return is_open_.load(std::memory_order_relaxed); }

  /// Refuses connections from now on.
  /// @param code  the close code, if the refusal is a close frame
  void close(std::uint16_t code, Clock::duration retry_after,
             Clock::duration retry_spread) noexcept {
    refusal_ = {.code = code, .retry_after = retry_after, .retry_spread = retry_spread};
    is_open_.store(false, std::memory_order_relaxed);
  }
  /// Returns the close code for refused clients. @pre `!is_open()`
  [[nodiscard]] std::uint16_t close_code() const noexcept { return refusal_.code; }
  /// Returns how long the next client is to wait. Multiples of the golden ratio spread any number
  /// of successive clients evenly, without randomness. @pre `!is_open()`
  [[nodiscard]] Clock::duration next_retry() noexcept {
    phase_ += 0x9E37'79B9'7F4A'7C15U;
    const double share = static_cast<double>(phase_ >> 11) * 0x1p-53;
    return refusal_.retry_after + Clock::duration(static_cast<Clock::duration::rep>(
                                      static_cast<double>(refusal_.retry_spread.count()) * share));
  }

  void add(std::weak_ptr<Entrance> entrance) {
    std::erase_if(entrances_, [](const auto& weak) { return weak.expired(); });
    entrances_.push_back(std::move(entrance));
  }
  void hand_over() noexcept {
    for (const auto& weak : entrances_) {
      if (const auto entrance = weak.lock()) entrance->hand_over();
    }
  }
  void close_entrances() noexcept {
    for (const auto& weak : entrances_) {
      if (const auto entrance = weak.lock()) entrance->close();
    }
  }
  /// Refuses connections for good, aborts pending requests, and cancels handlers of upgrades.
  ROOST_WHEN_USED void cut_off(const boost::asio::any_io_executor& executor) {
    is_open_.store(false, std::memory_order_relaxed);
    for (const auto& weak : std::exchange(entrances_, {})) {
      if (const auto entrance = weak.lock()) entrance->cut_off();
    }
    visits_.cancel(executor);
  }
  /// Returns what entrances run: one task for each client, from its first byte to the end of its
  /// handler.
  [[nodiscard]] TaskGroup& visits() noexcept { return visits_; }
  [[nodiscard]] const TaskGroup& visits() const noexcept { return visits_; }

  [[nodiscard]] TurnedAway& turned_away() noexcept { return turned_away_; }

 private:
  struct Refusal {
    std::uint16_t code = 0;
    Clock::duration retry_after{};
    Clock::duration retry_spread{};
  };

  std::atomic<bool> is_open_ = true;
  Refusal refusal_;
  std::uint64_t phase_ = 0;
  std::vector<std::weak_ptr<Entrance>> entrances_;
  TaskGroup visits_;
  TurnedAway turned_away_;
};

}  // namespace roost::detail
