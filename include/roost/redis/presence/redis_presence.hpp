// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/presence/presence_shell.hpp"
#include "roost/redis/presence/presence_scripts.hpp"
#include "roost/redis/replica/features.hpp"
#include "roost/redis/scripts/script_connection.hpp"

namespace roost::detail {

/// A walk over the rooms in which a replica holds users, a portion at a time: to remove what a dead
/// replica has left, or to learn what this replica is taken to hold.
class PresenceWalk {
 public:
  /// The next call.
  struct Step {
    PresenceScript script = PresenceScript::rooms;
    std::string room = {};
    std::string cursor = {};
  };

  PresenceWalk(std::string replica, PresenceScript of_rooms)
      : replica_(std::move(replica)), of_rooms_(of_rooms) {}

  [[nodiscard]] const std::string& replica() const noexcept { return replica_; }
  [[nodiscard]] bool has_removed() const noexcept { return has_removed_; }
  void note_removed() noexcept { has_removed_ = true; }

  /// Nothing: the walk is over.
  [[nodiscard]] std::optional<Step> next() const {
    if (!rooms_.empty()) return Step{of_rooms_, rooms_.front(), cursor_};
    if (has_all_rooms_) return std::nullopt;
    return Step{.cursor = rooms_cursor_};
  }
  /// More rooms were told.
  void take_rooms(std::string cursor, std::vector<std::string> rooms) {
    has_all_rooms_ = cursor == "0";
    rooms_cursor_ = std::move(cursor);
    rooms_.insert(rooms_.end(), std::make_move_iterator(rooms.begin()),
                  std::make_move_iterator(rooms.end()));
  }
  /// A portion of the first room is done.
  void take_portion(std::string cursor) {
    cursor_ = std::move(cursor);
    if (cursor_ == "0") rooms_.pop_front();
  }

 private:
  const std::string replica_;
  const PresenceScript of_rooms_;
  std::deque<std::string> rooms_;
  std::string cursor_ = "0";
  std::string rooms_cursor_ = "0";
  bool has_all_rooms_ = false;
  bool has_removed_ = false;
};

/// The presence of a `RedisBackplane`: runs the scripts that `PresenceRooms` wants, and removes
/// what dead replicas have left.
class RedisPresence final : public PresenceShell,
                            public RedisPresencePart,
                            public RedisScriptUser,
                            public RegistryListener {
 public:
  RedisPresence(PresenceOptions options, RedisSharedPtr shared,
                std::shared_ptr<RedisRegistrar> registrar, RedisChannels channels)
      : PresenceShell(std::move(options),
                      {shared->executor(), std::shared_ptr<Clock>(shared, &shared->clock()),
                       shared->options().logger},
                      PresenceRooms::Checks::now_and_then),
        shared_(std::move(shared)),
        registrar_(std::move(registrar)),
        channels_(std::move(channels)),
        prefix_(who_prefix(shared_->options())),
        name_(registrar_->name()),
        random_(std::random_device()()) {}

  /// Before anything else.
  void use(std::shared_ptr<RedisScriptConnection> connection) {
    connection_ = std::move(connection);
    const auto self = this->self();
    number_ = connection_->add(self);
    registrar_->listen(self);
  }

  // --- for the rest of the backplane ---

  [[nodiscard]] std::shared_ptr<BackplanePresence> presence() override {
    return shared_from_this();
  }
  void fill(RedisStats& stats) const override {
    const PresenceCounts its = counts();
    stats.presence_rooms = its.rooms;
    stats.presence_users = its.users;
    stats.presence_changes = its.changes;
    stats.presence_reads = its.reads;
  }
  void on_subscribed(const std::string& channel) override {
    if (!channel.starts_with(prefix_)) return;
    rooms().subscribed(std::string_view(channel).substr(prefix_.size()));
    pump();
  }
  void on_disconnected() override {
    rooms().disconnected();
    pump();
  }
  bool on_message(const std::string& channel, const std::string& text) override {
    if (!channel.starts_with(prefix_)) return false;
    const auto event = read_presence_event(channel.substr(prefix_.size()), text);
    if (event) {
      rooms().event(*event);
      pump();
    }
    return true;
  }
  void close_presence() noexcept override { PresenceShell::close(); }

  // --- as a listener of the registry ---

  void on_named(const std::string& name) override {
    name_ = name;
    walks_.clear();
    rooms().begin_anew();
    pump();
  }
  void on_clean(const std::string& name) override {
    for (const PresenceWalk& walk : walks_) {
      if (walk.replica() == name) return;
    }
    walks_.emplace_back(name, PresenceScript::clean);
    pump();
  }

  [[nodiscard]] Clock::duration linger() const override {
    Clock::duration longest{};
    for (const PresenceRule& rule : rooms().options().rules) {
      longest = std::max(longest, rule.linger);
    }
    return longest;
  }

  // --- as a user of the script connection ---

  [[nodiscard]] RedisScriptSet scripts() const override {
    return {"presence", "redis_presence_refused", presence_script_texts};
  }
  [[nodiscard]] std::vector<RedisTrial> trials() const override;
  void on_up() override {
    is_up_ = true;
    rooms().renew();
    walks_.emplace_back(name_, PresenceScript::held);
    pump();
  }
  void on_down(const std::string&) override { lose(); }
  void on_end() override { lose(); }
  void on_beat() override {
    rooms().retry();
    pump();
  }

 private:
  static constexpr Clock::duration between_rooms = std::chrono::milliseconds(2);
  using Replied = std::function<void(const RedisReply*)>;

  [[nodiscard]] std::shared_ptr<RedisPresence> self() {
    return std::static_pointer_cast<RedisPresence>(shared_from_this());
  }
  [[nodiscard]] bool is_begun() const noexcept override { return is_up_; }
  void on_door(const std::string& room, bool is_open) override;
  void perform(const PresenceCall& call) override;
  void read(const std::string& room, std::size_t max_listed, Answered answered) override;
  [[nodiscard]] time_point its_due() const override {
    return walks_.empty() || is_walking_ ? time_point::max() : walk_at_;
  }
  void take_turn() override;

  void walk(const PresenceWalk::Step& step);
  void on_step(const PresenceWalk::Step& step, const RedisReply* reply);
  /// Runs a script. Calls @p replied once, with null if Redis does not answer.
  void run(PresenceScript script, std::size_t keys, std::vector<std::string> arguments,
           Replied replied);
  void lose();
  [[nodiscard]] std::string who(std::string_view room) const { return prefix_ + std::string(room); }
  [[nodiscard]] std::string in(std::string_view replica) const {
    return in_key(shared_->options(), replica);
  }
  [[nodiscard]] std::string token() { return std::string(Mark::random(random_).view()); }
  [[nodiscard]] std::string max_listed(const std::string& room) const {
    const PresenceRule* const rule = find_rule(rooms().options(), room);
    return std::to_string(rule ? rule->max_listed : 0);
  }

  const RedisSharedPtr shared_;
  const std::shared_ptr<RedisRegistrar> registrar_;
  const RedisChannels channels_;
  const std::string prefix_;
  std::shared_ptr<RedisScriptConnection> connection_;
  std::size_t number_ = 0;
  std::string name_;
  std::mt19937_64 random_;
  bool is_up_ = false;
  std::deque<PresenceWalk> walks_;
  bool is_walking_ = false;  // the first one waits for an answer
  time_point walk_at_ = time_point::min();
};

inline std::vector<RedisTrial> RedisPresence::trials() const {
  const std::string key = who("") + ":probe";
  const std::string set = in("") + ":probe";
  const std::string& channel = shared_->probe_channel();
  using Script = PresenceScript;
  return {{number_of(Script::enter), {key, set, "-", "-", "-", "", "------", channel, "1"}, 2},
          {number_of(Script::read), {key, "1"}, 1},
          {number_of(Script::held), {key, "-", "0"}, 1},
          {number_of(Script::rooms), {set, "0"}, 1},
          {number_of(Script::leave), {key, set, "-", "-", "-", "1", "------", channel, "1"}, 2},
          {number_of(Script::enter), {key, set, "-", "-", "-", "", "------", channel, "1"}, 2},
          {number_of(Script::clean), {key, set, "-", "-", "0", "------", channel, "1"}, 2}};
}

inline void RedisPresence::on_door(const std::string& room, bool is_open) {
  const std::string channel = who(room);
  if (!is_open) return channels_.unsubscribe(channel);
  channels_.subscribe(channel);
  if (channels_.is_listening(channel)) rooms().subscribed(room);
}

inline void RedisPresence::perform(const PresenceCall& call) {
  const OwnUsers::Step& step = call.step;
  const auto done = [this, call](const RedisReply* reply) {
    reply ? rooms().done(call) : rooms().failed(call);
  };
  const std::string channel = who(step.room);
  switch (call.kind) {
    case PresenceCall::Kind::enter:
      return run(PresenceScript::enter, 2,
                 {channel, in(name_), name_, step.room, step.user, step.info, token(), channel,
                  std::to_string(call.max_listed)},
                 done);
    case PresenceCall::Kind::leave:
      return run(PresenceScript::leave, 2,
                 {channel, in(name_), name_, step.room, step.user, step.is_last ? "1" : "0",
                  token(), channel, std::to_string(call.max_listed)},
                 done);
    case PresenceCall::Kind::read: break;
  }
  read(step.room, call.max_listed, [this, call](const PresenceAnswer* answer) {
    answer ? rooms().answered(call, *answer, now()) : rooms().failed(call);
  });
}

inline void RedisPresence::read(const std::string& room, std::size_t max_listed,
                                Answered answered) {
  run(PresenceScript::read, 1, {who(room), std::to_string(max_listed)},
      [this, answered = std::move(answered)](const RedisReply* reply) {
        std::optional<PresenceAnswer> answer;
        if (reply) answer = read_presence_answer(*reply, name_);
        if (reply && !answer) {
          shared_->log_limited(Severity::warning, "redis_presence_refused",
                               {{"why", "the users of a room are damaged"}});
        }
        answered(answer ? &*answer : nullptr);
      });
}

inline void RedisPresence::run(PresenceScript script, std::size_t keys,
                               std::vector<std::string> arguments, Replied replied) {
  const std::weak_ptr<RedisPresence> weak = self();
  auto done = [weak, replied = std::move(replied)](const RedisReply* reply, errc) {
    const auto presence = weak.lock();
    if (!presence) return;
    replied(reply);
    presence->pump();
  };
  connection_->call_if_up(number_, {.script = number_of(script),
                                    .arguments = std::move(arguments),
                                    .done = std::move(done),
                                    .keys = keys});
}

inline void RedisPresence::lose() {
  is_up_ = is_walking_ = false;
  walks_.clear();  // the registry tells again of the dead
  rooms().retry();
  pump();
}

// --- walks ---

inline void RedisPresence::take_turn() {
  if (walks_.empty() || is_walking_ || walk_at_ > now()) return;
  const std::optional<PresenceWalk::Step> step = walks_.front().next();
  if (step) return walk(*step);
  if (walks_.front().has_removed()) registrar_->was_left(walks_.front().replica());
  walks_.pop_front();
}

inline void RedisPresence::walk(const PresenceWalk::Step& step) {
  is_walking_ = true;
  const std::string replica = walks_.front().replica();
  const auto replied = [this, step](const RedisReply* reply) { on_step(step, reply); };
  switch (step.script) {
    case PresenceScript::clean:
      return run(PresenceScript::clean, 2,
                 {who(step.room), in(replica), replica, step.room, step.cursor, token(),
                  who(step.room), max_listed(step.room)},
                 replied);
    case PresenceScript::held:
      return run(PresenceScript::held, 1, {who(step.room), replica, step.cursor}, replied);
    default: return run(PresenceScript::rooms, 1, {in(replica), step.cursor}, replied);
  }
}

inline void RedisPresence::on_step(const PresenceWalk::Step& step, const RedisReply* reply) {
  is_walking_ = false;
  if (walks_.empty()) return;
  if (!reply || reply->elements.size() != 2) return walks_.pop_front();
  PresenceWalk& walk = walks_.front();
  const std::string& cursor = reply->elements[0].text;
  std::vector<std::string> names;
  for (const RedisReply& name : reply->elements[1].elements) {
    if (is_utf8(name.text)) names.push_back(name.text);
  }
  if (step.script == PresenceScript::rooms) return walk.take_rooms(cursor, std::move(names));
  if (step.script == PresenceScript::held) rooms().held(step.room, names);
  if (reply->elements[1].integer > 0) walk.note_removed();
  walk.take_portion(cursor);
  walk_at_ = now() + between_rooms;
}

}  // namespace roost::detail
