// SPDX-License-Identifier: MIT
// Everything but Beast, which costs too much here: that it is installed, packages_test.py sees.
#include <roost/prometheus.hpp>
#include <roost/redis.hpp>
#include <roost/roost.hpp>
#include <roost/spdlog.hpp>
#include <roost/testing.hpp>

int main() {
  boost::asio::io_context context;
  roost::ConnectionManager<roost::testing::FakeWebSocket> manager(
      context.get_executor(), {.logger = roost::log_to_spdlog()});
  roost::RedisBackplane backplane(context.get_executor(), {});
  roost::Metrics metrics;
  return manager.total_connections() == 0 && metrics.Collect().empty() ? 0 : 1;
}
