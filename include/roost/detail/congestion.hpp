// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "roost/clock.hpp"
#include "roost/detail/next_turn.hpp"
#include "roost/detail/recipient.hpp"
#include "roost/detail/wait.hpp"
#include "roost/detail/wait_list.hpp"
#include "roost/disconnect.hpp"
#include "roost/log.hpp"
#include "roost/websocket_like.hpp"

namespace roost::detail {

/// The connections of a manager whose peers do not keep up: one timer for the deadlines of all, and
/// those that go first when all outboxes together hold too much.
template <class Ws>
class Congestion {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

 public:
  explicit Congestion(State& state) noexcept : state_(state) {}

  [[nodiscard]] std::size_t size() const noexcept { return watched_.size(); }

  /// Looks after a connection from now on, at its `next_deadline` at the latest.
  void watch(Connection<Ws>& connection) {
    if (connection.watch_position_ == Recipient<Ws>::not_watched) {
      connection.watch_position_ = watched_.size();
      watched_.push_back(&connection);
    }
    const auto due = connection.next_deadline();
    if (due && *due < next_sweep_) changed_.notify_all();
    if (!std::exchange(is_sweeping_, true)) {
      state_.spawn("sweep", sweep(state_.shared_from_this()));
    }
  }

  void unwatch(Connection<Ws>& connection) noexcept {
    const std::size_t position =
        std::exchange(connection.watch_position_, Recipient<Ws>::not_watched);
    if (position == Recipient<Ws>::not_watched) return;
    watched_[position] = watched_.back();
    watched_.pop_back();
    if (position < watched_.size()) watched_[position]->watch_position_ = position;
    if (watched_.empty()) changed_.notify_all();
  }

  /// Whoever queues something calls this afterwards: over `max_total_outbox_bytes` the fullest are
  /// dropped.
  void relieve() {
    const auto& limit = state_.options().max_total_outbox_bytes;
    if (!limit || state_.frame_memory().at_most() <= *limit) [[likely]]
      return;
    if (state_.frame_memory().bytes() <= *limit || std::exchange(is_relieving_, true)) return;
    state_.spawn("relieve", drop_fullest(state_.shared_from_this()));
  }

 private:
  static boost::asio::awaitable<void> sweep(StatePtr state) {
    struct Sweeping {
      Congestion& self;
      ~Sweeping() {
        self.next_sweep_ = Timer::never();
        self.is_sweeping_ = false;
      }
    };
    Congestion& self = state->congestion();
    const Sweeping sweeping{self};
    while (!self.watched_.empty()) {
      Clock::time_point next = Timer::never();
      for (const Connection<Ws>* connection : self.watched_) {
        if (const auto due = connection->next_deadline()) next = std::min(next, *due);
      }
      self.next_sweep_ = next;
      if (!co_await wait(self.changed_, state->executor(), *state->options().clock, next)) {
        self.enforce_deadlines();
      }
    }
  }

  void enforce_deadlines() {
    const Clock::time_point now = state_.now();
    std::vector<ConnectionPtr> watched;
    watched.reserve(watched_.size());
    for (Connection<Ws>* connection : watched_) watched.push_back(connection->shared_from_this());
    for (const ConnectionPtr& connection : watched) {
      if (connection->is_connected() && connection->is_expired(now)) {
        state_.drop(*connection, {.reason = DisconnectReason::send_timeout});
      }
    }
  }

  // Those that do not take their bytes, the fullest first, until there is some room.
  static boost::asio::awaitable<void> drop_fullest(StatePtr state) {
    co_await next_turn();  // whoever queues is not done yet
    Congestion& self = state->congestion();
    self.is_relieving_ = false;
    const std::size_t before = state->frame_memory().bytes();
    const std::size_t limit = *state->options().max_total_outbox_bytes;
    if (before <= limit) co_return;
    std::vector<std::pair<std::size_t, ConnectionPtr>> fullest;
    fullest.reserve(self.watched_.size());
    for (Connection<Ws>* connection : self.watched_) {
      fullest.emplace_back(connection->queued_bytes(), connection->shared_from_this());
    }
    std::sort(fullest.begin(), fullest.end(),
              [](const auto& a, const auto& b) { return a.first > b.first; });
    std::size_t dropped = 0;
    for (const auto& [bytes, connection] : fullest) {
      if (state->frame_memory().bytes() <= limit - limit / 8) break;
      const std::shared_ptr<Ws> socket = connection->websocket();
      if (!socket) continue;
      state->drop(*connection, {.reason = DisconnectReason::outboxes_full});
      if constexpr (Aborts<Ws>) socket->abort();
      ++dropped;
    }
    state->log_limited(Severity::warning, "outboxes_full",
                       {{"bytes", std::to_string(before)},
                        {"limit", std::to_string(limit)},
                        {"dropped", std::to_string(dropped)}});
  }

  State& state_;
  std::vector<Connection<Ws>*> watched_;
  WaitList changed_;
  Clock::time_point next_sweep_ = Timer::never();
  bool is_sweeping_ = false;
  bool is_relieving_ = false;
};

}  // namespace roost::detail
