// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "roost/backplane/detail/room_routing.hpp"

namespace roost::detail {

ROOST_DECL RoomInterest::RoomInterest(std::shared_ptr<RoomRouting> routing)
    : routing_(std::move(routing)) {}

ROOST_DECL RoomInterest::~RoomInterest() {
  for (const std::string& room : rooms_) routing_->leave(room);
}

ROOST_DECL void RoomInterest::on_room_opened(std::string_view name) {
  if (!rooms_.emplace(name).second) return;
  routing_->enter(name);
}

ROOST_DECL void RoomInterest::on_room_closed(std::string_view name) noexcept {
  const auto found = rooms_.find(name);
  if (found == rooms_.end()) return;
  rooms_.erase(found);
  routing_->leave(name);
}

}  // namespace roost::detail
