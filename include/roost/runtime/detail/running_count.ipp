// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/query.hpp>

#include "roost/runtime/detail/running_count.hpp"

namespace roost::detail {

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

ROOST_DECL const std::shared_ptr<Running::Count>& Running::of(
    boost::asio::execution_context& context) {
  return boost::asio::use_service<Tally>(context).count;
}

ROOST_DECL Running::Running(const boost::asio::any_io_executor& executor)
    : count_(of(boost::asio::query(executor, boost::asio::execution::context))) {
  count_->fetch_add(1, std::memory_order_relaxed);
}

ROOST_DECL std::size_t Running::count(boost::asio::execution_context& context) {
  return of(context)->load(std::memory_order_relaxed);
}

}  // namespace roost::detail
