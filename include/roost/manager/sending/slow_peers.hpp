// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/sending/recipient.hpp"
#include "roost/socket/disconnect.hpp"

namespace roost::detail {

/// Watches the connections of a manager whose peers do not keep up. It has one timer for the
/// deadlines of all, and decides which to drop when all outboxes together hold too much.
template <class Ws>
class SlowPeers {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using Parts = ConnectionParts<Ws>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

 public:
  explicit SlowPeers(State& state) noexcept : state_(state) {}

  [[nodiscard]] std::size_t size() const noexcept { return watched_.size(); }

  /// Watches a connection from now on, and judges it when it is due.
  void watch(Parts& parts) {
    if (!parts.is_watched()) {
      watched_.push_back({&parts, Pace(state_.now(), parts.look(), limits())});
      parts.watch_position = watched_.size() - 1;  // only if there was memory
    }
    look_in_time(watched_[parts.watch_position]);
  }

  void unwatch(Parts& parts) noexcept {
    const std::size_t position = std::exchange(parts.watch_position, Parts::not_watched);
    if (position == Parts::not_watched) return;
    watched_[position] = watched_.back();
    watched_.pop_back();
    if (position < watched_.size()) watched_[position].parts->watch_position = position;
    if (watched_.empty()) changed_.notify_all();
  }

  /// Call this when more than `max_outbox_bytes` is queued for a connection. @returns whether to
  /// drop the connection, because its peer is known not to keep up; any other has time to show that
  /// it does
  [[nodiscard]] bool on_excess(Parts& parts) {
    const bool is_new = !parts.is_watched();
    if (is_new) watch(parts);
    Watched& watched = watched_[parts.watch_position];
    const Pace::Limits limits = this->limits();
    if (!watched.pace.exceeds(parts.queued_bytes(), limits)) return false;
    const auto verdict = watched.pace.on_excess(state_.now(), parts.look(), limits);
    look_in_time(watched);
    return !is_new && verdict != Pace::Verdict::fine;
  }

  /// Call this when a connection is below its high-water mark again.
  void on_relieved(Parts& parts) noexcept {
    if (!parts.is_watched()) return;
    watched_[parts.watch_position].pace.on_relieved();
  }

  /// Call this after frames were queued. Over `max_total_outbox_bytes` it drops connections, later.
  void relieve() {
    const auto& limit = state_.options().max_total_outbox_bytes;
    if (!limit || state_.frame_memory().at_most() <= *limit) [[likely]]
      return;
    if (state_.frame_memory().bytes() <= *limit || std::exchange(is_relieving_, true)) return;
    state_.spawn("relieve", shed(state_.shared_from_this()));
  }

 private:
  struct Watched {
    Parts* parts;
    Pace pace;
  };

  [[nodiscard]] Pace::Limits limits() const noexcept {
    const auto& options = state_.options();
    // A socket that does not accept frames shows no progress until a message is sent.
    return {.send_timeout = options.send_timeout,
            .min_progress_bytes = TellsProgress<Ws> ? options.min_progress_bytes : 0,
            .max_outbox_bytes = options.max_outbox_bytes,
            .patience = TakesFrames<Ws> ? options.backpressure_wait : options.send_timeout};
  }

  [[nodiscard]] Clock::time_point due(const Watched& watched) const {
    const Clock::time_point due = watched.pace.due(limits());
    return std::min(due, watched.parts->next_deadline().value_or(due));
  }
  void look_in_time(const Watched& watched) {
    if (due(watched) < next_sweep_) changed_.notify_all();
    if (!std::exchange(is_sweeping_, true)) {
      state_.spawn("sweep", sweep(state_.shared_from_this()));
    }
  }

  static boost::asio::awaitable<void> sweep(StatePtr state) {
    struct Sweeping {
      SlowPeers& self;
      ~Sweeping() {
        self.next_sweep_ = Timer::never();
        self.is_sweeping_ = false;
      }
    };
    SlowPeers& self = state->slow_peers();
    const Sweeping sweeping{self};
    while (!self.watched_.empty()) {
      Clock::time_point next = Timer::never();
      for (const Watched& watched : self.watched_) next = std::min(next, self.due(watched));
      self.next_sweep_ = next;
      if (!co_await wait(self.changed_, state->loop(), next)) {
        self.enforce_deadlines();
      }
    }
  }

  void enforce_deadlines() {
    const Clock::time_point now = state_.now();
    std::vector<ConnectionPtr> expired;
    for (const Watched& watched : watched_) {
      if (due(watched) <= now) expired.push_back(owner_of(*watched.parts).shared_from_this());
    }
    for (const ConnectionPtr& connection : expired) {
      Parts& parts = parts_of(*connection);
      if (!parts.is_watched()) continue;
      if (parts.is_expired(now)) {
        parts.drop({.reason = DisconnectReason::send_timeout});
      } else {
        judge(parts, now);
      }
    }
  }

  // Judges a connection after one more flush, which may be all that it needed.
  void judge(Parts& parts, Clock::time_point now) {
    const bool wrote = parts.is_watched() && parts.flush();
    if (!parts.is_watched()) return;
    Pace::Look look = parts.look();
    look.wrote = wrote;
    switch (watched_[parts.watch_position].pace.judge(now, look, limits())) {
      case Pace::Verdict::fine: return;
      case Pace::Verdict::too_slow: return parts.drop({.reason = DisconnectReason::send_timeout});
      case Pace::Verdict::too_full:
        return parts.drop({.reason = DisconnectReason::outbox_overflow});
    }
  }

  /// A connection that may be dropped for memory.
  struct Candidate {
    int rank;
    std::size_t bytes;
    ConnectionPtr connection;
  };

  // Sorted: first those that take nothing, then those with the fullest outboxes.
  [[nodiscard]] std::vector<Candidate> candidates() const {
    const Clock::time_point now = state_.now();
    std::vector<Candidate> all;
    all.reserve(watched_.size());
    for (const Watched& watched : watched_) {
      const Pace::Look look = watched.parts->look();
      all.push_back({watched.pace.rank(now, look, limits()), look.backlog,
                     owner_of(*watched.parts).shared_from_this()});
    }
    std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
      return a.rank != b.rank ? a.rank < b.rank : a.bytes > b.bytes;
    });
    return all;
  }

  // Frames that were not flushed yet say nothing about the peers.
  void flush_all() {
    std::vector<ConnectionPtr> queued;
    for (Connection<Ws>* connection : state_.registry().everyone()) {
      if (parts_of(*connection).queued_bytes() > 0)
        queued.push_back(connection->shared_from_this());
    }
    for (const ConnectionPtr& connection : queued) {
      if (connection->is_connected()) parts_of(*connection).flush();
    }
  }

  // Drops connections until there is room. One whose peer takes bytes is dropped only if nothing
  // else helps.
  static boost::asio::awaitable<void> shed(StatePtr state) {
    co_await next_turn();  // the caller is still queueing frames
    SlowPeers& self = state->slow_peers();
    self.flush_all();
    state->recoveries().drop_kept();
    self.is_relieving_ = false;
    const std::size_t before = state->frame_memory().bytes();
    const std::size_t limit = *state->options().max_total_outbox_bytes;
    if (before <= limit) co_return;
    std::size_t dropped = 0;
    for (const Candidate& candidate : self.candidates()) {
      const std::size_t enough = candidate.rank == 2 ? limit : limit - limit / 8;
      if (state->frame_memory().bytes() <= enough) break;
      const std::shared_ptr<Ws> socket = candidate.connection->websocket();
      if (!socket) continue;
      parts_of(*candidate.connection).drop({.reason = DisconnectReason::outboxes_full});
      if_able::abort(*socket);
      ++dropped;
    }
    state->log_limited(Severity::warning, "outboxes_full",
                       {{"bytes", std::to_string(before)},
                        {"limit", std::to_string(limit)},
                        {"dropped", std::to_string(dropped)}});
  }

  State& state_;
  std::vector<Watched> watched_;
  WaitList changed_;
  Clock::time_point next_sweep_ = Timer::never();
  bool is_sweeping_ = false;
  bool is_relieving_ = false;
};

}  // namespace roost::detail
