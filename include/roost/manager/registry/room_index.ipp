// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "roost/manager/registry/room_index.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF void RoomIndex::observe(const std::shared_ptr<RoomObserver>& observer) {
  std::erase_if(observers_, [](const auto& other) { return other.expired(); });
  for (const auto& [name, room] : rooms_) observer->on_room_opened(name);
  observers_.push_back(observer);
}

ROOST_WHEN_USED_DEF bool RoomIndex::is_observed_for(const void* subject) const noexcept {
  return std::any_of(observers_.begin(), observers_.end(), [&](const auto& weak) {
    const auto observer = weak.lock();
    return observer && observer->subject() == subject;
  });
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<void> RoomIndex::settled() const {
  return all_settled(observers_);
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<void> RoomIndex::all_settled(Observers observers) {
  for (const auto& weak : observers) {
    std::shared_ptr<RoomObserver> observer = weak.lock();
    if (!observer) continue;
    boost::asio::awaitable<void> settled = observer->settled();
    observer.reset();  // it may be destroyed meanwhile
    co_await std::move(settled);
  }
}

ROOST_WHEN_USED_DEF std::span<RoomMember* const> RoomIndex::members(
    std::string_view name) const noexcept {
  const auto found = rooms_.find(name);
  if (found == rooms_.end()) return {};
  return found->second.members;
}

ROOST_WHEN_USED_DEF bool RoomIndex::join(RoomMember& member, std::string_view name) {
  if (contains(member, name)) return false;
  auto found = rooms_.find(name);
  if (found == rooms_.end()) {
    found = rooms_.try_emplace(std::string(name)).first;
    found->second.name = found->first;
  }
  Room& room = found->second;
  try {
    if (room.members.empty()) {
      for (const auto& weak : observers_) {
        if (const auto observer = weak.lock()) observer->on_room_opened(name);
      }
    }
    member.places.reserve_one_more();
    room.members.push_back(&member);
  } catch (...) {
    erase_if_empty(room);
    throw;
  }
  member.places.push_back({.room = &room, .position = room.members.size() - 1});
  return true;
}

ROOST_WHEN_USED_DEF bool RoomIndex::leave(RoomMember& member, std::string_view name) noexcept {
  for (std::size_t i = 0; i < member.places.size(); ++i) {
    if (member.places[i].room->name == name) {
      remove_place(member, i);
      return true;
    }
  }
  return false;
}

ROOST_WHEN_USED_DEF void RoomIndex::leave_all(RoomMember& member) noexcept {
  while (!member.places.empty()) remove_place(member, member.places.size() - 1);
}

ROOST_WHEN_USED_DEF bool RoomIndex::contains(const RoomMember& member,
                                             std::string_view name) noexcept {
  return std::any_of(member.places.begin(), member.places.end(),
                     [&](const auto& place) { return place.room->name == name; });
}

ROOST_WHEN_USED_DEF std::vector<std::string> RoomIndex::rooms_of(const RoomMember& member) {
  std::vector<std::string> names;
  names.reserve(member.places.size());
  for (const auto& place : member.places) names.emplace_back(place.room->name);
  std::sort(names.begin(), names.end());
  return names;
}

ROOST_WHEN_USED_DEF std::vector<std::string> RoomIndex::list() const {
  std::vector<std::string> names;
  names.reserve(rooms_.size());
  for (const auto& [name, room] : rooms_) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

ROOST_WHEN_USED_DEF void RoomIndex::remove_place(RoomMember& member, std::size_t i) noexcept {
  const auto [room, position] = member.places[i];
  RoomMember* const last = room->members.back();
  room->members[position] = last;
  room->members.pop_back();
  for (auto& place : last->places) {
    if (place.room == room) place.position = position;
  }
  member.places[i] = member.places.back();
  member.places.pop_back();
  erase_if_empty(*room);
}

ROOST_WHEN_USED_DEF void RoomIndex::erase_if_empty(Room& room) noexcept {
  if (!room.members.empty()) return;
  for (const auto& weak : observers_) {
    if (const auto observer = weak.lock()) observer->on_room_closed(room.name);
  }
  if (const auto found = rooms_.find(room.name); found != rooms_.end()) rooms_.erase(found);
}

}  // namespace roost::detail
