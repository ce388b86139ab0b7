// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace roost::detail {

/// One object for all who share an executor: made when the first asks, gone with the last.
template <class T>
class PerExecutor final : public boost::asio::execution_context::service {
 public:
  using key_type = PerExecutor;
  static inline boost::asio::execution_context::id id;
  explicit PerExecutor(boost::asio::execution_context& context)
      : boost::asio::execution_context::service(context) {}

  /// From any thread.
  static std::shared_ptr<T> of(const boost::asio::any_io_executor& executor) {
    auto& context = boost::asio::query(executor, boost::asio::execution::context);
    return boost::asio::use_service<PerExecutor>(context).find(executor);
  }

 private:
  std::shared_ptr<T> find(const boost::asio::any_io_executor& executor) {
    const std::lock_guard lock(mutex_);
    std::erase_if(objects_, [](const auto& object) { return object.second.expired(); });
    for (const auto& [owner, weak] : objects_) {
      if (owner != executor) continue;
      if (auto object = weak.lock()) return object;
    }
    auto object = std::make_shared<T>(executor);
    objects_.emplace_back(executor, object);
    return object;
  }
  void shutdown() noexcept override { objects_.clear(); }  // a strand is part of the context

  std::mutex mutex_;  // sockets are made from several threads
  std::vector<std::pair<boost::asio::any_io_executor, std::weak_ptr<T>>> objects_;
};

}  // namespace roost::detail
