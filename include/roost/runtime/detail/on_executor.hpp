// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "roost/runtime/detail/running_count.hpp"

namespace roost::detail {

// Results need a default on their way between executors.
template <class T>
using Boxed = std::optional<std::conditional_t<std::is_void_v<T>, std::monostate, T>>;

template <class T>
boost::asio::awaitable<Boxed<T>> boxed(boost::asio::awaitable<T> operation) {
  if constexpr (std::is_void_v<T>) {
    co_await std::move(operation);
    co_return std::monostate{};
  } else {
    co_return co_await std::move(operation);
  }
}

/// Spawns @p operation on @p executor and completes where it was called from.
///
/// What `co_spawn(executor, operation, use_awaitable)` does, but safe to cancel: Boost 1.81 sends
/// the cancellation over with a pointer into the caller, who may be gone when it arrives.
template <class T>
boost::asio::awaitable<Boxed<T>> run_there(const boost::asio::any_io_executor& executor,
                                           boost::asio::awaitable<T> operation) {
  namespace asio = boost::asio;
  auto start = [executor, running = boxed(std::move(operation))](auto handler) mutable {
    auto signal = std::make_shared<asio::cancellation_signal>();
    if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected()) {
      slot.assign([signal, executor](asio::cancellation_type type) {
        asio::dispatch(executor, [signal, type] { signal->emit(type); });
      });
    }
    auto work = asio::make_work_guard(asio::get_associated_executor(handler));
    auto finish = [signal, running = std::make_optional<Running>(executor), work = std::move(work),
                   handler = std::move(handler)](std::exception_ptr error,
                                                 Boxed<T> result) mutable {
      running.reset();  // the caller may look at once
      asio::post(work.get_executor(),
                 [error, result = std::move(result), handler = std::move(handler)]() mutable {
                   std::move(handler)(error, std::move(result));
                 });
    };
    const auto slot = signal->slot();
    asio::co_spawn(executor, std::move(running),
                   asio::bind_cancellation_slot(slot, std::move(finish)));
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr, Boxed<T>)>(
      std::move(start), asio::use_awaitable);
}

/// Runs @p operation on @p executor, whichever executor awaits it. (`dispatch` does not move an
/// awaitable to another executor.)
template <class T>
boost::asio::awaitable<T> on_executor(boost::asio::any_io_executor executor,
                                      boost::asio::awaitable<T> operation) {
  const boost::asio::any_io_executor here = co_await boost::asio::this_coro::executor;
  if (here == executor) co_return co_await std::move(operation);
  auto result = co_await run_there(executor, std::move(operation));
  if constexpr (!std::is_void_v<T>) co_return std::move(*result);
}

}  // namespace roost::detail
