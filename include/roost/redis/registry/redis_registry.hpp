// SPDX-License-Identifier: MIT
#pragma once

#include <set>

#include "roost/backplane/control/control_desk.hpp"
#include "roost/base/error.hpp"
#include "roost/base/text/text.hpp"
#include "roost/redis/registry.hpp"
#include "roost/redis/registry/registry_scripts.hpp"
#include "roost/redis/replica/features.hpp"
#include "roost/redis/scripts/script_connection.hpp"

namespace roost::detail {

/// The registry of replicas in Redis: says again and again that this replica is alive, learns who
/// else is, and carries the messages between them.
class RedisRegistry final : public RedisRegistrar,
                            public RedisScriptUser,
                            public ControlLine,
                            public std::enable_shared_from_this<RedisRegistry> {
 public:
  RedisRegistry(RegistryOptions options, RedisSharedPtr shared, std::string rules)
      : options_(options), shared_(std::move(shared)), rules_(std::move(rules)) {}

  /// Before anything else.
  void use(std::shared_ptr<RedisScriptConnection> connection) {
    connection_ = std::move(connection);
    number_ = connection_->add(shared_from_this());
  }

  // --- for the rest of the backplane ---

  [[nodiscard]] std::shared_ptr<ControlDesk> make_desk() override {
    auto desk = std::make_shared<ControlDesk>(shared_from_this());
    desk_ = desk;
    return desk;
  }
  bool on_message(const std::string& text) override {
    const auto desk = desk_.lock();
    return desk && desk->receive(text);
  }
  void fill(RedisStats& stats) const override {
    if (const auto desk = desk_.lock()) {
      const ControlCounts asked = desk->counts();
      stats.asks = asked.asks;
      stats.missing_answers = asked.missing;
    }
    stats.replicas = replicas().size();
  }
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  void listen(std::weak_ptr<RegistryListener> listener) override {
    listeners_.push_back(std::move(listener));
  }
  void was_left(const std::string& name) override { left_.insert(name); }

  // --- as a line ---

  [[nodiscard]] boost::asio::any_io_executor executor() const override {
    return shared_->executor();
  }
  [[nodiscard]] Clock& clock() const override { return shared_->clock(); }
  [[nodiscard]] std::string own_name() const override { return name_; }
  [[nodiscard]] std::string address() const override { return shared_->node(); }
  [[nodiscard]] std::vector<ReplicaInfo> replicas() const override {
    const std::lock_guard lock(mutex_);
    return alive_;
  }
  void list(Listed done) override { beat(std::move(done)); }
  void tell_all(std::string text) override { publish(shared_->control_channel(), std::move(text)); }
  void tell(const std::string& address, std::string text) override {
    publish(shared_->probe_channel_of(address), std::move(text));
  }

  // --- as a user of the script connection ---

  [[nodiscard]] RedisScriptSet scripts() const override {
    return {"registry", "redis_registry_refused", registry_script_texts};
  }
  [[nodiscard]] std::vector<RedisTrial> trials() const override {
    const std::string key = registry_key(shared_->options()) + ":probe";
    const std::vector<std::string> beat = {key, "-", "beat", "1000", "1000", "{}", "1000"};
    const std::vector<std::string> leave = {key, "-", "leave", "1000", "1000", "0", "1000"};
    return {{number_of(RegistryScript::beat), leave, 1},
            {number_of(RegistryScript::beat), beat, 1},
            {number_of(RegistryScript::tell), {key, shared_->probe_channel(), "probe", "1000"}, 1}};
  }
  void on_up() override { beat(); }
  void on_beat() override {
    if (shared_->now() >= due_) beat();
  }
  void on_begin() override {
    // It has left: now it is another replica.
    if (!std::exchange(is_leaving_, false)) return;
    rename();
    beat();
  }
  void on_stopping() override {
    if (std::exchange(is_leaving_, true)) return;
    Clock::duration linger{};
    for_listeners([&](RegistryListener& its) { linger = std::max(linger, its.linger()); });
    connection_->call(number_, {.script = number_of(RegistryScript::beat),
                                .arguments = arguments("leave", to_ms_text(linger)),
                                .keys = 1});
  }
  void on_end() override {
    const std::lock_guard lock(mutex_);
    alive_.clear();
  }
  [[nodiscard]] Clock::duration beat_interval() const override { return options_.beat_interval; }

 private:
  static constexpr Clock::duration keep_buried = std::chrono::hours(24);

  [[nodiscard]] std::string own_info() const {
    const auto desk = desk_.lock();
    return encode_info({.name = name_,
                        .version = version_text(),
                        .label = shared_->options().label,
                        .connections = desk ? desk->connections() : 0,
                        .rules = rules_});
  }
  [[nodiscard]] std::vector<std::string> arguments(const char* what, std::string more) const {
    return {registry_key(shared_->options()),
            name_,
            what,
            to_ms_text(options_.lease),
            to_ms_text(options_.beat_interval),
            std::move(more),
            to_ms_text(keep_buried)};
  }
  /// @param done  called with the names of all that are alive, or nothing if Redis does not answer
  void beat(Listed done = {}) {
    if (is_leaving_) return done ? done(std::nullopt) : void();
    // A beat that comes a little early must not put the next one off.
    due_ = shared_->now() + options_.beat_interval / 2;
    std::vector<std::string> beat = arguments("beat", own_info());
    beat.insert(beat.end(), left_.begin(), left_.end());
    auto answered = [self = weak_from_this(), left = left_, name = name_, done = std::move(done)](
                        const RedisReply* reply, errc) {
      const auto registry = self.lock();
      if (!registry || !reply) return done ? done(std::nullopt) : void();
      for (const std::string& told : left) registry->left_.erase(told);
      registry->on_answer(name, *reply, done);
    };
    connection_->call_if_up(number_, {.script = number_of(RegistryScript::beat),
                                      .arguments = std::move(beat),
                                      .done = std::move(answered),
                                      .keys = 1});
  }
  void publish(std::string channel, std::string text) {
    connection_->call_if_up(
        number_, {.script = number_of(RegistryScript::tell),
                  .arguments = {registry_key(shared_->options()), std::move(channel),
                                std::move(text), to_ms_text(keep_buried + options_.lease)},
                  .done = [](const RedisReply*, errc) {},
                  .keys = 1});
  }
  void on_answer(const std::string& name, const RedisReply& reply, const Listed& done) {
    if (name != name_) return done ? beat(done) : void();  // it had another name meanwhile
    std::optional<BeatAnswer> answer = read_beat(reply);
    if (!answer) {
      shared_->log_limited(Severity::warning, "redis_registry_refused",
                           {{"why", "the registry is damaged"}});
      return done ? done(std::nullopt) : void();
    }
    if (answer->is_buried) {
      shared_->log(Severity::warning, "redis_replica_buried", {{"name", name_}});
      rename();
      return beat(done);
    }
    compare(answer->alive);
    {
      const std::lock_guard lock(mutex_);
      alive_ = std::move(answer->alive);
    }
    for (const std::string& dead : answer->to_clean) clean(dead);
    if (!done) return;
    Names names;
    for (const ReplicaInfo& replica : replicas()) names.push_back(replica.name);
    done(std::move(names));
  }
  void clean(const std::string& dead) {
    if (listeners_.empty()) return;
    shared_->log(Severity::info, "redis_replica_cleaned", {{"name", dead}});
    for_listeners([&](RegistryListener& listener) { listener.on_clean(dead); });
  }
  void rename() {
    name_ = random_id();
    for_listeners([&](RegistryListener& listener) { listener.on_named(name_); });
  }
  /// Logs replicas with other rules, each once.
  void compare(const std::vector<ReplicaInfo>& alive) {
    for (const ReplicaInfo& replica : alive) {
      if (replica.rules == rules_ || !differing_.insert(replica.name).second) continue;
      shared_->log(Severity::error, "redis_replicas_differ",
                   {{"name", replica.name}, {"label", replica.label}});
    }
    std::erase_if(differing_, [&](const std::string& name) {
      return std::ranges::none_of(alive,
                                  [&](const ReplicaInfo& replica) { return replica.name == name; });
    });
  }
  template <class F>
  void for_listeners(F f) {
    const auto listeners = listeners_;
    for (const auto& weak : listeners) {
      if (const auto listener = weak.lock()) f(*listener);
    }
  }

  const RegistryOptions options_;
  const RedisSharedPtr shared_;
  const std::string rules_;
  std::shared_ptr<RedisScriptConnection> connection_;
  std::size_t number_ = 0;
  std::weak_ptr<ControlDesk> desk_;  // which owns this, as its line
  std::vector<std::weak_ptr<RegistryListener>> listeners_;
  std::string name_ = random_id();
  std::set<std::string> left_;
  std::set<std::string> differing_;
  Clock::time_point due_{};
  bool is_leaving_ = false;
  mutable std::mutex mutex_;  // `replicas` may be called on any thread
  std::vector<ReplicaInfo> alive_;
};

}  // namespace roost::detail
