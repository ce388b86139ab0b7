// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/history/position_line.hpp"
#include "roost/manager/sending/frame_memory.hpp"
#include "roost/socket/detail/if_able.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

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
