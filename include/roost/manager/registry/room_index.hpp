// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/base/text/text.hpp"

namespace roost::detail {

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
  RoomObserver() = default;
  RoomObserver(const RoomObserver&) = delete;
  RoomObserver& operator=(const RoomObserver&) = delete;
  virtual ~RoomObserver() = default;
  /// Throws `std::bad_alloc` at most, which undoes the join.
  virtual void on_room_opened(std::string_view name) = 0;
  /// Also for a room of whose opening it was not told.
  virtual void on_room_closed(std::string_view name) noexcept = 0;
  /// Completes when everything sent to the rooms opened so far arrives. The awaitable holds what it
  /// needs.
  virtual boost::asio::awaitable<void> settled() = 0;
  /// For whom it observes, to be compared with only; null: for nobody any more.
  [[nodiscard]] virtual const void* subject() const noexcept = 0;
};

/// Which rooms there are and who is in them. A room exists while it has a member.
/// A member must be removed before it is destroyed.
class RoomIndex {
 public:
  /// Tells @p observer of rooms, those that are there first, for as long as it lives.
  ROOST_WHEN_USED void observe(const std::shared_ptr<RoomObserver>& observer);
  /// Whether somebody was told of rooms; may still be true when nobody is any more.
  [[nodiscard]] bool is_observed() const noexcept { return !observers_.empty(); }
  /// Whether an observer of @p subject is told of rooms.
  ROOST_WHEN_USED [[nodiscard]] bool is_observed_for(const void* subject) const noexcept;
  /// Completes when everything sent to the rooms that there are now arrives, by what the observers
  /// say. May outlive the index.
  ROOST_WHEN_USED [[nodiscard]] boost::asio::awaitable<void> settled() const;

  /// @returns false if it is in the room already.
  ROOST_WHEN_USED bool join(RoomMember& member, std::string_view name);

  /// @returns false if it is not in the room.
  ROOST_WHEN_USED bool leave(RoomMember& member, std::string_view name) noexcept;

  ROOST_WHEN_USED void leave_all(RoomMember& member) noexcept;

  ROOST_WHEN_USED [[nodiscard]] static bool contains(const RoomMember& member,
                                                     std::string_view name) noexcept;
  [[nodiscard]] static std::size_t room_count(const RoomMember& member) noexcept {
    return member.slots_.size();
  }
  /// The rooms of a member, sorted.
  ROOST_WHEN_USED [[nodiscard]] static std::vector<std::string> rooms_of(const RoomMember& member);

  /// In no particular order; valid until the next change.
  ROOST_WHEN_USED [[nodiscard]] std::span<RoomMember* const> members(
      std::string_view name) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return rooms_.size(); }
  /// Every room, sorted.
  ROOST_WHEN_USED [[nodiscard]] std::vector<std::string> list() const;

 private:
  using Observers = std::vector<std::weak_ptr<RoomObserver>>;

  ROOST_WHEN_USED static boost::asio::awaitable<void> all_settled(Observers observers);

  ROOST_WHEN_USED void remove_slot(RoomMember& member, std::size_t i) noexcept;

  ROOST_WHEN_USED void erase_if_empty(Room& room) noexcept;

  std::unordered_map<std::string, std::unique_ptr<Room>, StringHash, std::equal_to<>> rooms_;
  Observers observers_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/registry/room_index.ipp"
#endif
