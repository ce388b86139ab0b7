// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <memory>
#include <mutex>
#include <vector>

namespace roost::detail {

/// One object for all who share an executor, and what else it is made of, which `is_for` compares:
/// made when the first asks, gone with the last. It has a `get_executor`; none is kept here, for
/// that may be work for its context.
template <class T>
class PerExecutor final : public boost::asio::execution_context::service {
 public:
  using key_type = PerExecutor;
  static inline boost::asio::execution_context::id id;
  explicit PerExecutor(boost::asio::execution_context& context)
      : boost::asio::execution_context::service(context) {}

  /// From any thread.
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

  std::mutex mutex_;  // sockets are made from several threads
  std::vector<std::weak_ptr<T>> objects_;
};

}  // namespace roost::detail
