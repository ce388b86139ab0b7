// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/asio/post.hpp>

#include "roost/base/log.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/history/position_line.hpp"
#include "roost/manager/history/records.hpp"
#include "roost/manager/history/replay.hpp"
#include "roost/manager/recovery.hpp"
#include "roost/manager/registry/connection_parts.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

template <class Ws>
struct FanOut;

/// Recovers the messages that connections of a manager missed: asks the history of rooms, and
/// passes the answers to the connections.
template <class Ws>
class Recoveries {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using Parts = ConnectionParts<Ws>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

 public:
  explicit Recoveries(State& state) noexcept : state_(state) {}

  /// Uses @p records as the history of rooms from now on.
  void ask_of(std::shared_ptr<const RoomRecords> records) {
    drop_kept();
    records_ = records.get();
    // Other threads may still read the previous one.
    all_records_.push_back(std::move(records));
    // Members of rooms have missed messages that other replicas sent. The question comes behind the
    // messages that are still on their way from the previous records.
    boost::asio::post(state_.executor(), [state = state_.shared_from_this()] {
      if (!state->is_stopped()) state->recoveries().restarted();
    });
  }
  /// Returns whether messages to @p room are recorded.
  /// @par Thread safety  Any thread may call this.
  [[nodiscard]] bool keeps(std::string_view room) const noexcept {
    const RoomRecords* const records = records_;
    return records && records->keeps(room);
  }

  /// Asks for the earlier messages of @p room, which @p connection has just joined.
  void enter(Connection<Ws>& connection, const std::string& room,
             std::optional<std::string_view> since, std::size_t last) {
    Parts& parts = parts_of(connection);
    const bool wants_positions = is_lined(parts.wire_form());
    if (!wants_positions && last == 0) return;
    if (!keeps(room)) {
      const auto lost = since ? std::optional(LossReason::unavailable) : std::nullopt;
      return tell_joined(parts, room, {.lost = lost}, 0);
    }
    const RecoveryTicket ticket = ++last_ticket_;
    parts.make_replays().add(room, ticket);
    note_asked(ticket, connection);
    RecoveryRequest request{.ticket = ticket, .last = last};
    if (since) request.since = std::string(*since);
    ask_soon(room, std::move(request));
  }

  /// Waits until the answers for all rooms that the connection has entered so far have come. An
  /// answer that takes longer than `hook_timeout` counts as unavailable.
  static boost::asio::awaitable<void> settled(StatePtr state, ConnectionPtr connection) {
    Parts& parts = parts_of(*connection);
    const RecoveryTicket newest = state->recoveries().last_ticket_;
    const Clock::time_point deadline = state->now() + state->options().hook_timeout;
    bool is_in_time = true;
    while (is_in_time && connection->is_connected() && parts.replays()->next_asking(newest)) {
      is_in_time = co_await wait(parts.changed, state->loop(), deadline);
    }
    if (is_in_time || !connection->is_connected()) co_return;
    for (const Replay* replay = nullptr; (replay = parts.replays()->next_asking(newest));) {
      state->recoveries().give_up(parts, *replay);
    }
  }

  /// Notes that the connection has left @p room.
  void leave(Connection<Ws>& connection, const std::string& room) {
    Parts& parts = parts_of(connection);
    if (Replays* const replays = parts.replays()) {
      replays->remove(room);
      parts.changed.notify_all();
    }
    if (is_lined(parts.wire_form())) FanOut<Ws>::tell(state_, parts, left_line(room));
  }

  // --- results of `RoomRecords` ---

  void answered(std::shared_ptr<const RecoveryAnswer> answer) {
    for (const RecordedPtr& message : answer->messages) {
      if (message->frame) state_.frame_memory().charge(message->frame);
    }
    for (const RecoveryVerdict& verdict : answer->verdicts) {
      if (verdict.ticket == 0) {
        end_restart(answer->room, verdict);
        continue;
      }
      const auto found = asked_.find(verdict.ticket);
      if (found == asked_.end()) continue;
      const ConnectionPtr connection = found->second.lock();
      asked_.erase(found);
      if (connection && connection->is_connected()) begin(parts_of(*connection), answer, verdict);
    }
  }

  /// Tells the members of @p room that they have missed messages; they get every message after
  /// @p position.
  void lost(const std::string& room, const std::string& position, LossReason reason) {
    const std::string line = lost_line(room, position, reason);
    FanOut<Ws>::tell_members(state_, room, line, [&](Parts& member) {
      Replays* const replays = member.replays();
      const Replay* const replay = replays ? replays->find(room) : nullptr;
      if (!replay) return true;
      if (replay->is_asking()) return false;  // the answer will be newer
      replays->remove(room);
      return true;
    });
    log_lost(room, reason);
  }

  /// Asks about every recorded room, because messages may have been missed in each. Members that
  /// want positions get no recorded message until the answer tells where they have everything
  /// again: a client that is cut now and comes back with a position behind a gap would never learn
  /// of the gap.
  void restarted() {
    const RoomRecords* const records = records_;
    if (!records) return;
    for (const std::string& room : state_.rooms().list()) {
      const bool is_kept = records->keeps(room);
      if (!is_kept && records->is_bound()) continue;
      for (RoomMember* const member : state_.rooms().members(room)) {
        Parts& parts = static_cast<Parts&>(*member);
        if (is_lined(parts.wire_form())) parts.make_replays().restart(room);
      }
      if (is_kept) ask_soon(room, {});
    }
  }

  /// Offers a connection its earlier messages as long as it is not congested.
  void feed(Parts& parts) {
    bool& is_feeding = parts.replays()->is_feeding;
    if (is_feeding) return;  // called from inside an offer
    const ScopedValue feeding(is_feeding, true);
    while (parts.is_attached() && parts.may_replay()) {
      const Replayed next = parts.replays()->take();
      if (!next.message) return;
      ++state_.counters().replayed;
      FanOut<Ws>::replay(state_, parts, next.message);
      if (next.is_of_answer) kept_.keep(next.message, state_.now(), max_kept_bytes());
    }
    if (parts.is_attached() && !parts.replays()->empty()) parts.give_up_waiting();
  }

  /// Notes that a connection has ended: an idle manager keeps nothing for clients that may return.
  void connection_ended() noexcept {
    if (kept_.bytes() == 0) return;
    if (state_.registry().everyone().empty()) return drop_kept();
    kept_.drop_unused(state_.now());
  }
  /// Lets go of all messages that are kept for clients that may return.
  void drop_kept() noexcept { kept_.clear(); }

 private:
  void ask_soon(const std::string& room, RecoveryRequest request) {
    // Requests of one turn of the loop, as after a restart, are sent as one question per room.
    if (pending_.empty()) {
      boost::asio::post(state_.executor(), [state = state_.shared_from_this()] {
        if (!state->is_stopped()) state->recoveries().ask();
      });
    }
    pending_[room].push_back(std::move(request));
  }
  void ask() {
    const RoomRecords* const records = records_;
    for (auto& [room, requests] : std::exchange(pending_, {})) {
      records->recover(room, std::move(requests));
    }
  }

  void note_asked(RecoveryTicket ticket, Connection<Ws>& connection) {
    asked_.emplace(ticket, connection.weak_from_this());
    if (asked_.size() < asked_limit_) return;
    // Answers to those that have gone may never come.
    std::erase_if(asked_, [](const auto& asked) {
      const ConnectionPtr alive = asked.second.lock();
      return !alive || !alive->is_connected();
    });
    asked_limit_ = 2 * asked_.size() + 64;
  }

  void end_restart(const std::string& room, const RecoveryVerdict& verdict) {
    const LossReason why = verdict.lost.value_or(LossReason::gone);
    const std::string line = lost_line(room, verdict.position, why);
    FanOut<Ws>::tell_members(state_, room, line, [&](Parts& member) {
      return member.replays() && member.replays()->end_restart(room);
    });
    log_lost(room, why);
  }
  void log_lost(const std::string& room, LossReason why) {
    state_.log_limited(Severity::warning, "history_lost",
                       {{"room", room}, {"why", to_string(why)}});
  }

  void begin(Parts& parts, const std::shared_ptr<const RecoveryAnswer>& answer,
             const RecoveryVerdict& verdict) {
    Replay* replay = parts.replays()->find(answer->room);
    if (!replay || replay->ticket() != verdict.ticket) return;  // it has left since
    replay->begin(answer, verdict.first);
    tell_joined(parts, answer->room, verdict, answer->messages.size() - verdict.first);
    parts.changed.notify_all();
    if (parts.is_attached()) feed(parts);
  }

  void tell_joined(Parts& parts, const std::string& room, const RecoveryVerdict& verdict,
                   std::size_t replayed) {
    parts.make_replays().note(
        room, {.is_recovered = verdict.is_recovered, .replayed = replayed, .why = verdict.lost});
    if (verdict.is_recovered) ++state_.counters().recovered;
    if (verdict.lost) {
      ++state_.counters().not_recovered;
      state_.log_limited(
          Severity::info, "not_recovered",
          {{"id", owner_of(parts).id()}, {"room", room}, {"why", to_string(*verdict.lost)}});
    }
    FanOut<Ws>::tell(state_, parts,
                     joined_line(room, verdict.position, verdict.is_recovered, verdict.lost));
  }

  void give_up(Parts& parts, const Replay& replay) {
    // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): the replay is removed
    const std::string room = replay.room();
    asked_.erase(replay.ticket());
    parts.replays()->remove(room);
    tell_joined(parts, room, {.lost = LossReason::unavailable}, 0);
  }

  /// Counts in `max_total_outbox_bytes`, and is let go of before any connection is dropped for it.
  [[nodiscard]] std::size_t max_kept_bytes() const noexcept {
    constexpr std::size_t if_unlimited = 268'435'456;
    return state_.options().max_total_outbox_bytes.value_or(if_unlimited) / 8;
  }

  State& state_;
  KeptAnswers kept_;
  std::atomic<const RoomRecords*> records_ = nullptr;
  std::vector<std::shared_ptr<const RoomRecords>> all_records_;
  RecoveryTicket last_ticket_ = 0;
  std::unordered_map<RecoveryTicket, std::weak_ptr<Connection<Ws>>> asked_;
  std::size_t asked_limit_ = 64;
  std::unordered_map<std::string, std::vector<RecoveryRequest>, StringHash, std::equal_to<>>
      pending_;
};

template <class Ws>
void feed_replays(ManagerState<Ws>& state, ConnectionParts<Ws>& parts) {
  state.recoveries().feed(parts);
}

}  // namespace roost::detail
