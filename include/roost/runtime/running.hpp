// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <cstddef>
#include <memory>
#include <utility>

namespace roost::detail {

/// Counts one running activity of roost on a context for as long as it lives.
class Running {
 public:
  using Count = std::atomic<std::size_t>;
  using Counter = std::shared_ptr<Count>;

  explicit Running(const boost::asio::any_io_executor& executor) : Running(counter(executor)) {}
  /// @param counter  that of the context, to save looking it up
  explicit Running(Counter counter) : count_(std::move(counter)) {
    count_->fetch_add(1, std::memory_order_relaxed);
  }
  Running(Running&& other) noexcept : count_(std::move(other.count_)) {}
  Running(const Running& other) : count_(other.count_) {
    if (count_) count_->fetch_add(1, std::memory_order_relaxed);
  }
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (count_) count_->fetch_sub(1, std::memory_order_relaxed);
  }

  [[nodiscard]] static std::size_t count(boost::asio::execution_context& context);

  /// The counter of the context of @p executor.
  [[nodiscard]] static Counter counter(const boost::asio::any_io_executor& executor);

 private:
  class Tally;

  static const Counter& of(boost::asio::execution_context& context);

  Counter count_;
};

// The count is shared, because an activity may outlive its context by a moment.
class Running::Tally final : public boost::asio::execution_context::service {
 public:
  using key_type = Tally;
  static inline boost::asio::execution_context::id id;
  explicit Tally(boost::asio::execution_context& context)
      : boost::asio::execution_context::service(context) {}
  const Counter count = std::make_shared<Count>(0);

 private:
  void shutdown() noexcept override {}
};

inline const Running::Counter& Running::of(boost::asio::execution_context& context) {
  return boost::asio::use_service<Tally>(context).count;
}

inline Running::Counter Running::counter(const boost::asio::any_io_executor& executor) {
  return of(boost::asio::query(executor, boost::asio::execution::context));
}

inline std::size_t Running::count(boost::asio::execution_context& context) {
  return of(context)->load(std::memory_order_relaxed);
}

}  // namespace roost::detail

namespace roost {

/// Returns how many activities of roost run on @p context: the coroutines that it started
/// (including the handlers of sessions), the Beast connections whose transport is not closed, and
/// the listeners.
///
/// The count is 0 when the `drain` of the only manager, or `Service::shutdown`, returns: a test can
/// use it to show that nothing is left. A higher count then means hooks or handlers that ignore
/// their cancellation, or sockets that the application keeps.
/// @par Thread safety  Any thread may call this.
[[nodiscard]] inline std::size_t running(boost::asio::execution_context& context) {
  return detail::Running::count(context);
}

}  // namespace roost
