// SPDX-License-Identifier: MIT
// What compile.py measures: a file that makes a manager over a fake.
#include <roost/roost.hpp>
#include <roost/testing.hpp>

int main() {
  boost::asio::io_context context;
  roost::ConnectionManager<roost::testing::FakeWebSocket> manager(context.get_executor());
  return static_cast<int>(manager.total_connections());
}
