// SPDX-License-Identifier: MIT
#include <roost/beast.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

int main() {
  boost::asio::io_context context;
  roost::ConnectionManager<roost::BeastWebSocket> manager(context.get_executor());
  const auto handler = [](roost::Upgrade) -> boost::asio::awaitable<void> { co_return; };
  const boost::asio::ip::tcp::endpoint any_port(boost::asio::ip::address_v4::loopback(), 0);
  return roost::listen(manager, any_port, {}, handler).port() == 0 ? 1 : 0;
}
