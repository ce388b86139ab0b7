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

/// A list that usually has one element, which takes no block of memory of its own.
template <class T>
class ShortList {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return all().size(); }
  [[nodiscard]] bool empty() const noexcept { return all().empty(); }
  [[nodiscard]] auto begin() noexcept { return all().begin(); }
  [[nodiscard]] auto end() noexcept { return all().end(); }
  [[nodiscard]] auto begin() const noexcept { return all().begin(); }
  [[nodiscard]] auto end() const noexcept { return all().end(); }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return all()[i]; }
  [[nodiscard]] T& back() noexcept { return all().back(); }

  /// Makes the next `push_back` need no memory.
  void reserve_one_more() {
    if (size() == several_.capacity() || only_) several_.reserve(2 * size());
  }
  void push_back(T element) {
    if (empty()) {
      only_ = std::move(element);
      return;
    }
    reserve_one_more();
    if (only_) several_.push_back(*std::exchange(only_, std::nullopt));
    several_.push_back(std::move(element));
  }
  /// @pre it is not empty
  void pop_back() noexcept { only_ ? only_.reset() : several_.pop_back(); }

 private:
  [[nodiscard]] std::span<T> all() noexcept {
    return only_ ? std::span<T>(&*only_, 1) : std::span<T>(several_);
  }
  [[nodiscard]] std::span<const T> all() const noexcept {
    return only_ ? std::span<const T>(&*only_, 1) : std::span<const T>(several_);
  }

  std::optional<T> only_;  // set: there are no others
  std::vector<T> several_;
};

/// Base of objects that can be in rooms. It knows its position in each room, so leaving needs no
/// search.
class RoomMember {
 public:
  RoomMember() = default;
  RoomMember(const RoomMember&) = delete;
  RoomMember& operator=(const RoomMember&) = delete;

  /// Used by the index.
  struct Place {
    struct Room* room;
    std::size_t position;
  };
  ShortList<Place> places;

 protected:
  ~RoomMember() = default;
};

/// A named set of members, contiguous in memory.
struct Room {
  std::string_view name;  ///< Its key in the index.
  std::vector<RoomMember*> members;
};

/// Is told which rooms exist. It may only update its own state.
class RoomObserver {
 public:
  RoomObserver() = default;
  RoomObserver(const RoomObserver&) = delete;
  RoomObserver& operator=(const RoomObserver&) = delete;
  virtual ~RoomObserver() = default;
  /// May throw only `std::bad_alloc`, which undoes the join.
  virtual void on_room_opened(std::string_view name) = 0;
  /// Also called for a room whose opening it was not told of.
  virtual void on_room_closed(std::string_view name) noexcept = 0;
  /// Completes when the channels of all rooms opened so far are subscribed. The awaitable does not
  /// refer to this object.
  virtual boost::asio::awaitable<void> settled() = 0;
  /// Returns the object that it observes for, only for comparison; null once there is none.
  [[nodiscard]] virtual const void* subject() const noexcept = 0;
};

/// The rooms and their members. A room exists while it has a member. A member must be removed
/// before it is destroyed.
class RoomIndex {
 public:
  /// Tells @p observer of the existing rooms, then of changes, for as long as it lives.
  ROOST_WHEN_USED void observe(const std::shared_ptr<RoomObserver>& observer);
  /// Returns whether there was an observer; it may still be true when none is left.
  [[nodiscard]] bool is_observed() const noexcept { return !observers_.empty(); }
  /// Returns whether an observer for @p subject is told of rooms.
  ROOST_WHEN_USED [[nodiscard]] bool is_observed_for(const void* subject) const noexcept;
  /// Completes when the channels of all rooms that exist now are subscribed, according to the
  /// observers. The awaitable may outlive the index.
  ROOST_WHEN_USED [[nodiscard]] boost::asio::awaitable<void> settled() const;

  /// Adds a member to a room. @returns false if it is in the room already
  ROOST_WHEN_USED bool join(RoomMember& member, std::string_view name);

  /// Removes a member from a room. @returns false if it is not in the room
  ROOST_WHEN_USED bool leave(RoomMember& member, std::string_view name) noexcept;

  ROOST_WHEN_USED void leave_all(RoomMember& member) noexcept;

  ROOST_WHEN_USED [[nodiscard]] static bool contains(const RoomMember& member,
                                                     std::string_view name) noexcept;
  [[nodiscard]] static std::size_t room_count(const RoomMember& member) noexcept {
    return member.places.size();
  }
  /// Returns the rooms of a member, sorted.
  ROOST_WHEN_USED [[nodiscard]] static std::vector<std::string> rooms_of(const RoomMember& member);

  /// Returns the members of a room in no particular order; valid until the next change.
  ROOST_WHEN_USED [[nodiscard]] std::span<RoomMember* const> members(
      std::string_view name) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return rooms_.size(); }
  /// Returns the names of all rooms, sorted.
  ROOST_WHEN_USED [[nodiscard]] std::vector<std::string> list() const;

 private:
  using Observers = std::vector<std::weak_ptr<RoomObserver>>;

  ROOST_WHEN_USED static boost::asio::awaitable<void> all_settled(Observers observers);

  ROOST_WHEN_USED void remove_place(RoomMember& member, std::size_t i) noexcept;

  ROOST_WHEN_USED void erase_if_empty(Room& room) noexcept;

  std::unordered_map<std::string, Room, StringHash, std::equal_to<>> rooms_;
  Observers observers_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/registry/room_index.ipp"
#endif
