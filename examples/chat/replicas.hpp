// Makes one chat of this process or, with Redis, of every process: what a member says reaches the
// whole room. The newest messages, and who is in a room, are kept in Redis or else in this process.
// So members who come back get what they missed, also from another process.
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/backplane/local_presence.hpp>
#include <roost/beast.hpp>
#include <roost/prometheus.hpp>
#include <roost/redis.hpp>
#include <roost/redis/history.hpp>
#include <roost/redis/presence.hpp>
#include <roost/redis/registry.hpp>
#include <span>
#include <utility>

#include "settings.hpp"

class Replicas {
 public:
  using Service = roost::Service<roost::BeastWebSocket>;

  template <class Context>
  Replicas(Context& context, const Settings& settings, const roost::Logger& logger) {
    const roost::HistoryOptions kept{.rules = {{.rooms = "*", .max_bytes = max_kept_bytes}}};
    const roost::PresenceOptions present{.rules = {{.rooms = "*", .linger = settings.linger}}};
    if (settings.redis.empty()) {  // this process is the only replica
      local_ = std::make_shared<roost::LocalBackplane>(
          context.get_executor(), roost::LocalHub(kept),
          roost::LocalBackplaneOptions{.presence = roost::local_presence(present),
                                       .logger = logger});
      return;
    }
    roost::RegistryOptions alive{.lease = settings.lease};
    alive.beat_interval = std::min(alive.beat_interval, alive.lease / 6);
    redis_ = std::make_shared<roost::RedisBackplane>(
        context.get_executor(),
        roost::RedisOptions{.url = settings.redis,
                            .channel = settings.channel,
                            .history = roost::redis_history(kept),
                            .registry = roost::redis_registry(alive),
                            .presence = roost::redis_presence(present),
                            .require_connection = false,  // starts without Redis too
                            .logger = logger});
  }

  [[nodiscard]] roost::BackplaneRef backplane() const {
    return redis_ ? roost::BackplaneRef(redis_) : roost::BackplaneRef(local_);
  }

  /// Sends through @p service from now on, and tells its members whenever Redis is lost or back.
  void attach(Service& service) {
    service_ = &service;
    if (!redis_) return;
    redis_->on_state([this](roost::RedisState state) {
      const bool is_reachable = state == roost::RedisState::subscribed;
      if (std::exchange(is_reachable_, is_reachable) == is_reachable) return;
      const nlohmann::json event = {{"event", "replicas"}, {"reachable", is_reachable}};
      // It is not posted: members who join later learn the state from their welcome, so they must
      // not get this event too.
      auto& manager = service_->manager();
      boost::asio::co_spawn(manager.get_executor(), done(manager.broadcast_json(event)),
                            boost::asio::detached);
    });
  }

  void add_to(roost::Metrics& metrics) const {
    if (redis_) metrics.add(redis_);
  }

  /// False while Redis, and with it the other replicas, cannot be reached.
  [[nodiscard]] bool are_reachable() const { return !redis_ || is_reachable_; }

  /// Sends what a member says to all members of a room, and records it. Waits for Redis. While
  /// Redis cannot be reached nothing is recorded, so that the members of one process still reach
  /// each other.
  boost::asio::awaitable<void> send(const nlohmann::json& event, roost::BroadcastOptions to) {
    if (!are_reachable()) to.record = false;
    const roost::Published sent = co_await service_->cluster().broadcast_json(event, to);
    if (!was_refused(sent, to)) co_return;
    to.record = false;
    co_await service_->cluster().broadcast_json(event, to);
  }
  boost::asio::awaitable<void> send(std::span<const std::byte> bytes, roost::BroadcastOptions to) {
    if (!are_reachable()) to.record = false;
    const roost::Published sent = co_await service_->cluster().broadcast_bytes(bytes, to);
    if (!was_refused(sent, to)) co_return;
    to.record = false;
    co_await service_->cluster().broadcast_bytes(bytes, to);
  }

 private:
  // Of one room. The longest message takes 1 MiB.
  static constexpr std::size_t max_kept_bytes = 1'310'720;

  /// Whether a message was to be recorded, but was not, and so has reached nobody.
  static bool was_refused(const roost::Published& sent, const roost::BroadcastOptions& to) {
    return sent.error == roost::errc::backplane_unavailable && to.record.value_or(true);
  }

  template <class T>
  static boost::asio::awaitable<void> done(boost::asio::awaitable<T> sending) {
    co_await std::move(sending);
  }

  // One of the two.
  std::shared_ptr<roost::RedisBackplane> redis_;
  std::shared_ptr<roost::LocalBackplane> local_;
  Service* service_ = nullptr;
  bool is_reachable_ = false;
};
