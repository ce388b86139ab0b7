// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/query.hpp>

#include "roost/manager/connection.hpp"
#include "roost/manager/history/recoveries.hpp"
#include "roost/manager/lifecycle/gate.hpp"
#include "roost/manager/registry/registry.hpp"
#include "roost/manager/sending/frame_memory.hpp"
#include "roost/manager/sending/slow_peers.hpp"
#include "roost/manager/stats.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

template <class Ws>
class ManagerState;

template <class Ws>
using Unregistered = std::pair<std::shared_ptr<Connection<Ws>>, std::shared_ptr<Ws>>;
// See `lifecycle/dropping.hpp`.
template <class Ws>
std::vector<Unregistered<Ws>> unregister_all(ManagerState<Ws>& state);

/// The state that a manager shares with its coroutines: its parts and its counters.
template <class Ws>
class ManagerState final : public std::enable_shared_from_this<ManagerState<Ws>>,
                           private ContextGuard,
                           private LateListener {
 public:
  ManagerState(boost::asio::any_io_executor executor, ManagerOptions<Ws> options)
      : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)),
        clock_((validate(options), LoopClock::of(executor, *options.clock))),
        loop_{std::move(executor), *clock_},
        options_(on_loop(std::move(options), *clock_)) {}

  /// Must be called once a `shared_ptr` owns this.
  void begin() { clock_->listen(std::shared_ptr<LateListener>(this->shared_from_this(), this)); }

  /// Returns executor and clock; the executor is empty once the context is gone.
  [[nodiscard]] const Loop& loop() const noexcept { return loop_; }
  [[nodiscard]] const boost::asio::any_io_executor& executor() const noexcept {
    return loop_.executor;
  }
  /// Returns the options; their clock is the loop's.
  [[nodiscard]] const ManagerOptions<Ws>& options() const noexcept { return options_; }
  [[nodiscard]] Clock::time_point now() const noexcept { return clock_->now(); }
  [[nodiscard]] const LoopClock& clock() const noexcept { return *clock_; }
  /// Returns the time of the application's clock, which does not stop while the loop stalls.
  [[nodiscard]] Clock::time_point shown_now() const noexcept { return clock_->to_base(now()); }
  [[nodiscard]] FrameMemory& frame_memory() noexcept { return frame_memory_; }
  /// Returns the connections whose peers do not keep up.
  [[nodiscard]] SlowPeers<Ws>& slow_peers() noexcept { return slow_peers_; }
  [[nodiscard]] bool is_stopped() const noexcept { return is_stopped_; }
  void require_running() const {
    if (is_stopped_) throw Error(errc::manager_stopped);
  }
  /// Returns the gate, which the listeners share.
  [[nodiscard]] const std::shared_ptr<Gate>& gate() const noexcept { return gate_; }
  [[nodiscard]] Hooks<Ws>& hooks() noexcept { return hooks_; }
  [[nodiscard]] PendingJoins& pending_joins() noexcept { return pending_joins_; }

  void log(Severity severity, std::string_view event,
           std::initializer_list<LogField> fields = {}) const noexcept {
    detail::log(options_.logger, severity, event, fields);
  }

  /// Logs an event that peers can cause at will, at most once a second for each kind.
  void log_limited(Severity severity, std::string_view event,
                   std::initializer_list<LogField> fields = {}) noexcept {
    log_throttled(options_.logger, throttle_, now(), severity, event, fields);
  }

  [[nodiscard]] Registry<Ws>& registry() noexcept { return registry_; }
  /// Returns the part that recovers missed messages in rooms with a history.
  [[nodiscard]] Recoveries<Ws>& recoveries() noexcept { return recoveries_; }
  [[nodiscard]] const Recoveries<Ws>& recoveries() const noexcept { return recoveries_; }
  [[nodiscard]] RoomIndex& rooms() noexcept { return registry_.rooms(); }

  /// Runs a coroutine in the background; an exception that it throws is logged.
  void spawn(std::string_view what, boost::asio::awaitable<void> coroutine) {
    tasks_.spawn(
        executor(), std::move(coroutine),
        [self = this->shared_from_this(), what](const std::exception_ptr& error) {
          self->log(Severity::error, "internal_error", {{"in", what}, {"why", describe(error)}});
        });
  }
  /// Returns the background coroutines: they close sockets, run hooks, and wait for handlers of
  /// connections that have ended. If they are cancelled they end immediately.
  [[nodiscard]] TaskGroup& tasks() noexcept { return tasks_; }

  /// Returns whether no coroutine of the manager, its listeners or its hooks runs.
  [[nodiscard]] bool is_idle() const noexcept {
    return tasks_.size() + gate_->visits().size() == 0 && hooks_.calls().empty();
  }
  /// Cancels all coroutines of the manager, its listeners and its hooks, without waiting for them.
  /// One that ends may start others (the refusal of a client, the next hook), which must be
  /// cancelled again.
  void cancel_all() {
    tasks_.cancel(executor());
    hooks_.calls().cancel();
    gate_->cut_off(executor());
  }

  /// Returns the current or last drain.
  [[nodiscard]] std::shared_ptr<Child<DrainReport>>& drain() noexcept { return drain_; }

  /// Called when the manager is destroyed: unregisters and aborts all connections and cancels all
  /// coroutines, without waiting for them. No further hook begins.
  void stop() noexcept {
    is_stopped_ = true;
    for (const auto& [connection, socket] : unregister_all(*this)) {
      if_able::abort(*socket);
      if (const auto& handler = parts_of(*connection).handler) handler->cancel();
    }
    if (!executor()) return;  // the context is gone, and with it everything that ran
    cancel_all();
  }

  // --- counting ---

  /// Holds a place for a connection that is being admitted.
  class Reservation {
   public:
    explicit Reservation(ManagerState& state) : state_(state.shared_from_this()) {
      ++state.reserved_;
    }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;
    ~Reservation() { --state_->reserved_; }

   private:
    std::shared_ptr<ManagerState> state_;
  };
  [[nodiscard]] bool is_full() const noexcept {
    return options_.max_connections &&
           registry_.everyone().size() + reserved_ >= *options_.max_connections;
  }
  /// Returns the counters of `stats` for changes.
  [[nodiscard]] Stats& counters() noexcept { return stats_; }
  void count(const Queueing& queueing) noexcept {
    stats_.dropped += queueing.displaced;
    if (queueing.result == Queueing::Result::dropped) ++stats_.dropped;
    if (queueing.result == Queueing::Result::conflated) ++stats_.conflated;
  }
  void count_broadcast(std::size_t recipients) noexcept {
    ++stats_.broadcasts;
    stats_.deliveries += recipients;
  }
  [[nodiscard]] Stats stats() const {
    Stats now = stats_;
    now.connections = registry_.everyone().size();
    now.rooms = registry_.rooms().size();
    now.queued_bytes = frame_memory_.total().bytes;
    now.outbox_memory = frame_memory_.bytes();
    now.blocked = slow_peers_.size();
    const TurnedAway& turned_away = gate_->turned_away();
    now.refused_by_key = turned_away.by_key;
    now.handshakes_evicted = turned_away.evicted;
    now.handshakes_timed_out = turned_away.timed_out;
    now.requests_refused = turned_away.malformed;
    return now;
  }

 private:
  static ManagerOptions<Ws> on_loop(ManagerOptions<Ws> options, LoopClock& clock) {
    options.clock = &clock;
    return options;
  }

  void on_late(Clock::duration by) noexcept override {
    if (is_stopped_) return;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(by).count();
    log(Severity::warning, "loop_late", {{"ms", std::to_string(ms)}});
  }

  // Sockets and strands must be released while their context still exists.
  void on_context_destroyed() noexcept override {
    is_stopped_ = true;
    unregister_all(*this);
    drain_.reset();
    loop_.executor = boost::asio::any_io_executor();
  }

  const std::shared_ptr<LoopClock> clock_;
  Loop loop_;
  const ManagerOptions<Ws> options_;

  Registry<Ws> registry_;
  Hooks<Ws> hooks_;
  PendingJoins pending_joins_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  FrameMemory frame_memory_;
  SlowPeers<Ws> slow_peers_{*this};
  Recoveries<Ws> recoveries_{*this};

  bool is_stopped_ = false;
  TaskGroup tasks_;
  std::shared_ptr<Child<DrainReport>> drain_;
  std::size_t reserved_ = 0;
  LogThrottle throttle_;
  Stats stats_;
};

}  // namespace roost::detail
