// SPDX-License-Identifier: MIT
#pragma once

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
#include <mutex>
#include <optional>
#include <type_traits>
#include <variant>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/runtime/running.hpp"

namespace roost::detail {

/// Assigns a value to a variable, and resets the variable to `T{}` when this is destroyed.
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

// A result that crosses executors must be default-constructible.
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

/// Spawns @p operation on @p executor and completes on the caller's executor.
///
/// Does what `co_spawn(executor, operation, use_awaitable)` does, but is safe to cancel: Boost 1.81
/// forwards the cancellation with a pointer to the caller's state, which may be gone when it
/// arrives.
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
      running.reset();  // before the caller resumes: it may read the count immediately
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

/// Runs @p operation on @p executor, and resumes on the executor of the coroutine that awaits it.
/// (`dispatch` does not move an awaitable to another executor.)
template <class T>
boost::asio::awaitable<T> on_executor(boost::asio::any_io_executor executor,
                                      boost::asio::awaitable<T> operation) {
  const boost::asio::any_io_executor here = co_await boost::asio::this_coro::executor;
  if (here == executor) co_return co_await std::move(operation);
  auto result = co_await run_there(executor, std::move(operation));
  if constexpr (!std::is_void_v<T>) co_return std::move(*result);
}

/// The base of objects that must release their sockets before their `io_context` is destroyed:
/// `on_context_destroyed` is called when the destruction begins.
class ContextGuard {
 public:
  explicit ContextGuard(boost::asio::execution_context& context);
  ContextGuard(const ContextGuard&) = delete;
  ContextGuard& operator=(const ContextGuard&) = delete;

 protected:
  virtual ~ContextGuard();

  void leave_context() noexcept;

 private:
  virtual void on_context_destroyed() noexcept = 0;

  class Service;
  Service* service_;
};

/// Keeps one shared `T` per executor and constructor arguments, which `T::is_for` compares. The
/// first caller makes the object; it is destroyed with its last owner. `T` must have a
/// `get_executor`. No executor is stored here, because an executor can count as outstanding work of
/// its context.
template <class T>
class PerExecutor final : public boost::asio::execution_context::service {
 public:
  using key_type = PerExecutor;
  static inline boost::asio::execution_context::id id;
  explicit PerExecutor(boost::asio::execution_context& context)
      : boost::asio::execution_context::service(context) {}

  /// Returns the object of @p executor, and makes it if there is none. Any thread may call this.
  template <class... Args>
  static std::shared_ptr<T> of(const boost::asio::any_io_executor& executor, Args&... args) {
    auto& context = boost::asio::query(executor, boost::asio::execution::context);
    return boost::asio::use_service<PerExecutor>(context).find(executor, args...);
  }

 private:
  template <class... Args>
  std::shared_ptr<T> find(const boost::asio::any_io_executor& executor, Args&... args) {
    const std::lock_guard lock(mutex_);
    std::erase_if(objects_, [](const auto& object) { return object.expired(); });
    for (const auto& weak : objects_) {
      auto object = weak.lock();
      if (object && object->get_executor() == executor && is_for(*object, args...)) return object;
    }
    auto object = std::make_shared<T>(executor, args...);
    objects_.push_back(object);
    return object;
  }
  template <class... Args>
  static bool is_for(const T& object, Args&... args) {
    if constexpr (sizeof...(args) == 0) {
      return true;
    } else {
      return object.is_for(args...);
    }
  }
  void shutdown() noexcept override {}

  std::mutex mutex_;  // sockets are made on several threads
  std::vector<std::weak_ptr<T>> objects_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/executor.ipp"
#endif
