// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
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

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/running_count.ipp"
#endif
