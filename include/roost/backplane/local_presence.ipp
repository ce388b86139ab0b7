// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/local/local_hub.hpp"
#include "roost/backplane/local_presence.hpp"
#include "roost/backplane/presence/presence_list.hpp"
#include "roost/backplane/presence/presence_shell.hpp"
#include "roost/runtime/detail/loop_clock.hpp"

namespace roost {

namespace detail {

class LocalPresenceShell;

/// The users of the rooms at a hub, by channel, and the backplanes that are to hear of changes.
///
/// The mutex is there because the backplanes are on several threads. Events are posted while it is
/// held, so that each backplane gets them in the order of the changes.
class LocalPresenceStore {
 public:
  using Replica = PresenceTable::Replica;
  using time_point = Clock::time_point;

  explicit LocalPresenceStore(PresenceOptions options) : options_(std::move(options)) {}

  [[nodiscard]] const PresenceOptions& options() const noexcept { return options_; }

  Replica join(const std::string& channel, const std::shared_ptr<LocalPresenceShell>& shell);
  /// The users that only @p replica holds go when they have lingered.
  void depart(const std::string& channel, Replica replica, const LocalPresenceShell& shell,
              time_point now);
  void enter(const std::string& channel, Replica replica, const OwnUsers::Step& step);
  void leave(const std::string& channel, Replica replica, const OwnUsers::Step& step);
  [[nodiscard]] PresenceAnswer read(const std::string& channel, Replica replica,
                                    const std::string& room, std::size_t max_listed);
  [[nodiscard]] time_point next_departure(const std::string& channel);
  void end_departures(const std::string& channel, time_point now);

 private:
  struct Departure {
    Replica replica;
    std::string room;
    std::string user;
  };
  struct Channel {
    PresenceTable table{std::random_device()()};
    std::vector<std::weak_ptr<LocalPresenceShell>> shells = {};
    std::multimap<time_point, Departure> departures = {};
  };

  void publish(Channel& channel, const std::optional<PresenceEvent>& event);

  const PresenceOptions options_;
  std::mutex mutex_;
  std::unordered_map<std::string, Channel> channels_;
  Replica last_ = 0;
};

/// The presence of a `LocalBackplane`.
class LocalPresenceShell final : public PresenceShell, public LocalPresence {
 public:
  LocalPresenceShell(std::shared_ptr<LocalPresenceStore> store, PresencePlace place,
                     std::string channel)
      : PresenceShell(store->options(), std::move(place), PresenceRooms::Checks::never),
        store_(std::move(store)),
        channel_(std::move(channel)) {}

  // From any thread.
  void heard(const PresenceEvent& event) {
    there([event](PresenceShell& self) {
      static_cast<LocalPresenceShell&>(self).rooms().event(event);
    });
  }
  /// The store needs somebody's turn at another time than before.
  void look() {
    there([](PresenceShell&) {});
  }

  [[nodiscard]] std::shared_ptr<BackplanePresence> presence() override {
    return shared_from_this();
  }
  void fill(LocalBackplaneStats& stats) const override {
    const PresenceCounts its = counts();
    stats.presence_rooms = its.rooms;
    stats.presence_users = its.users;
    stats.presence_changes = its.changes;
    stats.presence_reads = its.reads;
  }
  void begin() override {
    const auto self = std::static_pointer_cast<LocalPresenceShell>(shared_from_this());
    there([weak = std::weak_ptr(self)](PresenceShell&) {
      if (const auto shell = weak.lock()) shell->begin_here();
    });
  }
  void end() noexcept override {
    try {
      there([](PresenceShell& self) { static_cast<LocalPresenceShell&>(self).depart(); });
    } catch (...) {  // without memory: as if it had not stopped
    }
  }
  void close() noexcept override {
    try {
      depart();
    } catch (...) {  // without memory: its users stay
    }
    PresenceShell::close();
  }

 private:
  void begin_here() {
    if (replica_ != 0) return;
    replica_ =
        store_->join(channel_, std::static_pointer_cast<LocalPresenceShell>(shared_from_this()));
    rooms().begin_anew();
    for (const std::string& room : rooms().names()) rooms().subscribed(room);
  }
  void depart() {
    if (replica_ == 0) return;
    store_->depart(channel_, std::exchange(replica_, 0), *this, now());
    rooms().disconnected();
  }

  [[nodiscard]] bool is_begun() const noexcept override { return replica_ != 0; }
  void on_door(const std::string& room, bool is_open) override {
    if (is_open && is_begun()) rooms().subscribed(room);
  }
  void perform(const PresenceCall& call) override {
    switch (call.kind) {
      case PresenceCall::Kind::enter: store_->enter(channel_, replica_, call.step); break;
      case PresenceCall::Kind::leave: store_->leave(channel_, replica_, call.step); break;
      case PresenceCall::Kind::read:
        return rooms().answered(
            call, store_->read(channel_, replica_, call.step.room, call.max_listed), now());
    }
    rooms().done(call);
  }
  void read(const std::string& room, std::size_t max_listed, Answered answered) override {
    const PresenceAnswer answer = store_->read(channel_, replica_, room, max_listed);
    answered(&answer);
  }
  [[nodiscard]] time_point its_due() const override { return store_->next_departure(channel_); }
  void take_turn() override { store_->end_departures(channel_, now()); }

  const std::shared_ptr<LocalPresenceStore> store_;
  const std::string channel_;
  LocalPresenceStore::Replica replica_ = 0;  // 0: not started
};

ROOST_DECL LocalPresenceStore::Replica LocalPresenceStore::join(
    const std::string& channel, const std::shared_ptr<LocalPresenceShell>& shell) {
  const std::lock_guard lock(mutex_);
  channels_[channel].shells.push_back(shell);
  return ++last_;
}

ROOST_DECL void LocalPresenceStore::depart(const std::string& channel, Replica replica,
                                           const LocalPresenceShell& shell, time_point now) {
  const std::lock_guard lock(mutex_);
  Channel& its = channels_[channel];
  std::erase_if(its.shells, [&](const auto& weak) {
    const auto one = weak.lock();
    return !one || one.get() == &shell;
  });
  for (auto& [room, user] : its.table.held_by(replica)) {
    const time_point due = now + find_rule(options_, room)->linger;
    its.departures.emplace(due, Departure{replica, std::move(room), std::move(user)});
  }
  for (const auto& weak : its.shells) {
    if (const auto other = weak.lock()) other->look();
  }
}

ROOST_DECL void LocalPresenceStore::enter(const std::string& channel, Replica replica,
                                          const OwnUsers::Step& step) {
  const std::lock_guard lock(mutex_);
  Channel& its = channels_[channel];
  publish(its, its.table.enter(replica, step.room, step.user, step.info));
}

ROOST_DECL void LocalPresenceStore::leave(const std::string& channel, Replica replica,
                                          const OwnUsers::Step& step) {
  const std::lock_guard lock(mutex_);
  Channel& its = channels_[channel];
  publish(its, its.table.leave(replica, step.room, step.user));
}

ROOST_DECL PresenceAnswer LocalPresenceStore::read(const std::string& channel, Replica replica,
                                                   const std::string& room,
                                                   std::size_t max_listed) {
  const std::lock_guard lock(mutex_);
  return channels_[channel].table.read(replica, room, max_listed);
}

ROOST_DECL LocalPresenceStore::time_point LocalPresenceStore::next_departure(
    const std::string& channel) {
  const std::lock_guard lock(mutex_);
  const auto& departures = channels_[channel].departures;
  return departures.empty() ? time_point::max() : departures.begin()->first;
}

ROOST_DECL void LocalPresenceStore::end_departures(const std::string& channel, time_point now) {
  const std::lock_guard lock(mutex_);
  Channel& its = channels_[channel];
  while (!its.departures.empty() && its.departures.begin()->first <= now) {
    const Departure gone = std::move(its.departures.extract(its.departures.begin()).mapped());
    publish(its, its.table.leave(gone.replica, gone.room, gone.user));
  }
}

ROOST_DECL void LocalPresenceStore::publish(Channel& channel,
                                            const std::optional<PresenceEvent>& event) {
  if (!event) return;
  for (const auto& weak : channel.shells) {
    if (const auto shell = weak.lock()) shell->heard(*event);
  }
}

class LocalPresences final : public LocalPresenceFactory {
 public:
  explicit LocalPresences(PresenceOptions options) : options_(std::move(options)) {
    check_presence(options_);
  }
  [[nodiscard]] std::shared_ptr<LocalPresence> make(const boost::asio::any_io_executor& executor,
                                                    Clock& clock, Logger logger,
                                                    const std::string& channel,
                                                    std::shared_ptr<void>& of_hub) const override {
    if (!of_hub) of_hub = std::make_shared<LocalPresenceStore>(options_);
    auto store = std::static_pointer_cast<LocalPresenceStore>(of_hub);
    check_option(store->options() == options_,
                 "presence must be the same for all backplanes of a hub");
    return std::make_shared<LocalPresenceShell>(
        std::move(store),
        PresencePlace{executor, LoopClock::of(executor, clock), std::move(logger)}, channel);
  }

 private:
  const PresenceOptions options_;
};

}  // namespace detail

ROOST_DECL std::shared_ptr<const detail::LocalPresenceFactory> local_presence(
    PresenceOptions options) {
  return std::make_shared<const detail::LocalPresences>(std::move(options));
}

}  // namespace roost
