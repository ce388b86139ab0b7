// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/error.hpp"
#include "roost/service/detail/service_state.hpp"
#include "roost/service/service.hpp"

namespace roost {

template <WebSocketLike Ws>
auto Service<Ws>::attach(boost::asio::execution_context& context,
                         boost::asio::any_io_executor executor, ManagerOptions<Ws> manager,
                         ServiceOptions options) -> Service& {
  return detail::attach<Ws>(context, [&] {
    auto own = std::make_unique<Manager>(std::move(executor), std::move(manager));
    return std::make_shared<detail::Serving<Ws>>(std::move(own), std::move(options));
  });
}

template <WebSocketLike Ws>
auto Service<Ws>::attach(boost::asio::execution_context& context, Manager& manager,
                         ServiceOptions options) -> Service& {
  const boost::asio::execution_context& own =
      boost::asio::query(manager.get_executor(), boost::asio::execution::context);
  if (&own != &context) {
    throw Error(errc::wrong_executor, "the manager belongs to another context");
  }
  return detail::attach<Ws>(
      context, [&] { return std::make_shared<detail::Serving<Ws>>(manager, std::move(options)); });
}

template <WebSocketLike Ws>
Service<Ws>::Service(std::shared_ptr<detail::Serving<Ws>> serving) : serving_(std::move(serving)) {
  serving_->begin();
}

template <WebSocketLike Ws>
auto Service<Ws>::manager() noexcept -> Manager& {
  return serving_->manager();
}

template <WebSocketLike Ws>
HeartbeatMonitor<Ws>* Service<Ws>::heartbeat() noexcept {
  return serving_->heartbeat();
}

template <WebSocketLike Ws>
const Cluster& Service<Ws>::cluster() const noexcept {
  return serving_->cluster();
}

template <WebSocketLike Ws>
auto Service<Ws>::start() -> awaitable<void> {
  return detail::Serving<Ws>::start(serving_);
}

template <WebSocketLike Ws>
auto Service<Ws>::shutdown() -> awaitable<DrainReport> {
  return detail::Serving<Ws>::shutdown(serving_);
}

template <WebSocketLike Ws>
void Service<Ws>::shutdown_on_signals(std::initializer_list<int> signals) {
  serving_->watch_signals(signals);
}

}  // namespace roost
