// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/runtime/detail/tasks.hpp"

namespace roost::detail {

/// What a client finds in the reason of a close frame.
[[nodiscard]] std::string retry_hint(Clock::duration delay);

/// Something that lets connections in: a listener.
class Entrance {
 public:
  /// A drain has begun: requests that are on the way have less time, and one that shares its port
  /// with others leaves newcomers to them.
  virtual void hand_over() noexcept {}
  /// Nobody is let in any more; who is inside already goes on.
  virtual void close() noexcept = 0;
  /// The same, and who is on the way is cut off.
  virtual void shut() noexcept = 0;

 protected:
  ~Entrance() = default;
};

/// Who did not come as far as to the application.
struct TurnedAway {
  std::uint64_t by_key = 0;
  std::uint64_t evicted = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t malformed = 0;
};

/// Whether a manager takes connections; shared with its entrances, which may outlive it.
///
/// A drain first makes it refuse, so that who comes is told to come back later, and hands shared
/// ports over to others; closes the entrances when the last connection has gone; and at its
/// deadline cuts off who still is on the way.
class Gate {
 public:
  /// From any thread; the rest is for the executor of the manager.
  [[nodiscard]] bool is_open() const noexcept { return is_open_.load(std::memory_order_relaxed); }

  /// From now on connections are refused.
  /// @param code  the close code, where a close frame is the answer
  void close(std::uint16_t code, Clock::duration retry_after,
             Clock::duration retry_spread) noexcept;
  /// The close code for those who come too late. @pre `!is_open()`
  [[nodiscard]] std::uint16_t close_code() const noexcept { return refusal_.code; }
  /// When the next one is to come back. Any number of these in a row are spread evenly, since
  /// multiples of the golden ratio are, without anything random. @pre `!is_open()`
  [[nodiscard]] Clock::duration next_retry() noexcept;

  ROOST_WHEN_USED void add(std::weak_ptr<Entrance> entrance);
  ROOST_WHEN_USED void hand_over() noexcept;
  ROOST_WHEN_USED void close_entrances() noexcept;
  /// For good. Handlers of upgrades that still run are cancelled.
  ROOST_WHEN_USED void shut(const boost::asio::any_io_executor& executor);
  /// What the entrances have begun, from the first byte of a client to the end of its handler.
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

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/lifecycle/gate.ipp"
#endif
