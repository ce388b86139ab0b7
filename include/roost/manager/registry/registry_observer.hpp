// SPDX-License-Identifier: MIT
#pragma once

namespace roost {

template <class Ws>
class Connection;

namespace detail {

/// Who is told, from inside a manager, which connections there are. May take notes, and nothing
/// else: not call the manager, not end itself.
template <class Ws>
class RegistryObserver {
 public:
  /// Throws `std::bad_alloc` at most, which undoes the registration.
  virtual void on_registered(Connection<Ws>& connection) = 0;
  /// Also for a connection whose registration it was not told of.
  virtual void on_unregistered(Connection<Ws>& connection) noexcept = 0;

 protected:
  ~RegistryObserver() = default;
};

}  // namespace detail
}  // namespace roost
