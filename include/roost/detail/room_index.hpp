// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roost::detail {

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};

/// What can be in rooms: knows where in each of them it stands, so that leaving is no search.
class RoomMember {
 public:
  RoomMember() = default;
  RoomMember(const RoomMember&) = delete;
  RoomMember& operator=(const RoomMember&) = delete;

 protected:
  ~RoomMember() = default;

 private:
  friend class RoomIndex;
  struct Slot {
    struct Room* room;
    std::size_t position;
  };
  std::vector<Slot> slots_;
};

/// A named set of members, contiguous in memory.
struct Room {
  std::string name;
  std::vector<RoomMember*> members;
};

/// Who is told which rooms there are. May take notes, and nothing else.
class RoomObserver {
 public:
  virtual ~RoomObserver() = default;
  /// Throws `std::bad_alloc` at most, which undoes the join.
  virtual void on_room_opened(std::string_view name) = 0;
  /// Also for a room of whose opening it was not told.
  virtual void on_room_closed(std::string_view name) noexcept = 0;
};

/// Which rooms there are and who is in them. A room exists while it has a member.
/// A member must be removed before it is destroyed.
class RoomIndex {
 public:
  /// Tells @p observer of rooms, those that are there first, for as long as it lives.
  void observe(const std::shared_ptr<RoomObserver>& observer) {
    std::erase_if(observers_, [](const auto& other) { return other.expired(); });
    for (const auto& [name, room] : rooms_) observer->on_room_opened(name);
    observers_.push_back(observer);
  }

  /// @returns false if it is in the room already.
  bool join(RoomMember& member, std::string_view name) {
    if (contains(member, name)) return false;
    auto found = rooms_.find(name);
    if (found == rooms_.end()) {
      auto room = std::make_unique<Room>();
      room->name = name;
      found = rooms_.emplace(std::string(name), std::move(room)).first;
    }
    Room& room = *found->second;
    try {
      if (room.members.empty()) {
        for (const auto& weak : observers_) {
          if (const auto observer = weak.lock()) observer->on_room_opened(name);
        }
      }
      member.slots_.reserve(member.slots_.size() + 1);
      room.members.push_back(&member);
    } catch (...) {
      erase_if_empty(room);
      throw;
    }
    member.slots_.push_back({.room = &room, .position = room.members.size() - 1});
    return true;
  }

  /// @returns false if it is not in the room.
  bool leave(RoomMember& member, std::string_view name) noexcept {
    for (std::size_t i = 0; i < member.slots_.size(); ++i) {
      if (member.slots_[i].room->name == name) {
        remove_slot(member, i);
        return true;
      }
    }
    return false;
  }

  void leave_all(RoomMember& member) noexcept {
    while (!member.slots_.empty()) remove_slot(member, member.slots_.size() - 1);
  }

  [[nodiscard]] static bool contains(const RoomMember& member, std::string_view name) noexcept {
    return std::any_of(member.slots_.begin(), member.slots_.end(),
                       [&](const auto& slot) { return slot.room->name == name; });
  }
  [[nodiscard]] static std::size_t room_count(const RoomMember& member) noexcept {
    return member.slots_.size();
  }
  /// The rooms of a member, sorted.
  [[nodiscard]] static std::vector<std::string> rooms_of(const RoomMember& member) {
    std::vector<std::string> names;
    names.reserve(member.slots_.size());
    for (const auto& slot : member.slots_) names.push_back(slot.room->name);
    std::sort(names.begin(), names.end());
    return names;
  }

  /// In no particular order; valid until the next change.
  [[nodiscard]] std::span<RoomMember* const> members(std::string_view name) const noexcept {
    const auto found = rooms_.find(name);
    if (found == rooms_.end()) return {};
    return found->second->members;
  }
  [[nodiscard]] std::size_t size() const noexcept { return rooms_.size(); }
  /// Every room, sorted.
  [[nodiscard]] std::vector<std::string> list() const {
    std::vector<std::string> names;
    names.reserve(rooms_.size());
    for (const auto& [name, room] : rooms_) names.push_back(name);
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  void remove_slot(RoomMember& member, std::size_t i) noexcept {
    const auto [room, position] = member.slots_[i];
    RoomMember* const last = room->members.back();
    room->members[position] = last;
    room->members.pop_back();
    for (auto& slot : last->slots_) {
      if (slot.room == room) slot.position = position;
    }
    member.slots_[i] = member.slots_.back();
    member.slots_.pop_back();
    erase_if_empty(*room);
  }

  void erase_if_empty(Room& room) noexcept {
    if (!room.members.empty()) return;
    for (const auto& weak : observers_) {
      if (const auto observer = weak.lock()) observer->on_room_closed(room.name);
    }
    if (const auto found = rooms_.find(room.name); found != rooms_.end()) rooms_.erase(found);
  }

  std::unordered_map<std::string, std::unique_ptr<Room>, StringHash, std::equal_to<>> rooms_;
  std::vector<std::weak_ptr<RoomObserver>> observers_;
};

}  // namespace roost::detail
