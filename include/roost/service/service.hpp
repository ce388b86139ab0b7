// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/query.hpp>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/cluster.hpp"
#include "roost/base/error.hpp"
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

/// Owns the manager, heartbeat and backplane binding of an application. The `Service` is attached
/// to an `execution_context`, through which its manager can be found; it starts its parts together
/// and stops them in the right order. Made by `init_websockets`.
///
/// @par Thread safety  `start` and `shutdown` may be awaited from any executor. The rest on the
///                     manager's executor, or while nothing runs it.
/// @par Lifetime       That of the context, which may be destroyed without a shutdown. In that case
///                     nothing is flushed and no hook runs.
template <WebSocketLike Ws>
class Service {
 public:
  /// The type of the manager.
  using Manager = ConnectionManager<Ws>;
  /// Short for `boost::asio::awaitable`.
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// @private For `init_websockets`, with a new manager.
  static Service& attach(boost::asio::execution_context& context,
                         boost::asio::any_io_executor executor, ManagerOptions<Ws> manager,
                         ServiceOptions options);
  /// @private For `init_websockets`, with an existing manager.
  static Service& attach(boost::asio::execution_context& context, Manager& manager,
                         ServiceOptions options);
  /// @private
  explicit Service(std::shared_ptr<detail::Serving<Ws>> serving);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// The manager: one of the service's own, or the one given to `init_websockets`.
  [[nodiscard]] Manager& manager() noexcept;
  /// The heartbeat; null if there is none.
  [[nodiscard]] HeartbeatMonitor<Ws>* heartbeat() noexcept;
  /// Sends to the connections of every replica. Not bound if there is no backplane.
  [[nodiscard]] const Cluster& cluster() const noexcept;

  /// Starts heartbeat and backplane, and waits until both have started. `init_websockets` begins
  /// the same in the background, where errors are logged; here they are thrown.
  /// @par Errors    those of the backplane's `start`.
  /// @par Suspends  until the backplane has started.
  awaitable<void> start();

  /// Drains the manager, then stops heartbeat and backplane, so that connections can still reach
  /// other replicas while they are drained. A shutdown happens once: later calls return its result
  /// too. It goes on if a caller is cancelled. A handler or hook that awaits it is cancelled in
  /// time.
  /// @returns how many connections ended in which way.
  /// @par Suspends  until the shutdown has ended.
  awaitable<DrainReport> shutdown();

  /// Shuts down at the first of these signals. Further signals change nothing: a process that is
  /// told twice to terminate still tells its clients first. As an exception SIGINT has its default
  /// effect again once a shutdown has begun, so that a second Ctrl-C ends the process. The other
  /// signals stay watched until the context is destroyed. Does nothing if a shutdown has begun.
  void shutdown_on_signals(std::initializer_list<int> signals);

 private:
  const std::shared_ptr<detail::Serving<Ws>> serving_;
};

/// Attaches a new manager to @p context, starts its heartbeat, and binds and starts a backplane if
/// the options have one. A backplane that cannot be reached is logged; to get the error, await
/// `Service::start`.
/// @par Errors  `errc::invalid_option`, naming the field; `already_attached`.
template <WebSocketLike Ws, class Context>
Service<Ws>& init_websockets(Context& context, ManagerOptions<Ws> manager = {},
                             ServiceOptions options = {}) {
  return Service<Ws>::attach(context, context.get_executor(), std::move(manager),
                             std::move(options));
}

/// Attaches an existing manager to @p context, for example one on a strand. The manager may be
/// destroyed before the context; after that, `Service::manager` and `get_manager` must not be
/// called.
/// @par Errors  `errc::invalid_option`, naming the field; `already_attached`; `wrong_executor` for
///              a manager of another context.
template <WebSocketLike Ws, class Context>
Service<Ws>& init_websockets(Context& context, ConnectionManager<Ws>& manager,
                             ServiceOptions options = {}) {
  return Service<Ws>::attach(context, manager, std::move(options));
}

/// The manager that is attached to a context.
/// @par Errors  `errc::not_attached`, also if a manager is attached to another context.
template <WebSocketLike Ws>
[[nodiscard]] ConnectionManager<Ws>& get_manager(boost::asio::execution_context& context) {
  return boost::asio::use_service<detail::Attached<Ws>>(context).service().manager();
}
/// The manager that is attached to the context of @p executor. In a coroutine:
/// `get_manager<Ws>(co_await boost::asio::this_coro::executor)`.
/// @par Errors  `errc::not_attached`.
template <WebSocketLike Ws>
[[nodiscard]] ConnectionManager<Ws>& get_manager(const boost::asio::any_io_executor& executor) {
  return get_manager<Ws>(boost::asio::query(executor, boost::asio::execution::context));
}

/// The manager that is attached to a context; null if there is none.
template <WebSocketLike Ws>
[[nodiscard]] ConnectionManager<Ws>* resolve_manager(boost::asio::execution_context& context) {
  if (!boost::asio::has_service<detail::Attached<Ws>>(context)) return nullptr;
  return &get_manager<Ws>(context);
}
/// The manager that is attached to the context of @p executor, for example of a coroutine; null if
/// there is none.
template <WebSocketLike Ws>
[[nodiscard]] ConnectionManager<Ws>* resolve_manager(const boost::asio::any_io_executor& executor) {
  return resolve_manager<Ws>(boost::asio::query(executor, boost::asio::execution::context));
}

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

// NOLINTBEGIN(bugprone-macro-parentheses)

/// Declares or defines what is compiled once per socket type if `ROOST_SEPARATE_COMPILATION` is
/// defined. Use it in namespace `roost`. @p Extern is `extern` in all files that use the socket
/// type, and empty in the one file that compiles it.
#define ROOST_INSTANCES(Extern, Ws)            \
  Extern template class Connection<Ws>;        \
  Extern template class ConnectionManager<Ws>; \
  Extern template class HeartbeatMonitor<Ws>;  \
  Extern template class Service<Ws>;           \
  Extern template Cluster bind_manager<Ws>(BackplaneRef, ConnectionManager<Ws>&, BindOptions)

// NOLINTEND(bugprone-macro-parentheses)
