// SPDX-License-Identifier: MIT
#pragma once

#include "roost/heartbeat/detail/heartbeat_state.hpp"
#include "roost/heartbeat/heartbeat_monitor.hpp"
#include "roost/manager/connection_manager.ipp"
#include "roost/runtime/detail/executor.hpp"

namespace roost {

namespace detail {

/// Runs @p operation where the manager lives.
template <class Ws, class T>
boost::asio::awaitable<T> there(const std::shared_ptr<Heartbeat<Ws>>& state,
                                boost::asio::awaitable<T> operation) {
  // Without an executor the `io_context` is gone, and with it all that could happen meanwhile.
  const auto& executor = state->executor();
  return executor ? on_executor(executor, std::move(operation)) : std::move(operation);
}

}  // namespace detail

template <WebSocketLike Ws>
HeartbeatMonitor<Ws>::HeartbeatMonitor(ConnectionManager<Ws>& manager, HeartbeatOptions options)
    : state_(std::make_shared<detail::Heartbeat<Ws>>(detail::ManagerAccess::state(manager),
                                                     std::move(options))) {}

template <WebSocketLike Ws>
HeartbeatMonitor<Ws>::~HeartbeatMonitor() {
  state_->stop();
}

template <WebSocketLike Ws>
const HeartbeatOptions& HeartbeatMonitor<Ws>::options() const noexcept {
  return state_->options();
}

template <WebSocketLike Ws>
void HeartbeatMonitor<Ws>::start() {
  state_->start();
}

template <WebSocketLike Ws>
auto HeartbeatMonitor<Ws>::stop() -> awaitable<void> {
  return detail::there(state_, detail::Heartbeat<Ws>::stop_there(state_));
}

template <WebSocketLike Ws>
bool HeartbeatMonitor<Ws>::touch(std::string_view id) {
  return state_->touch(id);
}

template <WebSocketLike Ws>
bool HeartbeatMonitor<Ws>::is_alive(std::string_view id) const {
  return state_->is_alive(id);
}

template <WebSocketLike Ws>
auto HeartbeatMonitor<Ws>::tick() -> awaitable<std::size_t> {
  return detail::there(state_, detail::Heartbeat<Ws>::ping_all(state_));
}

template <WebSocketLike Ws>
HeartbeatStats HeartbeatMonitor<Ws>::stats() const noexcept {
  return state_->stats();
}

}  // namespace roost
