// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "roost/base/text/text.hpp"
#include "roost/manager/history/position_line.hpp"
#include "roost/socket/detail/if_able.hpp"
#include "roost/socket/detail/outbox.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/socket_observer.hpp"

namespace roost::detail {

/// Copies successive small frames to the same audience next to each other in memory, so that an
/// `Outbox` holds them, and the kernel gets them, as one piece.
class FrameCoalescer {
 public:
  /// Returns a copy of @p frame behind the previous one, or @p frame itself if it is large.
  [[nodiscard]] Frame coalesce(const Frame& frame, FrameAccount* account = nullptr);

  /// Returns how many bytes of the account no frame uses.
  [[nodiscard]] std::size_t idle_bytes() const noexcept {
    return chunk_ && !chunk_.is_shared() ? chunk_.charged_bytes() : 0;
  }

 private:
  static constexpr std::size_t largest_coalesced = 1'024;
  static constexpr std::size_t smallest_chunk = 1'024;
  static constexpr std::size_t largest_chunk = 8'192;

  Frame chunk_;
  std::size_t used_ = 0;
};

/// The memory of one manager's frames: coalesces small ones, and counts the bytes of all that are
/// still queued.
class FrameMemory {
 public:
  /// Coalesces @p frame with the previous one to @p room, or to everyone if the name is empty. Two
  /// rooms may share a coalescer; then their frames are merely not adjacent.
  /// @param is_lined  whether the frame is for clients that get a line before the payload
  [[nodiscard]] Frame coalesce(const Frame& frame, std::string_view room, bool is_lined = false) {
    const std::size_t place = StringHash()(room) + (is_lined ? 1 : 0);
    return coalescers_[place % coalescers_.size()].coalesce(frame, account_.get());
  }

  /// Counts the memory of @p frame; call this before it is queued. @pre no other thread has the
  /// frame
  void charge(const Frame& frame) { frame.charge_to(*account_); }

  /// Returns the sum over all outboxes.
  [[nodiscard]] OutboxTotal& total() noexcept { return total_; }
  [[nodiscard]] const OutboxTotal& total() const noexcept { return total_; }

  /// Returns the bytes of all outboxes; shared bytes count once. Memory that idle coalescers keep
  /// is not counted.
  [[nodiscard]] std::size_t bytes() const noexcept;
  /// Returns an upper bound of `bytes` in constant time.
  [[nodiscard]] std::size_t at_most() const noexcept {
    return account_->bytes() + total_.entries * sizeof(Outbox::Entry);
  }

 private:
  std::array<FrameCoalescer, 1'024> coalescers_;  // a fixed number, because each keeps some memory
  OutboxTotal total_;
  const FrameAccount::Ptr account_ = FrameAccount::open();
};

inline Frame FrameCoalescer::coalesce(const Frame& frame, FrameAccount* account) {
  const std::size_t size = frame.size();
  if (size > largest_coalesced) return frame;
  if (!chunk_.is_shared()) used_ = 0;  // no frame uses the chunk any more
  if (chunk_.size() - used_ < size) {
    // In proportion to the burst so far: one slow recipient keeps the whole chunk in memory.
    const std::size_t capacity = std::clamp(2 * used_, smallest_chunk, largest_chunk);
    chunk_ = Frame::raw(std::max(capacity, size));
    if (account) chunk_.charge_to(*account);
    used_ = 0;
  }
  std::memcpy(chunk_.data() + used_, frame.wire().data(), size);
  used_ += size;
  return chunk_.slice(used_ - size, frame);
}

inline std::size_t FrameMemory::bytes() const noexcept {
  std::size_t bytes = at_most();
  for (const FrameCoalescer& coalescer : coalescers_) bytes -= coalescer.idle_bytes();
  return bytes;
}

template <class Ws>
class ManagerState;

/// The line that clients that want positions get before a payload; its text is made only if there
/// is such a client.
struct Line {
  std::string_view room = {};  ///< Empty: no room, as in a message to one connection.
  std::string_view position = {};
  [[nodiscard]] std::string text() const { return position_line(room, position); }
};

/// One frame in the forms that its recipients want. Each form is made when the first recipient
/// needs it, and its memory is counted for the manager.
template <class Ws>
class FrameForms {
 public:
  /// @param made  the forms that exist already; new ones are added
  FrameForms(ManagerState<Ws>& state, const Frame& frame, Line line, FormedFrames& made)
      : state_(state), frame_(frame), line_(line), made_(made) {
    state.frame_memory().charge(frame);
  }

  /// Coalesces frames to clients that get a line, too.
  void coalesce_lined() noexcept { coalesces_ = true; }

  /// Returns the frame in @p form; valid until the next call.
  const Frame& operator[](WireForm form) {
    if (form != WireForm::as_it_is) [[unlikely]]
      return formed(form);
    return frame_;
  }

 private:
  const Frame& formed(WireForm form) {
    for (const auto& [existing, frame] : made_) {
      if (existing == form) return frame;
    }
    Frame frame = is_lined(form) ? lined() : frame_;
    if constexpr (if_able::forms_frames<Ws>) {
      if (of_socket(form) != 0) frame = Ws::in_form(frame, of_socket(form));
    }
    if (form == wire_form(0, true) && coalesces_) {
      frame = state_.frame_memory().coalesce(frame, line_.room, /*is_lined=*/true);
    }
    const Frame& kept = made_.emplace_back(form, std::move(frame)).second;
    state_.frame_memory().charge(kept);
    return kept;
  }

  [[nodiscard]] Frame lined() const {
    std::string text = line_.text();
    text.reserve(text.size() + 1 + frame_.payload().size());
    (text += '\n') += frame_.payload_text();
    return Frame::encode(frame_.opcode(), std::string_view(text), frame_.key());
  }

  ManagerState<Ws>& state_;
  const Frame& frame_;
  const Line line_;
  FormedFrames& made_;
  bool coalesces_ = false;
};

}  // namespace roost::detail
