// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

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

}  // namespace roost::detail
