// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/presence/presence_shell.hpp"
#include "roost/redis/detail/presence_part.hpp"
#include "roost/redis/presence/scripts.hpp"
#include "roost/redis/presence/walk.hpp"
#include "roost/redis/presence/wire.hpp"
#include "roost/redis/scripts/script_connection.hpp"

namespace roost::detail {

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

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/redis/presence/redis_presence.ipp"
#endif
