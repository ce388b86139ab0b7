// SPDX-License-Identifier: MIT
// A server for the tests of proxies: it tells each client the address that the proxy has written,
// then sends back what it gets. The message "checks" is answered with the number of health checks.
//
//   operators_proxied_server PING_MILLISECONDS

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <roost/beast.hpp>
#include <string>
#include <utility>

using boost::asio::awaitable;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

// The address of the client, which the proxy has written into a header.
std::string client_key(const roost::HttpRequest& request,
                       const boost::asio::ip::tcp::endpoint& proxy) {
  boost::system::error_code error;
  auto address = boost::asio::ip::make_address(std::string(request["X-Forwarded-For"]), error);
  if (error) address = proxy.address();
  const std::string key = roost::address_key(address);  // of an IPv6 address its /64
  return key.empty() ? address.to_string() : key;       // limit private addresses too
}

awaitable<void> serve(Manager& manager, const int& checks, roost::Upgrade upgrade) {
  const std::string address(upgrade.header("X-Forwarded-For").value_or("nobody's"));
  auto socket = co_await upgrade.accept();
  auto echo = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    co_await self->send_text(address);
    while (auto text = co_await manager.next_text(*self)) {
      if (*text == "checks") *text = std::to_string(checks);
      co_await self->send_text(*text);
    }
  };
  co_await manager.session(socket, {}, echo);
}

int main(int argc, char** argv) {
  const std::chrono::milliseconds ping(argc > 1 ? std::atoi(argv[1]) : 30'000);
  boost::asio::io_context context(1);
  roost::ServiceOptions around;
  around.heartbeat = {.interval = ping, .timeout = ping + std::chrono::minutes(1)};
  auto& service = roost::init_websockets<Ws>(context, {}, around);
  Manager& manager = service.manager();

  int checks = 0;
  roost::ListenOptions options;
  options.on_http = [&](const roost::HttpRequest& request) {
    using boost::beast::http::status;
    if (roost::path_of(request) != "/readyz") return roost::HttpResponse(status::not_found, 11);
    ++checks;
    return roost::HttpResponse(manager.is_draining() ? status::service_unavailable : status::ok,
                               11);
  };
  options.request_key = client_key;
  options.per_key.max_connections = 2;
  const auto handler = [&](roost::Upgrade upgrade) {
    return serve(manager, checks, std::move(upgrade));
  };
  const boost::asio::ip::tcp::endpoint endpoint(boost::asio::ip::address_v4::loopback(), 0);
  auto listener = roost::listen(manager, endpoint, std::move(options), handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  std::cout << listener.port() << std::endl;
  context.run();
}
