// How the chat reaches the members of a room: those of this process, or of all that share a Redis.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/beast.hpp>
#include <roost/prometheus.hpp>
#include <roost/redis.hpp>
#include <span>
#include <string>
#include <utility>

class Replicas {
 public:
  using Service = roost::Service<roost::BeastWebSocket>;

  /// @param url      of a Redis; empty: there is one replica only
  /// @param channel  where those meet that are one chat
  template <class Context>
  Replicas(Context& context, const std::string& url, const std::string& channel,
           roost::Logger logger) {
    if (url.empty()) return;
    redis_ = std::make_shared<roost::RedisBackplane>(
        context.get_executor(),
        roost::RedisOptions{.url = url,
                            .channel = channel,
                            .require_connection = false,  // rather a chat of one than none
                            .logger = std::move(logger)});
  }

  [[nodiscard]] roost::BackplaneRef backplane() const {
    return redis_ ? roost::BackplaneRef(redis_) : roost::BackplaneRef();
  }

  /// From now on messages go through @p service, whose members see whether the others are there.
  void attach(Service& service) {
    service_ = &service;
    if (!redis_) return;
    redis_->on_state([this](roost::RedisState state) {
      const bool is_reachable = state == roost::RedisState::subscribed;
      if (std::exchange(is_reachable_, is_reachable) == is_reachable) return;
      const nlohmann::json event = {{"event", "replicas"}, {"reachable", is_reachable}};
      // Now and not posted: members who come later learn it from their welcome.
      auto& manager = service_->manager();
      boost::asio::co_spawn(manager.get_executor(), done(manager.broadcast_json(event)),
                            boost::asio::detached);
    });
  }

  void add_to(roost::Metrics& metrics) const {
    if (redis_) metrics.add(redis_);
  }

  [[nodiscard]] bool is_alone() const { return !redis_; }
  /// False if there are others that cannot be heard now.
  [[nodiscard]] bool are_reachable() const { return !redis_ || is_reachable_; }

  /// To all members of a room. Waits for those that do not keep up, or for Redis.
  boost::asio::awaitable<void> send(const nlohmann::json& event, roost::BroadcastOptions to) {
    return redis_ ? done(service_->cluster().broadcast_json(event, to))
                  : done(service_->manager().broadcast_json(event, to));
  }
  boost::asio::awaitable<void> send(std::span<const std::byte> bytes, roost::BroadcastOptions to) {
    return redis_ ? done(service_->cluster().broadcast_bytes(bytes, to))
                  : done(service_->manager().broadcast_bytes(bytes, to));
  }
  /// To all members of a room, without waiting.
  void post(const nlohmann::json& event, roost::BroadcastOptions to) {
    if (!redis_) return service_->manager().post_json(event, to);
    if (redis_->state() == roost::RedisState::stopped) return;  // the last have gone
    boost::asio::co_spawn(service_->manager().get_executor(), send(event, to),
                          boost::asio::detached);
  }

 private:
  template <class T>
  static boost::asio::awaitable<void> done(boost::asio::awaitable<T> sending) {
    co_await std::move(sending);
  }

  std::shared_ptr<roost::RedisBackplane> redis_;
  Service* service_ = nullptr;
  bool is_reachable_ = false;
};
