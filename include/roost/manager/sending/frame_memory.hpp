// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "roost/base/build/config.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/manager/sending/frame_joiner.hpp"
#include "roost/socket/detail/frame_account.hpp"
#include "roost/socket/detail/outbox.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"

namespace roost::detail {

/// The frames of one manager in memory: where small ones are placed side by side, and what all that
/// are still queued cost.
class FrameMemory {
 public:
  /// @p frame to one room, or to everyone (an empty name), beside the one before. Rooms may share a
  /// place: what lies between their frames then is no harm.
  [[nodiscard]] Frame join(const Frame& frame, std::string_view room) {
    return joiners_[StringHash()(room) % joiners_.size()].join(frame, account_.get());
  }

  /// Before anything is queued. @pre no other thread has the frame
  void charge(const Frame& frame) { frame.charge_to(*account_); }

  /// What the outboxes add up to.
  [[nodiscard]] OutboxTotal& total() noexcept { return total_; }
  [[nodiscard]] const OutboxTotal& total() const noexcept { return total_; }

  /// Bytes of all outboxes; what many share counts once. What idle joiners keep is no outbox's.
  [[nodiscard]] std::size_t bytes() const noexcept;
  /// The same at a glance, and never less.
  [[nodiscard]] std::size_t at_most() const noexcept {
    return account_->bytes() + total_.entries * sizeof(Outbox::Entry);
  }

 private:
  std::array<FrameJoiner, 1'024> joiners_;  // a fixed number: an idle one keeps its memory
  OutboxTotal total_;
  const FrameAccount::Ptr account_ = FrameAccount::open();
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/sending/frame_memory.ipp"
#endif
