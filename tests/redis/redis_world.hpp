// SPDX-License-Identifier: MIT
// Replicas that meet at a real Redis.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <roost/redis.hpp>
#include <roost/testing.hpp>
#include <string>
#include <utility>

#include "redis/redis_server.hpp"
#include "support/backplane_config.hpp"
#include "support/bench.hpp"
#include "support/log.hpp"

namespace roost::test {

/// One for the whole program, for tests that leave it as it is.
inline RedisServer& common_redis() {
  static RedisServer server;
  return server;
}

struct RedisWorld {
  using Backplane = RedisBackplane;

  Log log;  // warnings and errors
  boost::asio::io_context context;
  RedisServer& server = common_redis();
  const std::string prefix = detail::random_id() + ".";  // no test hears another

  RedisWorld() = default;
  explicit RedisWorld(RedisServer& its_server) : server(its_server) {}

  std::unique_ptr<RedisBackplane> make(const Config& config = {}) {
    return make(RedisOptions{.channel = prefix + config.channel,
                             .max_message_bytes = config.max_message_bytes});
  }
  std::unique_ptr<RedisBackplane> make(RedisOptions options) {
    if (options.url == RedisOptions().url) options.url = server.url();
    if (options.channel == RedisOptions().channel) options.channel = prefix + "channel";
    options.logger = [record = log.logger()](const LogEvent& event) {
      if (event.severity >= Severity::warning) record(event);
    };
    return std::make_unique<RedisBackplane>(context.get_executor(), std::move(options));
  }
  /// Makes progress until @p predicate holds.
  template <class Predicate>
  void until(Predicate predicate) {
    testing::run_until(context, predicate);
  }
  template <class T>
  T run(awaitable<T> coroutine) {
    const auto task = detail::Child<T>::start(context.get_executor(), std::move(coroutine));
    until([&] { return task->is_done(); });
    return task->take();
  }
};

}  // namespace roost::test
