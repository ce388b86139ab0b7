// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace roost::detail {

/// A function that can be moved and is called once. A function object of at most @p inline_bytes
/// is stored inside, so that a connection that waits keeps no block of memory for it.
template <class Signature, std::size_t inline_bytes>
class Callback;

template <class... Arguments, std::size_t inline_bytes>
class Callback<void(Arguments...), inline_bytes> {
 public:
  Callback() noexcept = default;
  template <class F>
    requires(!std::is_same_v<F, Callback>)
  Callback(F f) {  // NOLINT: implicit on purpose
    if constexpr (fits<F>) {
      store(std::move(f));
    } else {
      store([boxed = std::make_unique<F>(std::move(f))](Arguments... arguments) {
        std::move (*boxed)(std::forward<Arguments>(arguments)...);
      });
    }
  }
  Callback(Callback&& other) noexcept { take(other); }
  Callback& operator=(Callback&& other) noexcept {
    if (this == &other) return *this;
    const Callback old(std::move(*this));  // its destructor may use this object
    take(other);
    return *this;
  }
  ~Callback() {
    if (type_) type_->destroy(storage_.data());
  }

  explicit operator bool() const noexcept { return type_ != nullptr; }

  /// Calls the function. This object is empty by then, so that the function may assign to it.
  void operator()(Arguments... arguments) && {
    const Type* const type = std::exchange(type_, nullptr);
    type->call(storage_.data(), std::forward<Arguments>(arguments)...);
  }

 private:
  struct Type {
    void (*call)(void* from, Arguments...);  // moves it out and destroys it first
    void (*move)(void* from, void* to) noexcept;
    void (*destroy)(void* at) noexcept;
  };

  template <class F>
  static constexpr bool fits = sizeof(F) <= inline_bytes && alignof(F) <= alignof(void*) &&
                               std::is_nothrow_move_constructible_v<F>;

  template <class F>
  static F take_out(void* at) noexcept {
    F* const stored = static_cast<F*>(at);
    F f(std::move(*stored));
    std::destroy_at(stored);
    return f;
  }
  template <class F>
  static constexpr Type type_of{
      .call =
          [](void* from, Arguments... arguments) {
            F f(take_out<F>(from));
            std::move(f)(std::forward<Arguments>(arguments)...);
          },
      .move = [](void* from, void* to) noexcept { ::new (to) F(take_out<F>(from)); },
      .destroy = [](void* at) noexcept { std::destroy_at(static_cast<F*>(at)); }};

  template <class F>
  void store(F f) noexcept {
    static_assert(fits<F>);
    ::new (static_cast<void*>(storage_.data())) F(std::move(f));
    type_ = &type_of<F>;
  }
  void take(Callback& other) noexcept {
    type_ = std::exchange(other.type_, nullptr);
    if (type_) type_->move(other.storage_.data(), storage_.data());
  }

  const Type* type_ = nullptr;  // null: empty
  alignas(void*) std::array<std::byte, inline_bytes> storage_;
};

}  // namespace roost::detail
