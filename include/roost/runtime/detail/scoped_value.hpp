// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

namespace roost::detail {

/// A flag that is set, or a pointer that points, for the life of this.
template <class T>
class ScopedValue {
 public:
  ScopedValue(T& place, std::type_identity_t<T> value) noexcept : place_(place) { place_ = value; }
  ScopedValue(const ScopedValue&) = delete;
  ScopedValue& operator=(const ScopedValue&) = delete;
  ~ScopedValue() { place_ = T{}; }

 private:
  T& place_;
};

}  // namespace roost::detail
