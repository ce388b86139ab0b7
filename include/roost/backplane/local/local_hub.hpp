// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/delivery/handler_queues.hpp"
#include "roost/backplane/history.hpp"
#include "roost/backplane/history/log_store.hpp"
#include "roost/backplane/local/local_line.hpp"
#include "roost/backplane/presence.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/log.hpp"
#include "roost/base/text/text.hpp"

namespace roost {
struct LocalBackplaneOptions;
struct LocalBackplaneStats;
}  // namespace roost

namespace roost::detail {

/// The histories of the rooms at a `LocalHub`, one for each channel. Who publishes and who asks
/// takes turns by the hub's mutex, so an answer is a snapshot of what was published before.
class HubHistory {
 public:
  /// @par Errors  `errc::invalid_option`, naming the field
  HubHistory(HistoryOptions options, Clock& clock);

  [[nodiscard]] const std::shared_ptr<const HistoryOptions>& options() const noexcept {
    return options_;
  }

  // With the hub's mutex held.

  /// Takes the time for the calls that follow. Not called for a backplane that is gone: its manager
  /// may still have members here when the clock is gone, too.
  void look_at_clock() noexcept { now_ = clock_.now(); }

  /// Notes that a manager has members in @p room, or has none any more.
  void enter(std::string_view channel, const std::string& room) {
    store(channel).enter(room, now_);
  }
  void leave(std::string_view channel, const std::string& room) noexcept;

  /// Makes @p parcel a recorded message of @p room, before anybody has it.
  /// @returns the position before it
  std::string record(std::string_view channel, const std::string& room,
                     const std::shared_ptr<Parcel>& parcel);
  [[nodiscard]] HistoryNews recover(std::string_view channel, const std::string& room,
                                    std::vector<RecoveryRequest> requests);
  [[nodiscard]] HistoryNews forget(std::string_view channel, const std::string& room);
  /// Of all channels; drops some of what is too old before.
  [[nodiscard]] LogTotals totals();

 private:
  using Store = LogStore<ParcelPtr>;

  Store& store(std::string_view channel);

  const std::shared_ptr<const HistoryOptions> options_;
  Clock& clock_;
  Clock::time_point now_ = {};
  std::mt19937_64 random_;
  std::unordered_map<std::string, Store, StringHash, std::equal_to<>> stores_;
};

/// What a connection gets of a snapshot of the log, which ends at its newest message.
/// @pre the snapshot has all that the log has of what is newer than what is asked for
[[nodiscard]] RecoveryVerdict judge(const LogAnswer<ParcelPtr>& snapshot,
                                    const RecoveryRequest& request);

/// The presence of a `LocalBackplane`, as the rest of it knows it. Programs without
/// `roost/backplane/local_presence.hpp` have none of it.
class LocalPresence {
 public:
  virtual ~LocalPresence() = default;
  [[nodiscard]] virtual std::shared_ptr<BackplanePresence> presence() = 0;
  /// Adds the numbers of presence. From any thread.
  virtual void fill(LocalBackplaneStats& stats) const = 0;
  /// The backplane starts, or stops.
  virtual void begin() = 0;
  virtual void end() noexcept = 0;
  /// The backplane, or its `io_context`, is gone.
  virtual void close() noexcept = 0;
};

/// Makes the presence of a `LocalBackplane`.
class LocalPresenceFactory {
 public:
  virtual ~LocalPresenceFactory() = default;
  /// @param of_hub  what all backplanes of a hub share; null until the first one is made
  /// @par Errors    `errc::invalid_option` if the other backplanes have other options.
  [[nodiscard]] virtual std::shared_ptr<LocalPresence> make(
      const boost::asio::any_io_executor& executor, Clock& clock, Logger logger,
      const std::string& channel, std::shared_ptr<void>& of_hub) const = 0;
};

/// The backplanes of this process that have started, by channel.
///
/// The mutex is there because they are on several threads. It also makes publishing one step: all
/// receivers of a channel see the same order, and a backplane that has left gets nothing.
class LocalHubState {
 public:
  LocalHubState() = default;
  LocalHubState(HistoryOptions options, Clock& clock)
      : history_(std::in_place, std::move(options), clock) {}

  /// The options of the histories; null if the hub has none.
  [[nodiscard]] std::shared_ptr<const HistoryOptions> history_options() const noexcept {
    return history_ ? history_->options() : nullptr;
  }

  /// Adds a backplane to the channel.
  /// @returns false if the backplane is closed.
  bool join(const std::string& channel, const std::shared_ptr<HandlerQueues>& queues) {
    const std::lock_guard lock(mutex_);
    if (!queues->is_open()) return false;
    std::vector<std::shared_ptr<HandlerQueues>>& members = channels_[channel];
    if (std::find(members.begin(), members.end(), queues) == members.end()) {
      // It has missed the messages that were recorded meanwhile. It learns so before anything else.
      if (history_) queues->deliver_news(nullptr, {});
      aside_.erase(queues.get());
      members.push_back(queues);
    }
    return true;
  }

  void leave(std::string_view channel, const std::shared_ptr<HandlerQueues>& queues) noexcept {
    const std::lock_guard lock(mutex_);
    aside_.erase(queues.get());
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return;
    std::erase(found->second, queues);
    if (found->second.empty()) channels_.erase(found);
  }

  /// Notes that a manager has members in a room with a history, or has none any more.
  void enter(std::string_view channel, const std::string& room, const HandlerQueues& own) {
    const std::lock_guard lock(mutex_);
    take_time(own);
    history_->enter(channel, room);
  }
  void leave(std::string_view channel, const std::string& room, const HandlerQueues& own) noexcept {
    const std::lock_guard lock(mutex_);
    take_time(own);
    history_->leave(channel, room);
  }

  /// Records a message and publishes it. The publisher's members get the message also if the
  /// publisher has not started. They get it here, since they must not get it before it is recorded.
  Published record(std::string_view channel, const std::string& room,
                   const std::shared_ptr<Parcel>& parcel, HandlerQueues& own,
                   const PublishedBy& by) {
    const std::lock_guard lock(mutex_);
    take_time(own);
    const std::string before = history_->record(channel, room, parcel);
    Published published = deliver(channel, parcel, own, by);
    published.at = parcel->position();
    if (has_joined(channel, own)) return published;
    bring_up(own, room, before);
    aside_[&own][room] = parcel->position();
    const Delivered delivered = own.deliver_to_members(parcel, by);
    published.local = delivered.taken;
    published.missed += delivered.missed;
    if (published.missed > 0) published.error = make_error_code(errc::backplane_full);
    return published;
  }
  void recover(std::string_view channel, const std::string& room,
               std::vector<RecoveryRequest> requests, HandlerQueues& own, const void* member) {
    const std::lock_guard lock(mutex_);
    take_time(own);
    HistoryNews answer = history_->recover(channel, room, std::move(requests));
    if (!has_joined(channel, own)) bring_up(own, room, answer.position);
    own.deliver_news(member, std::move(answer));
  }
  void forget(std::string_view channel, const std::string& room, HandlerQueues& own) {
    const std::lock_guard lock(mutex_);
    take_time(own);
    const HistoryNews news = history_->forget(channel, room);
    const auto found = channels_.find(channel);
    if (!has_joined(channel, own)) {
      own.deliver_news(nullptr, news);
      aside_[&own][room] = news.position;
    }
    if (found == channels_.end()) return;
    for (const std::shared_ptr<HandlerQueues>& queues : found->second) {
      queues->deliver_news(nullptr, news);
    }
  }

  /// Makes the presence of a backplane; null if it has none.
  std::shared_ptr<LocalPresence> make_presence(const boost::asio::any_io_executor& executor,
                                               const LocalBackplaneOptions& options);

  [[nodiscard]] LogTotals totals() {
    const std::lock_guard lock(mutex_);
    if (!history_) return {};
    history_->look_at_clock();
    return history_->totals();
  }

  /// Whether a backplane has started.
  [[nodiscard]] bool is_started(std::string_view channel, const HandlerQueues& queues) {
    const std::lock_guard lock(mutex_);
    return has_joined(channel, queues);
  }
  [[nodiscard]] const std::shared_ptr<LocalLines>& lines() const noexcept { return lines_; }

  /// @param own  the queues of the publisher
  Published publish(std::string_view channel, const ParcelPtr& parcel, const HandlerQueues& own,
                    const PublishedBy& by) {
    const std::lock_guard lock(mutex_);
    return deliver(channel, parcel, own, by);
  }

 private:
  // With the mutex held.
  /// @param own  of the backplane that calls; its `close` waits for the mutex
  void take_time(const HandlerQueues& own) noexcept {
    if (own.is_open()) history_->look_at_clock();
  }
  [[nodiscard]] bool has_joined(std::string_view channel, const HandlerQueues& queues) const {
    const auto found = channels_.find(channel);
    return found != channels_.end() &&
           std::any_of(found->second.begin(), found->second.end(),
                       [&](const auto& member) { return member.get() == &queues; });
  }
  // Tells the members of one that has not started, who get only what they publish themselves, if
  // they have missed something before @p position.
  void bring_up(HandlerQueues& own, const std::string& room, const std::string& position) {
    std::string& known = aside_[&own][room];
    if (std::exchange(known, position) == position) return;
    own.deliver_news(nullptr,
                     {.kind = HistoryNews::Kind::lost, .room = room, .position = position});
  }
  Published deliver(std::string_view channel, const ParcelPtr& parcel, const HandlerQueues& own,
                    const PublishedBy& by) {
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return {.receivers = 0};
    Published published{.receivers = found->second.size()};
    for (const std::shared_ptr<HandlerQueues>& queues : found->second) {
      const Delivered delivered = queues->deliver(parcel, by);
      if (queues.get() == &own) published.local = delivered.taken;
      published.missed += delivered.missed;
    }
    if (published.missed > 0) published.error = make_error_code(errc::backplane_full);
    return published;
  }

  const std::shared_ptr<LocalLines> lines_ = std::make_shared<LocalLines>();
  std::mutex mutex_;
  std::optional<HubHistory> history_;
  std::shared_ptr<void> presence_;  // what the presences of the backplanes have in common
  // Where the members of those that have not started are, by room.
  std::unordered_map<const HandlerQueues*, std::unordered_map<std::string, std::string>> aside_;
  std::unordered_map<std::string, std::vector<std::shared_ptr<HandlerQueues>>, StringHash,
                     std::equal_to<>>
      channels_;
};

/// The histories of a hub, as one backplane sees them.
class LocalHistory final : public BackplaneHistory {
 public:
  LocalHistory(std::shared_ptr<LocalHubState> hub, std::string channel,
               std::shared_ptr<HandlerQueues> queues) noexcept
      : hub_(std::move(hub)), channel_(std::move(channel)), queues_(std::move(queues)) {}

  [[nodiscard]] std::shared_ptr<const HistoryOptions> options() const noexcept override {
    return hub_->history_options();
  }
  void enter(const std::string& room) override { hub_->enter(channel_, room, *queues_); }
  void leave(const std::string& room) noexcept override { hub_->leave(channel_, room, *queues_); }
  void recover(const void* member, const std::string& room,
               std::vector<RecoveryRequest> requests) override {
    hub_->recover(channel_, room, std::move(requests), *queues_, member);
  }
  boost::asio::awaitable<void> forget(std::string room) override {
    return run_forget(hub_, queues_, channel_, std::move(room));
  }

 private:
  static boost::asio::awaitable<void> run_forget(std::shared_ptr<LocalHubState> hub,
                                                 std::shared_ptr<HandlerQueues> queues,
                                                 std::string channel, std::string room) {
    hub->forget(channel, room, *queues);
    co_return;
  }

  const std::shared_ptr<LocalHubState> hub_;
  const std::string channel_;
  const std::shared_ptr<HandlerQueues> queues_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/local/local_hub.ipp"
#endif
