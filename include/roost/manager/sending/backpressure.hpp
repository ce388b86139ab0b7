// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

/// What happened to a frame that was offered to a connection.
enum class OfferResult : unsigned char {
  taken,      ///< The socket accepted it.
  conflated,  ///< The socket accepted it, and it replaced another frame.
  dropped,    ///< The connection is congested, and a drop policy applied.
  waiting,    ///< The result is not known yet: the delivery will tell.
  failed,     ///< The socket is closed: drop the connection.
  overflow,   ///< The outbox is over its limit, and the peer does not keep up: drop the connection.
};

/// Lets a sender wait until each recipient has accepted its frame, or is gone.
struct Delivery {
  std::size_t pending = 0;
  WaitList settled;

  void settle_one() {
    if (--pending == 0) settled.notify_all();
  }
};

/// The congestion state of one recipient. Above the high-water mark the frame of an awaiting sender
/// is parked, and the sender waits. After `backpressure_wait` the recipient is slow, and no sender
/// waits for it until its outbox is below half the mark.
class Backpressure {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  enum class State : unsigned char { open, congested, slow };

  struct Parked {
    Frame frame;
    std::shared_ptr<Delivery> delivery;  ///< Null if nobody waits (`post_*`).
  };

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool is_open() const noexcept { return state_ == State::open; }
  [[nodiscard]] bool has_parked() const noexcept { return parked_ && !parked_->frames.empty(); }

  /// Sets how many bytes a recipient must take within `backpressure_wait` so that it does not
  /// become slow: its high-water mark.
  void set_episode_bytes(std::size_t episode_bytes) noexcept { episode_bytes_ = episode_bytes; }

  // An episode of congestion begins when the mark is crossed, and ends at half the mark or when
  // enough was taken. So a recipient that takes a few bytes at a time does not get a new
  // `backpressure_wait` at each crossing, but one that keeps up with a flood does.
  void on_above_high_water(time_point now) noexcept {
    if (state_ != State::open) return;
    state_ = State::congested;
    if (std::exchange(in_episode_, true) && released_bytes_ < episode_bytes_) return;
    since_ = now;
    released_bytes_ = 0;
  }
  void on_below_high_water() noexcept {
    if (state_ == State::congested) state_ = State::open;
  }
  void on_below_low_water() noexcept {
    state_ = State::open;
    in_episode_ = false;
  }

  /// Returns when the recipient turns from congested to slow; nothing if no sender waits.
  [[nodiscard]] std::optional<time_point> deadline(duration wait) const noexcept {
    if (state_ != State::congested || !has_parked()) return std::nullopt;
    return since_ + wait;
  }
  void expire(time_point now, duration wait) noexcept {
    if (state_ == State::congested && now >= since_ + wait) state_ = State::slow;
  }

  /// Makes a congested recipient slow: no sender waits for it any more.
  void give_up() noexcept {
    if (state_ == State::congested) state_ = State::slow;
  }

  /// Parks a frame behind those that are parked already. Frames of awaiting senders, one per
  /// sender, do not count as queued; the others do.
  void park(Frame frame, std::shared_ptr<Delivery> delivery);

  /// Removes the next parked frame if it may go to the outbox now.
  [[nodiscard]] std::optional<Parked> unpark();

  /// Removes the next parked frame in any state: for a last flush, or to notify its sender.
  [[nodiscard]] std::optional<Parked> take();

  [[nodiscard]] std::size_t posted_bytes() const noexcept {
    return parked_ ? parked_->posted_bytes : 0;
  }

 private:
  struct Waiting {
    std::deque<Parked> frames;
    std::size_t posted_bytes = 0;
  };

  std::optional<Parked> take_front();

  State state_ = State::open;
  bool in_episode_ = false;
  std::size_t episode_bytes_ = std::numeric_limits<std::size_t>::max();
  std::size_t released_bytes_ = 0;  // since the beginning of the episode
  time_point since_{};
  std::unique_ptr<Waiting> parked_;  // few connections ever need it
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/sending/backpressure.ipp"
#endif
