// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/query.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "roost/base/logging/log_throttle.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/connection.hpp"
#include "roost/manager/lifecycle/closing.hpp"
#include "roost/manager/lifecycle/gate.hpp"
#include "roost/manager/lifecycle/hooks.hpp"
#include "roost/manager/lifecycle/pending_joins.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/registry/registry_observer.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/manager/sending/congestion.hpp"
#include "roost/manager/sending/frame_memory.hpp"
#include "roost/manager/stats.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/loop.hpp"
#include "roost/runtime/detail/loop_clock.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

struct Binding;

/// What a manager shares with its coroutines: the registry of connections and rooms, and the way
/// out of it.
template <class Ws>
class ManagerState final : public std::enable_shared_from_this<ManagerState<Ws>>,
                           private ContextGuard,
                           private LateListener {
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

 public:
  /// Of coroutines that are no functions of their own. Named here to be looked up late: what it
  /// needs of Asio is compiled where a session is.
  using Waiter = TimedWaiter;

  ManagerState(boost::asio::any_io_executor executor, ManagerOptions<Ws> options)
      : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)),
        clock_((validate(options), LoopClock::of(executor, *options.clock))),
        loop_{std::move(executor), *clock_},
        options_(on_loop(std::move(options), *clock_)) {}

  /// To be called when it is owned.
  void begin() { clock_->listen(std::shared_ptr<LateListener>(this->shared_from_this(), this)); }

  /// Its executor is none once the context is gone.
  [[nodiscard]] const Loop& loop() const noexcept { return loop_; }
  [[nodiscard]] const boost::asio::any_io_executor& executor() const noexcept {
    return loop_.executor;
  }
  /// Their clock is that of the loop.
  [[nodiscard]] const ManagerOptions<Ws>& options() const noexcept { return options_; }
  [[nodiscard]] Clock::time_point now() const noexcept { return clock_->now(); }
  [[nodiscard]] const LoopClock& clock() const noexcept { return *clock_; }
  /// What the clock of the application shows: for what goes on while the loop does not run.
  [[nodiscard]] Clock::time_point shown_now() const noexcept { return clock_->to_base(now()); }
  [[nodiscard]] FrameMemory& frame_memory() noexcept { return frame_memory_; }
  /// Those whose peers do not keep up.
  [[nodiscard]] Congestion<Ws>& congestion() noexcept { return congestion_; }
  [[nodiscard]] bool is_stopped() const noexcept { return is_stopped_; }
  void require_running() const {
    if (is_stopped_) throw Error(errc::manager_stopped);
  }
  /// Shared with the listeners.
  [[nodiscard]] const std::shared_ptr<Gate>& gate() const noexcept { return gate_; }
  [[nodiscard]] Hooks<Ws>& hooks() noexcept { return hooks_; }
  [[nodiscard]] HookCalls& hook_calls() noexcept { return hook_calls_; }
  [[nodiscard]] Arrivals& arrivals() noexcept { return arrivals_; }
  /// The backplanes it is bound to; expired where it is not any more.
  [[nodiscard]] std::vector<std::weak_ptr<const Binding>>& bindings() noexcept { return bindings_; }

  void log(Severity severity, std::string_view event,
           std::initializer_list<LogField> fields = {}) const noexcept {
    detail::log(options_.logger, severity, event, fields);
  }

  /// The same for what peers can cause at will.
  void log_limited(Severity severity, std::string_view event,
                   std::initializer_list<LogField> fields = {}) noexcept {
    log_throttled(options_.logger, throttle_, now(), severity, event, fields);
  }

  // --- the registry ---

  [[nodiscard]] ConnectionPtr find(std::string_view id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
  }
  [[nodiscard]] const std::vector<Connection<Ws>*>& everyone() const noexcept { return everyone_; }
  [[nodiscard]] std::vector<ConnectionPtr> all() const {
    std::vector<ConnectionPtr> all;
    all.reserve(everyone_.size());
    for (Connection<Ws>* connection : everyone_) all.push_back(connection->shared_from_this());
    return all;
  }
  [[nodiscard]] std::vector<ConnectionPtr> members(std::string_view room) const {
    std::vector<ConnectionPtr> members;
    for (RoomMember* member : rooms_.members(room)) {
      members.push_back(static_cast<Connection<Ws>*>(member)->shared_from_this());
    }
    return members;
  }
  [[nodiscard]] RoomIndex& rooms() noexcept { return rooms_; }
  [[nodiscard]] const RoomIndex& rooms() const noexcept { return rooms_; }
  /// A number for each walk over connections, so that each is met once.
  [[nodiscard]] std::uint64_t next_visit() noexcept { return ++last_visit_; }

  /// Registers a connection in its first rooms. @pre its id is free
  void add(const ConnectionPtr& connection, std::shared_ptr<Ws> socket,
           const std::vector<std::string>& rooms) {
    // Twice as much at a time: `reserve` gives what it is asked for, and no more.
    if (everyone_.size() == everyone_.capacity()) everyone_.reserve(2 * everyone_.size() + 16);
    by_id_.emplace(connection->id(), connection);
    connection->position_ = everyone_.size();
    everyone_.push_back(connection.get());
    try {
      connection->attach(*this, std::move(socket));
      for (const std::string& room : rooms) rooms_.join(*connection, room);
      for (RegistryObserver<Ws>* observer : observers_) observer->on_registered(*connection);
    } catch (...) {
      remove(*connection, {}, Ending::abort);
      throw;
    }
    ++stats_.accepted;
    Hooks<Ws>::queue(*this, *connection, HookKind::connected);
    for (const std::string& room : rooms) {
      Hooks<Ws>::queue(*this, *connection, HookKind::joined, room);
    }
  }

  void join(Connection<Ws>& connection, const std::string& room) {
    rooms_.join(connection, room);
    Hooks<Ws>::queue(*this, connection, HookKind::joined, room);
  }
  /// @returns whether it was in the room.
  bool leave(Connection<Ws>& connection, const std::string& room) {
    if (!rooms_.leave(connection, room)) return false;
    Hooks<Ws>::queue(*this, connection, HookKind::left, room);
    return true;
  }

  /// Unregisters a connection: it is in no room and no broadcast any more, whoever waits for it is
  /// told. What its socket needs afterwards is up to the caller.
  /// @returns its socket; null if it was not registered.
  std::shared_ptr<Ws> remove(Connection<Ws>& connection, Disconnect how,
                             Ending ending = Ending::abort) {
    if (!connection.is_connected()) return nullptr;
    const ConnectionPtr keep = connection.shared_from_this();
    connection.last_rooms_ = RoomIndex::rooms_of(connection);
    connection.ended_ = std::move(how);
    rooms_.leave_all(connection);
    congestion_.unwatch(connection);
    connection.changed_.notify_all();
    for (RegistryObserver<Ws>* observer : observers_) observer->on_unregistered(connection);
    Connection<Ws>* const last = everyone_.back();
    everyone_[connection.position_] = last;
    last->position_ = connection.position_;
    everyone_.pop_back();
    by_id_.erase(by_id_.find(connection.id()));
    ++stats_.ended[static_cast<std::size_t>(connection.ended_->reason)];
    return connection.detach(/*is_flushed=*/ending == Ending::close);
  }

  /// Unregisters a connection at once, and closes it and runs the hooks in the background.
  void drop(Connection<Ws>& connection, Disconnect how) {
    const Ending ending = ends_at_once(how.reason) ? Ending::abort : Ending::close;
    drop(connection, std::move(how), ending,
         {.total = options_.close_timeout, .without_progress = options_.close_timeout});
  }
  void drop(Connection<Ws>& connection, Disconnect how, Ending ending, TimeLimit limit) {
    const ConnectionPtr keep = connection.shared_from_this();
    std::shared_ptr<Ws> socket = remove(connection, std::move(how), ending);
    if (!socket) return;
    log_disconnect(connection);
    // In this order, and beside each other.
    spawn("close", Closing<Ws>::close_connection(this->shared_from_this(), keep, std::move(socket),
                                                 ending, limit));
    if (connection.handler_) {
      spawn("end_handler",
            Closing<Ws>::end_handler(this->shared_from_this(), keep, connection.handler_));
    }
    for (const std::string& room : connection.last_rooms_) {
      Hooks<Ws>::queue(*this, connection, HookKind::left, room);
    }
    Hooks<Ws>::queue(*this, connection, HookKind::disconnected);
  }

  /// Closes a socket that is not registered. From any thread.
  void close_in_background(std::shared_ptr<Ws> socket, std::uint16_t code, std::string reason) {
    boost::asio::dispatch(executor(), [self = this->shared_from_this(), socket = std::move(socket),
                                       code, reason = std::move(reason)]() mutable {
      self->spawn("close",
                  Closing<Ws>::close_stranger(self, std::move(socket), code, std::move(reason)));
    });
  }

  /// Runs a coroutine of the manager's own; what it throws has nowhere to go but the log.
  void spawn(std::string_view what, boost::asio::awaitable<void> coroutine) {
    tasks_.spawn(
        executor(), std::move(coroutine),
        [self = this->shared_from_this(), what](const std::exception_ptr& error) {
          self->log(Severity::error, "internal_error", {{"in", what}, {"why", describe(error)}});
        });
  }
  /// These coroutines: sockets that close, hooks that are told, handlers of connections that have
  /// ended. Cancelled, all come to their end at once.
  [[nodiscard]] TaskGroup& tasks() noexcept { return tasks_; }

  /// Whether nothing of the manager's, its listeners' or its hooks' is under way.
  [[nodiscard]] bool is_idle() const noexcept {
    return tasks_.size() + gate_->visits().size() == 0 && hook_calls_.empty();
  }
  /// What is cut short is not waited for, and may be the beginning of something else: a client that
  /// is refused, the next hook. What that does is to be cut short too.
  void cancel_all() {
    tasks_.cancel(executor());
    hook_calls_.cancel();
    gate_->shut(executor());
  }

  /// The drain under way, or the last one.
  [[nodiscard]] std::shared_ptr<Child<DrainReport>>& drain() noexcept { return drain_; }

  void observe(RegistryObserver<Ws>& observer) { observers_.push_back(&observer); }
  void unobserve(RegistryObserver<Ws>& observer) noexcept { std::erase(observers_, &observer); }

  /// The manager is gone: unregisters and aborts all, and cancels what is under way. No hook
  /// begins, nothing is waited for.
  void stop() noexcept {
    for (const auto& [connection, socket] : release_all()) {
      if constexpr (Aborts<Ws>) socket->abort();
      if (connection->handler_) connection->handler_->cancel();
    }
    if (!executor()) return;  // nothing of it is left
    cancel_all();
  }

  // --- numbers ---

  /// A place for a connection that is being admitted.
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
    return options_.max_connections && everyone_.size() + reserved_ >= *options_.max_connections;
  }
  void count_refused() noexcept { ++stats_.refused; }
  void count_room_refused() noexcept { ++stats_.rooms_refused; }
  void count_rate_limited() noexcept { ++stats_.rate_limited; }
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
    now.connections = everyone_.size();
    now.rooms = rooms_.size();
    now.queued_bytes = frame_memory_.total().bytes;
    now.outbox_memory = frame_memory_.bytes();
    now.blocked = congestion_.size();
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

  // The sockets must go while their context still exists, and a strand too.
  void on_context_destroyed() noexcept override {
    release_all();
    drain_.reset();
    loop_.executor = boost::asio::any_io_executor();
  }

  std::vector<std::pair<ConnectionPtr, std::shared_ptr<Ws>>> release_all() {
    is_stopped_ = true;
    std::vector<std::pair<ConnectionPtr, std::shared_ptr<Ws>>> released;
    released.reserve(everyone_.size());
    while (!everyone_.empty()) {
      const ConnectionPtr connection = everyone_.back()->shared_from_this();
      auto socket = remove(*connection, {.reason = DisconnectReason::manager_stopped});
      connection->is_closed_ = true;
      connection->was_aborted_ = true;
      connection->changed_.notify_all();
      released.emplace_back(connection, std::move(socket));
    }
    return released;
  }

  // Whoever does not take bytes, or does not answer, will not take a close frame either.
  static constexpr bool ends_at_once(DisconnectReason reason) noexcept {
    return reason == DisconnectReason::send_failed || reason == DisconnectReason::send_timeout ||
           reason == DisconnectReason::outbox_overflow ||
           reason == DisconnectReason::outboxes_full ||
           reason == DisconnectReason::heartbeat_timeout;
  }

  void log_disconnect(const Connection<Ws>& connection) noexcept {
    const Disconnect& how = *connection.ended();
    const LogField id("id", connection.id());
    const LogField reason("reason", to_string(how.reason));
    const LogField code("code", std::to_string(how.code));
    const auto tell = [&](std::initializer_list<LogField> fields) {
      if (ends_at_once(how.reason)) return log_limited(Severity::warning, "dropped", fields);
      log(Severity::info, "disconnect", fields);
    };
    if (how.text.empty()) {
      tell({id, reason, code});
    } else {
      tell({id, reason, code, {"text", how.text}});
    }
  }

  const std::shared_ptr<LoopClock> clock_;
  Loop loop_;
  const ManagerOptions<Ws> options_;

  std::unordered_map<std::string, ConnectionPtr, StringHash, std::equal_to<>> by_id_;
  std::vector<Connection<Ws>*> everyone_;
  RoomIndex rooms_;
  Hooks<Ws> hooks_;
  HookCalls hook_calls_;
  Arrivals arrivals_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::vector<RegistryObserver<Ws>*> observers_;
  std::uint64_t last_visit_ = 0;
  FrameMemory frame_memory_;
  Congestion<Ws> congestion_{*this};

  bool is_stopped_ = false;
  TaskGroup tasks_;
  std::shared_ptr<Child<DrainReport>> drain_;
  std::vector<std::weak_ptr<const Binding>> bindings_;
  std::size_t reserved_ = 0;
  LogThrottle throttle_;
  Stats stats_;
};

}  // namespace roost::detail
