// SPDX-License-Identifier: MIT
#pragma once

#include <map>

#include "roost/base/text/text.hpp"
#include "roost/manager/registry/connection_parts.hpp"

namespace roost::detail {

/// Joins that wait until the channel of their room is subscribed. A cancelled join is undone,
/// unless other callers joined the same connection to the same room: the membership stays if one of
/// them still waits, or was told that it has joined.
class PendingJoins {
  struct Membership {
    std::size_t waiting = 0;
    bool is_kept = false;
    bool is_replaced = false;  // the connection left and joined again
  };
  using Key = std::pair<const void*, std::string>;  // connection and room

 public:
  /// One waiting join.
  class Waiting {
   public:
    /// @param connection  outlives this
    /// @param is_new      whether this join made the membership
    Waiting(PendingJoins& joins, const void* connection, const std::string& room, bool is_new);
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting();

    /// Notes that the caller is told that it has joined.
    void keep() noexcept {
      if (membership_) membership_->is_kept = true;
    }
    /// Returns whether the membership must be undone if this join is cancelled.
    [[nodiscard]] bool is_last() const noexcept;

   private:
    PendingJoins& joins_;
    const Key key_;
    std::shared_ptr<Membership> membership_;  // null: it existed before any waiting join
  };

 private:
  std::map<Key, std::shared_ptr<Membership>> waiting_;
};

inline PendingJoins::Waiting::Waiting(PendingJoins& joins, const void* connection,
                                      const std::string& room, bool is_new)
    : joins_(joins), key_(connection, room) {
  const auto found = joins_.waiting_.find(key_);
  const bool is_found = found != joins_.waiting_.end();
  if (is_new) {
    if (is_found) found->second->is_replaced = true;
    membership_ = joins_.waiting_[key_] = std::make_shared<Membership>();
  } else if (is_found) {
    membership_ = found->second;
  }
  if (membership_) ++membership_->waiting;
}

inline PendingJoins::Waiting::~Waiting() {
  if (!membership_ || --membership_->waiting > 0 || membership_->is_replaced) return;
  joins_.waiting_.erase(key_);
}

inline bool PendingJoins::Waiting::is_last() const noexcept {
  return membership_ && membership_->waiting == 1 && !membership_->is_kept &&
         !membership_->is_replaced;
}

}  // namespace roost::detail

namespace roost {

template <class Ws>
class Connection;

namespace detail {

/// Is told which connections are registered. It is called inside the manager, so it may only update
/// its own state: it must not call the manager or destroy itself.
template <class Ws>
class RegistryObserver {
 public:
  /// May throw only `std::bad_alloc`, which undoes the registration.
  virtual void on_registered(Connection<Ws>& connection) = 0;
  /// Also called for a connection whose registration it was not told of.
  virtual void on_unregistered(Connection<Ws>& connection) noexcept = 0;

 protected:
  ~RegistryObserver() = default;
};

/// Is told which users are in which rooms, for presence: once for each connection of a user. It is
/// called inside the manager, so it may only update its own state.
class UserObserver {
 public:
  UserObserver() = default;
  UserObserver(const UserObserver&) = delete;
  UserObserver& operator=(const UserObserver&) = delete;
  /// May throw only `std::bad_alloc`, which undoes the join.
  virtual void on_user_entered(std::string_view room, std::string_view user,
                               std::string_view info) = 0;
  /// Also called for a connection that it was not told of.
  virtual void on_user_left(std::string_view room, std::string_view user) noexcept = 0;

 protected:
  virtual ~UserObserver() = default;
};

}  // namespace detail
}  // namespace roost

namespace roost::detail {

/// The connections of a manager and their rooms. It has no executor, clock or socket.
template <class Ws>
class Registry {
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

 public:
  /// @returns null if the id is unknown
  [[nodiscard]] ConnectionPtr find(std::string_view id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
  }
  /// Returns all connections; valid until the next change.
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
  /// Returns the connections of a user: those that name it, and one that names no user and has it
  /// as its id.
  [[nodiscard]] std::vector<ConnectionPtr> connections_of(std::string_view user) const {
    std::vector<ConnectionPtr> connections;
    if (const auto found = by_user_.find(user); found != by_user_.end()) {
      for (Connection<Ws>* connection : found->second) {
        connections.push_back(connection->shared_from_this());
      }
    }
    const auto named_so = by_id_.find(user);
    if (named_so != by_id_.end() && !parts_of(*named_so->second).user) {
      connections.push_back(named_so->second);
    }
    return connections;
  }
  [[nodiscard]] RoomIndex& rooms() noexcept { return rooms_; }
  [[nodiscard]] const RoomIndex& rooms() const noexcept { return rooms_; }

  /// Returns a new number for a walk over connections; each connection stores it, so that a walk
  /// visits it only once.
  [[nodiscard]] std::uint64_t next_walk() noexcept { return ++last_walk_; }

  /// Adds a connection and joins it to its initial rooms, or does nothing if that fails. @pre its
  /// id is free
  void add(const ConnectionPtr& connection, std::span<const std::string> rooms) {
    // Double the capacity: `reserve` alone allocates exactly what is asked for.
    if (everyone_.size() == everyone_.capacity()) everyone_.reserve(2 * everyone_.size() + 16);
    by_id_.emplace(std::string_view(connection->id()), connection);
    parts_of(*connection).position = everyone_.size();
    everyone_.push_back(connection.get());
    try {
      add_to_user(*connection);
      for (const std::string& room : rooms) join(*connection, room);
      for (RegistryObserver<Ws>* observer : observers_) observer->on_registered(*connection);
    } catch (...) {
      remove(*connection);
      throw;
    }
  }

  /// Removes a connection from its rooms and from the registry. @pre it was added
  void remove(Connection<Ws>& connection) noexcept {
    if (!user_observers_.empty()) {
      for (const RoomMember::Place& place : parts_of(connection).places) {
        tell_left(connection, place.room->name);
      }
    }
    rooms_.leave_all(parts_of(connection));
    for (RegistryObserver<Ws>* observer : observers_) observer->on_unregistered(connection);
    Connection<Ws>* const last = everyone_.back();
    everyone_[parts_of(connection).position] = last;
    parts_of(*last).position = parts_of(connection).position;
    everyone_.pop_back();
    remove_from_user(connection);
    by_id_.erase(by_id_.find(connection.id()));
  }

  /// Adds a connection to a room, or does nothing if that fails. @returns false if it is in the
  /// room already
  bool join(Connection<Ws>& connection, std::string_view room) {
    if (!rooms_.join(parts_of(connection), room)) return false;
    if (user_observers_.empty()) return true;
    try {
      for (const auto& weak : user_observers_) {
        if (const auto observer = weak.lock()) tell_entered(*observer, connection, room);
      }
    } catch (...) {
      leave(connection, room);
      throw;
    }
    return true;
  }
  /// Removes a connection from a room. @returns false if it is not in the room
  bool leave(Connection<Ws>& connection, std::string_view room) noexcept {
    if (!rooms_.leave(parts_of(connection), room)) return false;
    if (!user_observers_.empty()) tell_left(connection, room);
    return true;
  }

  /// Tells @p observer of the users that are in rooms, then of changes, for as long as it lives.
  void observe_users(const std::shared_ptr<UserObserver>& observer) {
    std::erase_if(user_observers_, [](const auto& weak) { return weak.expired(); });
    user_observers_.push_back(observer);
    for (Connection<Ws>* connection : everyone_) {
      for (const RoomMember::Place& place : parts_of(*connection).places) {
        tell_entered(*observer, *connection, place.room->name);
      }
    }
  }

  /// Tells @p observer of connections that are added and removed from now on.
  void observe(RegistryObserver<Ws>& observer) { observers_.push_back(&observer); }
  void unobserve(RegistryObserver<Ws>& observer) noexcept { std::erase(observers_, &observer); }

 private:
  static void tell_entered(UserObserver& observer, Connection<Ws>& connection,
                           std::string_view room) {
    const ConnectionUser* const user = parts_of(connection).user.get();
    observer.on_user_entered(room, connection.user(),
                             user ? std::string_view(user->info) : std::string_view());
  }
  void tell_left(Connection<Ws>& connection, std::string_view room) noexcept {
    for (const auto& weak : user_observers_) {
      if (const auto observer = weak.lock()) observer->on_user_left(room, connection.user());
    }
  }
  void add_to_user(Connection<Ws>& connection) {
    ConnectionUser* const user = parts_of(connection).user.get();
    if (!user) return;
    auto& connections = by_user_[user->name];
    connections.push_back(&connection);
    user->position = connections.size() - 1;
  }
  void remove_from_user(Connection<Ws>& connection) noexcept {
    ConnectionUser* const user = parts_of(connection).user.get();
    if (!user) return;
    const auto found = by_user_.find(user->name);
    if (found == by_user_.end()) return;
    auto& connections = found->second;
    if (user->position != ConnectionUser::not_indexed) {
      Connection<Ws>* const last = connections.back();
      connections[user->position] = last;
      parts_of(*last).user->position = user->position;
      user->position = ConnectionUser::not_indexed;
      connections.pop_back();
    }
    if (connections.empty()) by_user_.erase(found);
  }

  std::unordered_map<std::string_view, ConnectionPtr> by_id_;  // refers to ids in the connections
  // Only of connections that name a user.
  std::unordered_map<std::string, std::vector<Connection<Ws>*>, StringHash, std::equal_to<>>
      by_user_;
  std::vector<Connection<Ws>*> everyone_;
  RoomIndex rooms_;
  std::vector<RegistryObserver<Ws>*> observers_;
  std::vector<std::weak_ptr<UserObserver>> user_observers_;
  std::uint64_t last_walk_ = 0;
};

}  // namespace roost::detail
