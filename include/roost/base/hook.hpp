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

/// A callable of the application that answers at once or as a coroutine: made from anything that
/// returns `R` or `awaitable<R>`.
template <class R, class... Args>
class Hook<R(Args...)> {
 public:
  /// Empty: nobody is asked.
  Hook() = default;

  /// Of anything callable that returns `R` or `awaitable<R>`.
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

  /// Whether there is something to call.
  [[nodiscard]] explicit operator bool() const noexcept {
    return static_cast<bool>(plain_) || static_cast<bool>(coroutine_);
  }
  /// Whether it is called by `start`.
  [[nodiscard]] bool is_coroutine() const noexcept { return static_cast<bool>(coroutine_); }

  /// Calls a hook that answers at once. @pre `!is_coroutine()`
  R call(Args... args) const { return plain_(std::forward<Args>(args)...); }
  /// Starts one that is a coroutine. @pre `is_coroutine()`
  boost::asio::awaitable<R> start(Args... args) const {
    return coroutine_(std::forward<Args>(args)...);
  }

 private:
  std::function<R(Args...)> plain_;
  std::function<boost::asio::awaitable<R>(Args...)> coroutine_;
};

}  // namespace roost
