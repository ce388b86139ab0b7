// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// Something of roost that is under way on a context; counted for as long as it lives.
class Running {
 public:
  explicit Running(const boost::asio::any_io_executor& executor);
  Running(Running&& other) noexcept : count_(std::move(other.count_)) {}
  Running(const Running& other) : count_(other.count_) {
    if (count_) count_->fetch_add(1, std::memory_order_relaxed);
  }
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (count_) count_->fetch_sub(1, std::memory_order_relaxed);
  }

  [[nodiscard]] static std::size_t count(boost::asio::execution_context& context);

 private:
  using Count = std::atomic<std::size_t>;

  class Tally;

  static const std::shared_ptr<Count>& of(boost::asio::execution_context& context);

  std::shared_ptr<Count> count_;
};

// Shared, because what is counted may outlive its context by a moment.
class Running::Tally final : public boost::asio::execution_context::service {
 public:
  using key_type = Tally;
  static inline boost::asio::execution_context::id id;
  explicit Tally(boost::asio::execution_context& context)
      : boost::asio::execution_context::service(context) {}
  const std::shared_ptr<Count> count = std::make_shared<Count>(0);

 private:
  void shutdown() noexcept override {}
};

inline const std::shared_ptr<Running::Count>& Running::of(boost::asio::execution_context& context) {
  return boost::asio::use_service<Tally>(context).count;
}

inline Running::Running(const boost::asio::any_io_executor& executor)
    : count_(of(boost::asio::query(executor, boost::asio::execution::context))) {
  count_->fetch_add(1, std::memory_order_relaxed);
}

inline std::size_t Running::count(boost::asio::execution_context& context) {
  return of(context)->load(std::memory_order_relaxed);
}

}  // namespace roost::detail

namespace roost {

/// How much of roost is under way on @p context: coroutines that it started, the handlers of
/// sessions among them, Beast connections whose transport is not closed, listeners. 0 when the
/// `drain` of the only manager, or `Service::shutdown`, returns: the proof that nothing was left
/// behind. More then are hooks or handlers that ignore their cancellation, or sockets that the
/// application keeps.
/// @par Thread safety  From any thread.
[[nodiscard]] inline std::size_t running(boost::asio::execution_context& context) {
  return detail::Running::count(context);
}

}  // namespace roost
