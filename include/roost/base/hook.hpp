// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

namespace roost {

template <class Signature>
class Hook;

/// A callback of the application: a plain function or a coroutine. It is made from any callable
/// that returns `R` or `awaitable<R>`.
template <class R, class... Args>
class Hook<R(Args...)> {
 public:
  /// Makes an empty hook: there is nothing to call.
  Hook() = default;

  /// Makes a hook from a callable that returns `R` or `awaitable<R>`.
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, Hook> && std::invocable<F&, Args...> &&
             (std::convertible_to<std::invoke_result_t<F&, Args...>, R> ||
              (std::is_void_v<R> && std::is_void_v<std::invoke_result_t<F&, Args...>>) ||
              std::same_as<std::invoke_result_t<F&, Args...>, boost::asio::awaitable<R>>))
  Hook(F f) {  // NOLINT: implicit on purpose
    if constexpr (std::same_as<std::invoke_result_t<F&, Args...>, boost::asio::awaitable<R>>) {
      coroutine_ = std::move(f);
    } else {
      plain_ = std::move(f);
    }
  }

  /// Returns whether the hook has a callable.
  [[nodiscard]] explicit operator bool() const noexcept {
    return static_cast<bool>(plain_) || static_cast<bool>(coroutine_);
  }
  /// Returns whether the callable is a coroutine: use `start`, not `call`.
  [[nodiscard]] bool is_coroutine() const noexcept { return static_cast<bool>(coroutine_); }

  /// Calls a plain function. @pre `!is_coroutine()`
  R call(Args... args) const { return plain_(std::forward<Args>(args)...); }
  /// Starts a coroutine. @pre `is_coroutine()`
  boost::asio::awaitable<R> start(Args... args) const {
    return coroutine_(std::forward<Args>(args)...);
  }

 private:
  std::function<R(Args...)> plain_;
  std::function<boost::asio::awaitable<R>(Args...)> coroutine_;
};

}  // namespace roost
