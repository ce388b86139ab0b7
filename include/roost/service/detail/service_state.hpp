// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/system/error_code.hpp>
#include <csignal>
#include <exception>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "roost/backplane/cluster.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/error.hpp"
#include "roost/base/log.hpp"
#include "roost/base/text/text.hpp"
#include "roost/heartbeat/heartbeat_monitor.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/lifecycle/drain.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/service/service_options.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// Waits for the next signal of @p set; nullopt if the set is cancelled.
ROOST_WHEN_USED boost::asio::awaitable<std::optional<int>> next_signal(
    boost::asio::signal_set& set);

/// Keeps suppressing the default effect of the signals in @p set, without waiting for them, until
/// the context is destroyed. On the executor of @p set.
ROOST_WHEN_USED void keep_watched(std::unique_ptr<boost::asio::signal_set> set);

/// The state that a `Service` shares with its coroutines.
template <class Ws>
class Serving : public std::enable_shared_from_this<Serving<Ws>> {
  using Manager = ConnectionManager<Ws>;
  using Self = std::shared_ptr<Serving>;

 public:
  Serving(std::unique_ptr<Manager> manager, ServiceOptions options)
      : Serving(*manager, std::move(options)) {
    owned_ = std::move(manager);
  }
  Serving(Manager& manager, ServiceOptions options)
      : manager_(manager),
        state_(ManagerAccess::state(manager)),
        options_((validate(options.drain), std::move(options))) {
    if (options_.heartbeat) heartbeat_.emplace(manager, *options_.heartbeat);
    if (options_.backplane) {
      cluster_ = bind_manager(options_.backplane, manager,
                              {.allow_global = options_.allow_global_broadcast});
    }
  }

  [[nodiscard]] Manager& manager() noexcept { return manager_; }
  [[nodiscard]] HeartbeatMonitor<Ws>* heartbeat() noexcept {
    return heartbeat_ ? &*heartbeat_ : nullptr;
  }
  [[nodiscard]] const Cluster& cluster() const noexcept { return cluster_; }

  /// Starts the heartbeat, and the backplane in the background.
  void begin() {
    if (heartbeat_) heartbeat_->start();
    if (owns_backplane()) spawn("backplane_start_failed", options_.backplane.start_anyway());
  }

  static boost::asio::awaitable<void> start(Self self) {
    if (self->owns_backplane()) co_await self->options_.backplane.start();
    co_await on_executor(self->state_->executor(), start_heartbeat(self));
  }

  static boost::asio::awaitable<DrainReport> shutdown(Self self) {
    const auto executor = self->state_->executor();
    return on_executor(executor, await_shutdown(std::move(self)));
  }

  void watch_signals(std::initializer_list<int> signals) {
    if (shutdown_) return;  // the shutdown has begun already
    if (signals_) {
      for (const int signal : signals) signals_->add(signal);
      return;
    }
    auto set = std::make_unique<boost::asio::signal_set>(state_->executor());
    for (const int signal : signals) set->add(signal);
    signals_ = set.get();
    spawn("shutdown_failed", shut_down_at_signal(this->shared_from_this(), std::move(set)));
  }

 private:
  [[nodiscard]] bool owns_backplane() const noexcept {
    return options_.backplane && options_.start_backplane;
  }

  static boost::asio::awaitable<void> start_heartbeat(Self self) {
    if (self->heartbeat_) self->heartbeat_->start();
    co_return;
  }

  /// Begins the shutdown, once. All callers get its result.
  void begin_shutdown() {
    if (shutdown_) return;
    boost::system::error_code ignored;
    if (signals_) signals_->remove(SIGINT, ignored);  // a second Ctrl-C ends the process
    shutdown_ =
        Child<DrainReport>::start(state_->executor(), run_shutdown(this->shared_from_this()));
  }
  static boost::asio::awaitable<DrainReport> await_shutdown(Self self) {
    self->begin_shutdown();
    co_return co_await result_of(self->shutdown_, self->state_->loop());
  }

  static boost::asio::awaitable<DrainReport> run_shutdown(Self self) {
    co_await next_turn();  // so that `shutdown_` is set before anybody else asks
    DrainReport report;
    std::exception_ptr failure;
    try {
      report = co_await Drain<Ws>::await_drain(self->state_, self->options_.drain);
    } catch (...) {
      failure = std::current_exception();
      self->log_failure("drain_failed", failure);
    }
    if (self->heartbeat_) co_await self->heartbeat_->stop();
    self->cluster_.unbind();
    try {
      if (self->owns_backplane()) co_await self->options_.backplane.stop();
    } catch (...) {
      self->log_failure("backplane_stop_failed", std::current_exception());
    }
    self->tasks_.cancel(self->state_->executor());
    constexpr int patience = 16;
    for (int turn = 0; turn < patience && self->tasks_.size() > 0; ++turn) {
      co_await next_turn();
    }
    if (failure) std::rethrow_exception(failure);
    co_return report;
  }

  /// Shuts down at the first signal. The signals stay watched to the end: a process may be told to
  /// terminate more than once, and its clients are still to be told.
  static boost::asio::awaitable<void> shut_down_at_signal(
      Self self, std::unique_ptr<boost::asio::signal_set> set) {
    {
      const ScopedValue in_use(self->signals_, set.get());  // the context may destroy it
      std::optional<int> signal = co_await next_signal(*set);
      while (signal) {
        self->state_->log(Severity::info, "signal", {{"number", std::to_string(*signal)}});
        self->begin_shutdown();
        signal = co_await next_signal(*set);
      }
    }
    keep_watched(std::move(set));
  }

  void spawn(std::string_view failure, boost::asio::awaitable<void> coroutine) {
    tasks_.spawn(state_->executor(), std::move(coroutine),
                 [self = this->shared_from_this(), failure](const std::exception_ptr& error) {
                   self->log_failure(failure, error);
                 });
  }
  void log_failure(std::string_view event, const std::exception_ptr& error) const noexcept {
    state_->log(Severity::error, event, {{"why", describe(error)}});
  }

  std::unique_ptr<Manager> owned_;
  Manager& manager_;  // a manager that was handed in may be gone; `state_` is not
  const std::shared_ptr<ManagerState<Ws>> state_;
  const ServiceOptions options_;
  std::optional<HeartbeatMonitor<Ws>> heartbeat_;
  Cluster cluster_;
  TaskGroup tasks_;
  std::shared_ptr<Child<DrainReport>> shutdown_;
  boost::asio::signal_set* signals_ = nullptr;
};

}  // namespace roost::detail

namespace roost {

template <WebSocketLike Ws>
class Service;

namespace detail {

/// Makes a `Service` a service of Asio, for the life of its context.
template <class Ws>
class Attached final : public boost::asio::execution_context::service {
 public:
  using key_type = Attached;
  static inline boost::asio::execution_context::id id;

  /// Called by Asio for a context without a `Service`: throws `errc::not_attached`.
  explicit Attached(boost::asio::execution_context& context)
      : boost::asio::execution_context::service(context) {
    throw Error(errc::not_attached, "init_websockets was not called for this context");
  }
  Attached(boost::asio::execution_context& context, std::shared_ptr<Serving<Ws>> serving)
      : boost::asio::execution_context::service(context),
        service_(std::make_unique<Service<Ws>>(std::move(serving))) {}

  [[nodiscard]] Service<Ws>& service() noexcept { return *service_; }

 private:
  // Manager and monitor release the context by themselves.
  void shutdown() noexcept override {}

  const std::unique_ptr<Service<Ws>> service_;
};

template <class Ws, class Make>
Service<Ws>& attach(boost::asio::execution_context& context, Make make) {
  if (boost::asio::has_service<Attached<Ws>>(context)) {
    throw Error(errc::already_attached, "init_websockets was called before for this context");
  }
  return boost::asio::make_service<Attached<Ws>>(context, make()).service();
}

}  // namespace detail
}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/service/detail/service_state.ipp"
#endif
