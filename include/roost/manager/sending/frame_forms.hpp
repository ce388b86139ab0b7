// SPDX-License-Identifier: MIT
#pragma once

#include <utility>
#include <vector>

#include "roost/manager/registry/manager_state.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// One frame in the forms that its recipients want, each made once, when the first asks for it, and
/// charged to the manager.
template <class Ws>
class FrameForms {
 public:
  FrameForms(ManagerState<Ws>& state, const Frame& frame) : state_(state), frame_(frame) {
    state.frame_memory().charge(frame);
  }

  /// Valid until the next call.
  const Frame& operator[](FrameForm form) {
    if constexpr (FormsFrames<Ws>) {
      if (form != 0) [[unlikely]]
        return formed(form);
    }
    return frame_;
  }

 private:
  const Frame& formed(FrameForm form) {
    for (const auto& [existing, frame] : made_) {
      if (existing == form) return frame;
    }
    const Frame& frame = made_.emplace_back(form, Ws::in_form(frame_, form)).second;
    state_.frame_memory().charge(frame);
    return frame;
  }

  ManagerState<Ws>& state_;
  const Frame& frame_;
  std::vector<std::pair<FrameForm, Frame>> made_;
};

}  // namespace roost::detail
