// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "roost/base/text/text.hpp"
#include "roost/manager/registry/connection_parts.hpp"
#include "roost/manager/registry/registry_observer.hpp"
#include "roost/manager/registry/room_index.hpp"

namespace roost::detail {

/// Which connections a manager has, and in which rooms they are. Has no executor, clock or socket.
template <class Ws>
class Registry {
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

 public:
  /// @returns null for an id that is unknown.
  [[nodiscard]] ConnectionPtr find(std::string_view id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
  }
  /// Valid until the next change.
  [[nodiscard]] const std::vector<Connection<Ws>*>& everyone() const noexcept { return everyone_; }
  [[nodiscard]] std::vector<ConnectionPtr> all() const {
    std::vector<ConnectionPtr> all;
    all.reserve(everyone_.size());
    for (Connection<Ws>* connection : everyone_) all.push_back(connection->shared_from_this());
    return all;
  }
  [[nodiscard]] std::vector<ConnectionPtr> members(std::string_view room) const {
    std::vector<ConnectionPtr> members;
    for (RoomMember* member : rooms_.members(room)) {
      members.push_back(owner_of(static_cast<ConnectionParts<Ws>&>(*member)).shared_from_this());
    }
    return members;
  }
  [[nodiscard]] RoomIndex& rooms() noexcept { return rooms_; }
  [[nodiscard]] const RoomIndex& rooms() const noexcept { return rooms_; }

  /// The number of the next walk over connections, by which each knows that it was met.
  [[nodiscard]] std::uint64_t next_walk() noexcept { return ++last_walk_; }

  /// Adds a connection, in all of its first rooms, or not at all. @pre its id is free
  void add(const ConnectionPtr& connection, const std::vector<std::string>& rooms) {
    // Twice as much at a time: `reserve` gives what it is asked for, and no more.
    if (everyone_.size() == everyone_.capacity()) everyone_.reserve(2 * everyone_.size() + 16);
    by_id_.emplace(connection->id(), connection);
    parts_of(*connection).position = everyone_.size();
    everyone_.push_back(connection.get());
    try {
      for (const std::string& room : rooms) rooms_.join(parts_of(*connection), room);
      for (RegistryObserver<Ws>* observer : observers_) observer->on_registered(*connection);
    } catch (...) {
      remove(*connection);
      throw;
    }
  }

  /// Takes a connection out of its rooms and forgets it. @pre it was added
  void remove(Connection<Ws>& connection) noexcept {
    rooms_.leave_all(parts_of(connection));
    for (RegistryObserver<Ws>* observer : observers_) observer->on_unregistered(connection);
    Connection<Ws>* const last = everyone_.back();
    everyone_[parts_of(connection).position] = last;
    parts_of(*last).position = parts_of(connection).position;
    everyone_.pop_back();
    by_id_.erase(by_id_.find(connection.id()));
  }

  /// Tells @p observer of connections that come and go from now on.
  void observe(RegistryObserver<Ws>& observer) { observers_.push_back(&observer); }
  void unobserve(RegistryObserver<Ws>& observer) noexcept { std::erase(observers_, &observer); }

 private:
  std::unordered_map<std::string, ConnectionPtr, StringHash, std::equal_to<>> by_id_;
  std::vector<Connection<Ws>*> everyone_;
  RoomIndex rooms_;
  std::vector<RegistryObserver<Ws>*> observers_;
  std::uint64_t last_walk_ = 0;
};

}  // namespace roost::detail
