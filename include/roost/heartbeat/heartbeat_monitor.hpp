// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "roost/heartbeat/heartbeat_options.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/stats.hpp"

namespace roost {

namespace detail {
template <class Ws>
class Heartbeat;
struct MonitorAccess;
}  // namespace detail

/// Finds out which peers are still there: pings every connection of a manager once per interval,
/// and drops those of which nothing was heard for the timeout.
///
/// Pings are spread over the interval, behind one timer, and no peer is ever waited for. They are
/// ping frames where the socket has them, else a text message. Whatever arrives is a sign of life
/// without the application's help, where the socket tells (`last_activity`) or the application
/// receives through the manager. A connection whose message has not been taken yet is not dropped.
///
/// A dropped connection ends with `DisconnectReason::heartbeat_timeout` and code 1006: its
/// transport is aborted, since nobody is there to read a close frame.
///
/// While the event loop does not run, peers cannot be heard: their deadlines and the pings that are
/// due move by as much. A clock that is moved by hand must be moved in steps of a tick (a 128th of
/// the interval, at least 10 ms): a longer step counts as a stall.
///
/// @par Thread safety  `tick` and `stop` may be awaited from any executor. The rest, the
///                     destructor included, on the manager's executor, or while nothing runs it.
/// @par Lifetime       May be destroyed before or after the manager and its `io_context`, also
///                     without `stop`. Without connections it keeps no `io_context` running.
template <WebSocketLike Ws>
class HeartbeatMonitor {
 public:
  /// Short for Asio's.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// Does nothing until `start`.
  /// @par Errors  `errc::invalid_option`, naming the field; `manager_stopped`.
  explicit HeartbeatMonitor(ConnectionManager<Ws>& manager, HeartbeatOptions options = {});
  HeartbeatMonitor(const HeartbeatMonitor&) = delete;
  HeartbeatMonitor& operator=(const HeartbeatMonitor&) = delete;
  ~HeartbeatMonitor();

  /// Those of the constructor.
  [[nodiscard]] const HeartbeatOptions& options() const noexcept;

  /// Watches over all connections of the manager, those that are there and those that come. Each
  /// counts as seen when it connects, or now if that was before. Nothing happens if it has started.
  /// @par Errors  `errc::manager_stopped`.
  void start();

  /// Sends no more pings and drops nobody any more; forgets what it knows. Nothing happens if it
  /// has not started; `start` begins anew.
  /// @par Suspends  only to get to the manager's executor.
  awaitable<void> stop();

  /// Counts as a sign of life: for applications that read from the socket by themselves.
  /// @returns false, and nothing happens, if the id is unknown: what is gone stays gone.
  bool touch(std::string_view id);

  /// Whether there is such a connection, and it was heard of within the timeout. As of `start` for
  /// those that were silent before; a stall of the loop does not count.
  [[nodiscard]] bool is_alive(std::string_view id) const;

  /// Pings every connection now, also while it is stopped; drops none for its silence.
  /// @par Suspends  only to get to the manager's executor: no peer is waited for.
  /// @returns how many pings were sent.
  awaitable<std::size_t> tick();

  /// What was counted so far.
  [[nodiscard]] HeartbeatStats stats() const noexcept;

 private:
  friend struct detail::MonitorAccess;
  const std::shared_ptr<detail::Heartbeat<Ws>> state_;
};

namespace detail {

/// For the parts of roost that outlive a monitor.
struct MonitorAccess {
  template <class Ws>
  static const std::shared_ptr<Heartbeat<Ws>>& state(const HeartbeatMonitor<Ws>& monitor) {
    return monitor.state_;
  }
};

}  // namespace detail

}  // namespace roost

#include "roost/heartbeat/heartbeat_monitor.ipp"
