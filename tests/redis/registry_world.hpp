// SPDX-License-Identifier: MIT
// Replicas with a registry in a real Redis.
#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <roost/redis/registry.hpp>
#include <roost/roost.hpp>
#include <string>
#include <utility>

#include "redis/redis_world.hpp"

namespace roost::test {

// The clock outlives the context.
struct RegistryClock {
  ManualClock clock;
};

struct RegistryWorld : RegistryClock, RedisWorld {
  using Backplane = RedisBackplane;
  using RedisWorld::RedisWorld;

  std::unique_ptr<RedisBackplane> make_control(boost::asio::io_context& its_context,
                                               std::string label, RegistryOptions registry = {}) {
    return std::make_unique<RedisBackplane>(its_context.get_executor(),
                                            RedisOptions{.url = server.url(),
                                                         .channel = prefix + "channel",
                                                         .registry = redis_registry(registry),
                                                         .label = std::move(label),
                                                         .min_retry_delay = 1ms,
                                                         .max_retry_delay = 10ms,
                                                         .logger = log.logger(),
                                                         .clock = &clock});
  }
  /// Until the first beat is answered.
  void until_known(boost::asio::io_context& its_context, const Cluster& cluster) {
    testing::run_until(its_context, [&] { return !cluster.replicas().empty(); });
  }
  /// All replicas beat. That the answers have come is seen when something later does.
  void beat() {
    clock.advance(5s);
    run_ready(context);
  }
  // --- what the registry holds, to be changed ---

  std::string key() const { return prefix + "channel:replicas"; }
  std::string field(std::string_view name) const { return server.ask({"HGET", key(), name}).text; }
  void set_field(std::string_view name, std::string_view value) const {
    server.ask({"HSET", key(), name, value});
  }
  long long now_ms() const {
    const detail::RedisReply time = server.ask({"TIME"});
    return std::stoll(time.elements[0].text) * 1000 + std::stoll(time.elements[1].text) / 1000;
  }
  /// Moves the end of a replica's lease.
  void set_lease(const std::string& name, long long ends_ms) const {
    const std::string value = field("+" + name);
    set_field("+" + name, std::to_string(ends_ms) + value.substr(value.find(' ')));
  }
};

}  // namespace roost::test
