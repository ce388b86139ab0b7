// SPDX-License-Identifier: MIT
// What compile.py measures: a file that makes a manager over a fake.
#include <roost/roost.hpp>
#include <roost/testing.hpp>

int main() {
  boost::asio::io_context context;
  const boost::asio::any_io_executor executor = context.get_executor();
  roost::ConnectionManager<roost::testing::FakeWebSocket> manager(executor);
  return static_cast<int>(manager.total_connections());
}
