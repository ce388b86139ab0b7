// SPDX-License-Identifier: MIT
#pragma once

#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "roost/redis/presence/scripts.hpp"

namespace roost::detail {

/// A walk over the rooms in which a replica holds users, a portion at a time: to remove what a dead
/// replica has left, or to learn what this replica is taken to hold.
class PresenceWalk {
 public:
  /// The next call.
  struct Step {
    PresenceScript script = PresenceScript::rooms;
    std::string room = {};
    std::string cursor = {};
  };

  PresenceWalk(std::string replica, PresenceScript of_rooms)
      : replica_(std::move(replica)), of_rooms_(of_rooms) {}

  [[nodiscard]] const std::string& replica() const noexcept { return replica_; }
  [[nodiscard]] bool has_removed() const noexcept { return has_removed_; }
  void note_removed() noexcept { has_removed_ = true; }

  /// Nothing: the walk is over.
  [[nodiscard]] std::optional<Step> next() const {
    if (!rooms_.empty()) return Step{of_rooms_, rooms_.front(), cursor_};
    if (has_all_rooms_) return std::nullopt;
    return Step{.cursor = rooms_cursor_};
  }
  /// More rooms were told.
  void take_rooms(std::string cursor, std::vector<std::string> rooms) {
    has_all_rooms_ = cursor == "0";
    rooms_cursor_ = std::move(cursor);
    rooms_.insert(rooms_.end(), std::make_move_iterator(rooms.begin()),
                  std::make_move_iterator(rooms.end()));
  }
  /// A portion of the first room is done.
  void take_portion(std::string cursor) {
    cursor_ = std::move(cursor);
    if (cursor_ == "0") rooms_.pop_front();
  }

 private:
  const std::string replica_;
  const PresenceScript of_rooms_;
  std::deque<std::string> rooms_;
  std::string cursor_ = "0";
  std::string rooms_cursor_ = "0";
  bool has_all_rooms_ = false;
  bool has_removed_ = false;
};

}  // namespace roost::detail
