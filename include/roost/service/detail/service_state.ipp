// SPDX-License-Identifier: MIT
#pragma once

#include "roost/service/detail/service_state.hpp"

namespace roost::detail {

/// The signal sets of a context that no coroutine waits for any more.
class WatchedSignals final : public boost::asio::execution_context::service {
 public:
  using key_type = WatchedSignals;
  static inline boost::asio::execution_context::id id;
  explicit WatchedSignals(boost::asio::execution_context& context)
      : boost::asio::execution_context::service(context) {}

  void add(std::unique_ptr<boost::asio::signal_set> set) {
    const std::lock_guard lock(mutex_);
    sets_.push_back(std::move(set));
  }

 private:
  // Their executors must not outlive the context.
  void shutdown() noexcept override { sets_.clear(); }

  std::mutex mutex_;  // managers on several strands have a set each
  std::vector<std::unique_ptr<boost::asio::signal_set>> sets_;
};

ROOST_WHEN_USED_DEF void keep_watched(std::unique_ptr<boost::asio::signal_set> set) {
  boost::asio::execution_context& context =
      boost::asio::query(set->get_executor(), boost::asio::execution::context);
  boost::asio::use_service<WatchedSignals>(context).add(std::move(set));
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<std::optional<int>> next_signal(
    boost::asio::signal_set& set) {
  boost::system::error_code error;
  const int signal =
      co_await set.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
  if (error) co_return std::nullopt;
  co_return signal;
}

}  // namespace roost::detail
