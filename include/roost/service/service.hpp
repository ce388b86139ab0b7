// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <initializer_list>
#include <memory>
#include <optional>
#include <utility>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/cluster.hpp"
#include "roost/heartbeat/heartbeat_monitor.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/options.hpp"
#include "roost/service/detail/service_state.hpp"
#include "roost/service/service_options.hpp"

namespace roost {

namespace detail {
template <class Ws>
class Serving;
}

/// Manager, heartbeat and backplane of an application, attached to its `execution_context`: found
/// from there, started together, and ended in the right order. Made by `init_websockets`.
///
/// @par Thread safety  `start` and `shutdown` may be awaited from any executor. The rest on the
///                     manager's executor, or while nothing runs it.
/// @par Lifetime       That of the context, which may be destroyed without a shutdown. Then nothing
///                     is flushed and no hook runs.
template <WebSocketLike Ws>
class Service {
 public:
  /// What it is about.
  using Manager = ConnectionManager<Ws>;
  /// Short for Asio's.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// @private For `init_websockets`, with a manager of its own.
  static Service& attach(boost::asio::execution_context& context,
                         boost::asio::any_io_executor executor, ManagerOptions<Ws> manager,
                         ServiceOptions options);
  /// @private The same with one that exists.
  static Service& attach(boost::asio::execution_context& context, Manager& manager,
                         ServiceOptions options);
  /// @private
  explicit Service(std::shared_ptr<detail::Serving<Ws>> serving);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// The manager, its own or the one that it was given.
  [[nodiscard]] Manager& manager() noexcept;
  /// Null without a heartbeat.
  [[nodiscard]] HeartbeatMonitor<Ws>* heartbeat() noexcept;
  /// What reaches the connections of every replica; empty without a backplane.
  [[nodiscard]] const Cluster& cluster() const noexcept;

  /// Starts heartbeat and backplane. `init_websockets` has begun that already: this is for those
  /// who want to wait for it, and to know.
  /// @par Errors  those of the backplane.
  awaitable<void> start();

  /// Drains the manager, then stops heartbeat and backplane: what was under way could still be told
  /// to the other replicas. It happens once: who asks again gets the same result. Like a drain, it
  /// goes on for a caller that gives up; a handler or a hook that awaits it is cancelled in time.
  /// @returns how many connections left how.
  awaitable<DrainReport> shutdown();

  /// Shuts down at the first of these signals. More of them change nothing: also a process that is
  /// told twice to terminate tells its clients first. Only SIGINT has its default effect again once
  /// a shutdown has begun: whoever presses Ctrl-C twice need not wait. The signals stay watched
  /// until the context is destroyed. Called after a shutdown has begun it does nothing.
  void shutdown_on_signals(std::initializer_list<int> signals);

 private:
  const std::shared_ptr<detail::Serving<Ws>> serving_;
};

/// Attaches a new manager to @p context, starts its heartbeat, and binds and starts a backplane if
/// there is one; that it cannot be reached is a log event, see `Service::start`.
/// @par Errors  `errc::invalid_option`, naming the field; `already_attached`.
template <WebSocketLike Ws, class Context>
Service<Ws>& init_websockets(Context& context, ManagerOptions<Ws> manager = {},
                             ServiceOptions options = {}) {
  return Service<Ws>::attach(context, context.get_executor(), std::move(manager),
                             std::move(options));
}

/// The same with a manager that exists: one on a strand, say. It may be destroyed before the
/// context like any other, but `Service::manager` and `get_manager` must not be called then.
/// @par Errors  also `errc::wrong_executor` for a manager of another context.
template <WebSocketLike Ws, class Context>
Service<Ws>& init_websockets(Context& context, ConnectionManager<Ws>& manager,
                             ServiceOptions options = {}) {
  return Service<Ws>::attach(context, manager, std::move(options));
}

/// The manager that is attached to a context.
/// @par Errors  `errc::not_attached`: there is none, and that of another context is no substitute.
template <WebSocketLike Ws>
[[nodiscard]] ConnectionManager<Ws>& get_manager(boost::asio::execution_context& context) {
  return boost::asio::use_service<detail::Attached<Ws>>(context).service().manager();
}
/// The same from inside of a coroutine: `get_manager<Ws>(co_await
/// boost::asio::this_coro::executor)`.
template <WebSocketLike Ws>
[[nodiscard]] ConnectionManager<Ws>& get_manager(const boost::asio::any_io_executor& executor) {
  return get_manager<Ws>(boost::asio::query(executor, boost::asio::execution::context));
}

/// The same; null if there is none.
template <WebSocketLike Ws>
[[nodiscard]] ConnectionManager<Ws>* resolve_manager(boost::asio::execution_context& context) {
  if (!boost::asio::has_service<detail::Attached<Ws>>(context)) return nullptr;
  return &get_manager<Ws>(context);
}
/// The same from inside of a coroutine.
template <WebSocketLike Ws>
[[nodiscard]] ConnectionManager<Ws>* resolve_manager(const boost::asio::any_io_executor& executor) {
  return resolve_manager<Ws>(boost::asio::query(executor, boost::asio::execution::context));
}

}  // namespace roost

#include "roost/service/service.ipp"
