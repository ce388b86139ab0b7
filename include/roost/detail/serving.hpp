// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "roost/cluster.hpp"
#include "roost/connection_manager.hpp"
#include "roost/detail/describe.hpp"
#include "roost/detail/on_executor.hpp"
#include "roost/detail/running.hpp"
#include "roost/error.hpp"
#include "roost/heartbeat_monitor.hpp"
#include "roost/log.hpp"
#include "roost/service_options.hpp"

namespace roost::detail {

/// What a `Service` shares with its coroutines.
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
      : manager_(manager), options_((validate(options.drain), std::move(options))) {
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

  /// Starts what can be started at once, and the rest in the background.
  void begin() {
    if (heartbeat_) heartbeat_->start();
    if (owns_backplane()) spawn("backplane_start_failed", options_.backplane.start());
  }

  static boost::asio::awaitable<void> start(Self self) {
    if (self->owns_backplane()) co_await self->options_.backplane.start();
    const auto executor = self->manager_.get_executor();
    co_await on_executor(executor, start_heartbeat(self));
  }

  static boost::asio::awaitable<DrainReport> shutdown(Self self) {
    const auto executor = self->manager_.get_executor();
    return on_executor(executor, run_shutdown(std::move(self)));
  }

  void watch_signals(std::initializer_list<int> signals) {
    if (signals_) {
      for (const int signal : signals) signals_->add(signal);
      return;
    }
    auto set = std::make_unique<boost::asio::signal_set>(manager_.get_executor());
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

  static boost::asio::awaitable<DrainReport> run_shutdown(Self self) {
    if (self->signals_) self->signals_->cancel();
    const DrainReport report = co_await self->manager_.drain(self->options_.drain);
    if (self->heartbeat_) co_await self->heartbeat_->stop();
    self->cluster_.unbind();
    if (self->owns_backplane()) co_await self->options_.backplane.stop();
    co_return report;
  }

  static boost::asio::awaitable<void> shut_down_at_signal(
      Self self, std::unique_ptr<boost::asio::signal_set> set) {
    const SignalsInUse in_use(self->signals_);
    boost::system::error_code error;
    const int signal =
        co_await set->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
    if (error) co_return;  // shut down already
    set->clear();
    self->log(Severity::info, "signal", {{"number", std::to_string(signal)}});
    co_await run_shutdown(self);
  }

  // The set is owned by its coroutine, and goes with the context.
  class SignalsInUse {
   public:
    explicit SignalsInUse(boost::asio::signal_set*& place) noexcept : place_(place) {}
    SignalsInUse(const SignalsInUse&) = delete;
    SignalsInUse& operator=(const SignalsInUse&) = delete;
    ~SignalsInUse() { place_ = nullptr; }

   private:
    boost::asio::signal_set*& place_;
  };

  void spawn(std::string_view failure, boost::asio::awaitable<void> coroutine) {
    const auto executor = manager_.get_executor();
    boost::asio::co_spawn(executor, std::move(coroutine),
                          [self = this->shared_from_this(), failure,
                           running = Running(executor)](const std::exception_ptr& error) {
                            if (!error) return;
                            self->log(Severity::error, failure, {{"why", describe(error)}});
                          });
  }
  void log(Severity severity, std::string_view event,
           std::initializer_list<LogField> fields) const noexcept {
    detail::log(manager_.options().logger, severity, event, fields);
  }

  std::unique_ptr<Manager> owned_;
  Manager& manager_;
  const ServiceOptions options_;
  std::optional<HeartbeatMonitor<Ws>> heartbeat_;
  Cluster cluster_;
  boost::asio::signal_set* signals_ = nullptr;
};

}  // namespace roost::detail
