// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <exception>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "roost/heartbeat/detail/heartbeat_schedule.hpp"
#include "roost/heartbeat/heartbeat_options.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/lifecycle/dropping.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/manager/registry/registry.hpp"
#include "roost/manager/stats.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/runtime/running.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

/// The state that a `HeartbeatMonitor` shares with its coroutines: it carries out the decisions of
/// the schedule. It owns a reference to the manager's state, not to the manager, and no I/O object,
/// so monitor, manager and context may be destroyed in any order.
template <class Ws>
class Heartbeat final : public std::enable_shared_from_this<Heartbeat<Ws>>,
                        private RegistryObserver<Ws>,
                        private ContextGuard {
  using StatePtr = std::shared_ptr<ManagerState<Ws>>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

 public:
  Heartbeat(StatePtr manager, HeartbeatOptions options)
      : ContextGuard(context_of(*manager)),
        manager_(std::move(manager)),
        executor_(manager_->executor()),
        options_((validate(options), std::move(options))),
        message_(Frame::text(options_.message)),
        schedule_(options_.interval, options_.timeout),
        stalled_before_(manager_->clock().stalled()) {}
  ~Heartbeat() override { stop(); }

  /// Returns the manager's executor; empty once the `io_context` is gone.
  [[nodiscard]] const boost::asio::any_io_executor& executor() const noexcept { return executor_; }
  [[nodiscard]] const HeartbeatOptions& options() const noexcept { return options_; }

  void start() {
    manager_->require_running();
    if (is_running_) return;
    manager_->registry().observe(*this);
    is_running_ = true;
    try {
      for (Connection<Ws>* connection : manager_->registry().everyone()) on_registered(*connection);
    } catch (...) {
      stop();
      throw;
    }
  }

  void stop() noexcept {
    if (!std::exchange(is_running_, false)) return;
    manager_->registry().unobserve(*this);
    for (auto& [connection, entry] : entries_) schedule_.remove(entry);
    entries_.clear();
    changed_.notify_all();
  }

  bool touch(std::string_view id) {
    const ConnectionPtr connection = manager_->registry().find(id);
    if (!connection) return false;
    parts_of(*connection).liveness().note(manager_->now());
    return true;
  }

  [[nodiscard]] bool is_alive(std::string_view id) const {
    const ConnectionPtr connection = manager_->registry().find(id);
    if (!connection) return false;
    const Clock::time_point seen = seen_by_loop(*connection);
    const auto entry = entries_.find(connection.get());
    return entry == entries_.end() ? manager_->now() < seen + options_.timeout
                                   : schedule_.is_alive(entry->second, seen, manager_->now());
  }

  [[nodiscard]] HeartbeatStats stats() const noexcept {
    HeartbeatStats stats = stats_;
    stats.watched = entries_.size();
    stats.late += manager_->clock().stalled() - stalled_before_;
    return stats;
  }

  static boost::asio::awaitable<std::size_t> ping_all(std::shared_ptr<Heartbeat> self) {
    const std::vector<ConnectionPtr> all = self->manager_->registry().all();
    std::size_t sent = 0;
    for (const ConnectionPtr& connection : all) {
      if (self->ping(*connection)) ++sent;
    }
    co_return sent;
  }

  static boost::asio::awaitable<void> stop_there(std::shared_ptr<Heartbeat> self) {
    self->stop();
    co_return;
  }

 private:
  static boost::asio::execution_context& context_of(const ManagerState<Ws>& manager) {
    manager.require_running();
    return boost::asio::query(manager.executor(), boost::asio::execution::context);
  }
  void on_context_destroyed() noexcept override { executor_ = boost::asio::any_io_executor(); }

  struct Entry final : HeartbeatSchedule::Entry {
    explicit Entry(Connection<Ws>& c) : connection(c) {}
    Connection<Ws>& connection;
  };
  static Connection<Ws>& connection_of(const HeartbeatSchedule::Entry& entry) noexcept {
    return static_cast<const Entry&>(entry).connection;
  }

  [[nodiscard]] Clock::time_point seen_by_loop(const Connection<Ws>& connection) const {
    return manager_->clock().from_base(connection.last_activity());
  }

  void on_registered(Connection<Ws>& connection) override {
    const auto [entry, is_new] = entries_.try_emplace(&connection, connection);
    if (!is_new) return;
    schedule_.add(entry->second, manager_->now());
    if (std::exchange(is_beating_, true)) return;
    boost::asio::co_spawn(
        executor_, beat_on(this->shared_from_this()),
        [manager = manager_, running = Running(executor_)](const std::exception_ptr& error) {
          if (!error) return;
          manager->log(Severity::error, "internal_error",
                       {{"in", "heartbeat"}, {"why", describe(error)}});
        });
  }

  void on_unregistered(Connection<Ws>& connection) noexcept override {
    const auto entry = entries_.find(&connection);
    if (entry == entries_.end()) return;
    schedule_.remove(entry->second);
    entries_.erase(entry);
    if (entries_.empty()) changed_.notify_all();
  }

  /// Runs while there are connections, so that a monitor without connections does not keep the
  /// `io_context` running.
  static boost::asio::awaitable<void> beat_on(std::shared_ptr<Heartbeat> self) {
    const ScopedValue beating(self->is_beating_, true);
    while (const auto next = self->schedule_.next_wake()) {
      co_await wait(self->changed_, self->manager_->loop(), *next);
      self->beat();
    }
  }

  void beat() {
    const HeartbeatSchedule::Due due = schedule_.advance(
        manager_->now(), [this](const auto& entry) { return seen_by_loop(connection_of(entry)); });
    stats_.late += due.late_by;
    if (due.late_by >= std::chrono::seconds(1)) {  // shorter stalls are normal under load
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(due.late_by).count();
      manager_->log(Severity::warning, "loop_late", {{"ms", std::to_string(ms)}});
    }
    // Collect first: dropping one connection may end others and remove their entries.
    const std::vector<ConnectionPtr> silent = connections_of(due.drop);
    const std::vector<ConnectionPtr> quiet = connections_of(due.ping);
    for (const ConnectionPtr& connection : silent) {
      drop(*manager_, *connection, {.reason = DisconnectReason::heartbeat_timeout});
    }
    for (const ConnectionPtr& connection : quiet) ping(*connection);
  }

  static std::vector<ConnectionPtr> connections_of(
      const std::vector<HeartbeatSchedule::Entry*>& entries) {
    std::vector<ConnectionPtr> connections;
    connections.reserve(entries.size());
    for (const HeartbeatSchedule::Entry* entry : entries) {
      connections.push_back(connection_of(*entry).shared_from_this());
    }
    return connections;
  }

  /// Sends a ping frame, or the text message if the socket has no ping frames, without waiting.
  OfferResult send_ping(ConnectionParts<Ws>& parts) {
    if constexpr (Pings<Ws>) {
      try {
        parts.socket()->ping(parts.liveness().next_ping(manager_->now()));
      } catch (...) {
        return OfferResult::failed;
      }
      return OfferResult::taken;
    } else {
      std::shared_ptr<Delivery> nobody_waits;
      return parts.offer(message_, false, nobody_waits);
    }
  }

  /// Pings a connection, and drops it if it does not take the ping. @returns whether it took the
  /// ping
  bool ping(Connection<Ws>& connection) {
    if (!connection.is_connected()) return false;
    ConnectionParts<Ws>& parts = parts_of(connection);
    const OfferResult offer = send_ping(parts);
    parts.drop_unless_taken(offer);
    if (offer == OfferResult::taken) ++stats_.pings;
    return offer == OfferResult::taken;
  }

  const StatePtr manager_;
  boost::asio::any_io_executor executor_;
  const HeartbeatOptions options_;
  const Frame message_;
  HeartbeatSchedule schedule_;
  const Clock::duration stalled_before_;
  std::unordered_map<const Connection<Ws>*, Entry> entries_;  // empty while stopped
  WaitList changed_;  // notified when the last entry is gone
  HeartbeatStats stats_;
  bool is_running_ = false;
  bool is_beating_ = false;
};

}  // namespace roost::detail
