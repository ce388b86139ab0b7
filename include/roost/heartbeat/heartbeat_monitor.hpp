// SPDX-License-Identifier: MIT
#pragma once

#include "roost/heartbeat/detail/heartbeat_state.hpp"
#include "roost/heartbeat/heartbeat_options.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/connection_manager.ipp"
#include "roost/manager/stats.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost {

namespace detail {
template <class Ws>
class Heartbeat;
struct MonitorAccess;
}  // namespace detail

/// Detects dead peers: pings every connection of a manager once per interval, and drops a
/// connection from which nothing was heard for the timeout.
///
/// One timer spreads the pings over the interval, and sending a ping never waits for a peer. Pings
/// are ping frames if the socket has them, else a text message. Everything that arrives counts as a
/// sign of life, provided that the socket reports it (`last_activity`) or the application receives
/// through the manager. A connection is not dropped while a message from its peer waits to be
/// received.
///
/// A dropped connection ends with `DisconnectReason::heartbeat_timeout` and code 1006. Its
/// transport is aborted without a close frame, because the peer would not read one.
///
/// While the event loop does not run, peers cannot be heard, so their deadlines and pings are
/// postponed by that time. Advance a `testing::ManualClock` in steps of at most one tick (a 128th
/// of the interval, at least 10 ms): a longer step counts as a stall.
///
/// @par Thread safety  `tick` and `stop` may be awaited on any executor. Call all other members,
///                     including the destructor, on the manager's executor or while nothing runs
///                     it.
/// @par Lifetime       The monitor may be destroyed before or after the manager and its
///                     `io_context`, also without `stop`. Without connections it does not keep the
///                     `io_context` running.
template <WebSocketLike Ws>
class HeartbeatMonitor {
 public:
  /// Short for `boost::asio::awaitable`.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// Makes a monitor that does nothing until `start`.
  /// @par Errors  `errc::invalid_option`, naming the field; `manager_stopped`.
  explicit HeartbeatMonitor(ConnectionManager<Ws>& manager, HeartbeatOptions options = {});
  HeartbeatMonitor(const HeartbeatMonitor&) = delete;
  HeartbeatMonitor& operator=(const HeartbeatMonitor&) = delete;
  ~HeartbeatMonitor();

  /// Returns the options that were passed to the constructor.
  [[nodiscard]] const HeartbeatOptions& options() const noexcept;

  /// Starts to watch all connections of the manager, present and future. A present connection
  /// counts as heard from now, a future one when it connects. Does nothing if the monitor has
  /// started.
  /// @par Errors  `errc::manager_stopped`.
  void start();

  /// Stops pinging and dropping connections, and forgets when they were heard from. Does nothing if
  /// the monitor is not started. `start` may be called again.
  /// @par Suspends  Only to switch to the manager's executor.
  awaitable<void> stop();

  /// Records a sign of life, for applications that read from the socket themselves.
  /// @returns false if no connection has this id; then it does nothing
  bool touch(std::string_view id);

  /// Returns whether a connection has this id and was heard from within the timeout. Silence before
  /// `start` and stalls of the loop do not count.
  [[nodiscard]] bool is_alive(std::string_view id) const;

  /// Pings every connection now, also while the monitor is stopped. Does not drop silent
  /// connections.
  /// @par Suspends  Only to switch to the manager's executor; it does not wait for any peer.
  /// @returns how many pings were sent.
  awaitable<std::size_t> tick();

  /// Returns the counters and gauges of this monitor.
  [[nodiscard]] HeartbeatStats stats() const noexcept;

 private:
  friend struct detail::MonitorAccess;
  const std::shared_ptr<detail::Heartbeat<Ws>> state_;
};

namespace detail {

/// Gives other parts of roost access to the state, which they may keep longer than the monitor.
struct MonitorAccess {
  template <class Ws>
  static const std::shared_ptr<Heartbeat<Ws>>& state(const HeartbeatMonitor<Ws>& monitor) {
    return monitor.state_;
  }
};

}  // namespace detail

namespace detail {

/// Runs @p operation on the manager's executor.
template <class Ws, class T>
boost::asio::awaitable<T> there(const std::shared_ptr<Heartbeat<Ws>>& state,
                                boost::asio::awaitable<T> operation) {
  // Without an executor the `io_context` is gone, and with it everything that could run meanwhile.
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
