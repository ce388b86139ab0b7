// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <type_traits>
#include <utility>

namespace roost::detail {

// `co_spawn` wants results that have a default.
template <class T>
boost::asio::awaitable<std::optional<T>> optionally(boost::asio::awaitable<T> operation) {
  co_return co_await std::move(operation);
}

/// Runs @p operation on @p executor, whichever executor awaits it. `dispatch` does not move an
/// awaitable to another executor; spawning it there does, and cancellation follows.
template <class T>
boost::asio::awaitable<T> on_executor(boost::asio::any_io_executor executor,
                                      boost::asio::awaitable<T> operation) {
  const boost::asio::any_io_executor here = co_await boost::asio::this_coro::executor;
  if (here == executor) {
    co_return co_await std::move(operation);
  }
  if constexpr (std::is_void_v<T> || std::is_default_constructible_v<T>) {
    co_return co_await boost::asio::co_spawn(executor, std::move(operation),
                                             boost::asio::use_awaitable);
  } else {
    std::optional<T> result = co_await boost::asio::co_spawn(
        executor, optionally(std::move(operation)), boost::asio::use_awaitable);
    co_return std::move(*result);
  }
}

}  // namespace roost::detail
