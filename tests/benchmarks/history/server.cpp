// SPDX-License-Identifier: MIT
// The server of the benchmark of histories: what it sends goes through a Cluster over a LocalHub.
//
//   history_server PORT RULE    RULE: which rooms have a history, such as "*"
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <iostream>
#include <roost/backplane/local_backplane.hpp>
#include <roost/beast.hpp>
#include <utility>

namespace asio = boost::asio;
using asio::awaitable;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

awaitable<void> serve(roost::Service<Ws>& service, roost::Upgrade upgrade) {
  Manager& manager = service.manager();
  const auto room = upgrade.path_after("/ws/");
  if (!room) {
    co_await upgrade.reject(404);
    co_return;
  }
  const auto resume = upgrade.query("resume");
  auto socket = co_await upgrade.accept();
  auto handler = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    while (auto text = co_await manager.next_text(*self)) {
      co_await service.cluster().broadcast_text(*text, {.room = *room});
    }
  };
  co_await manager.session(socket, {.rooms = *room, .resume = resume}, handler);
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "history_server PORT RULE\n";
    return 2;
  }
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  asio::io_context context(1);
  const roost::LocalHub hub({.rules = {{.rooms = argv[2]}}});
  roost::LocalBackplane backplane(context.get_executor(), hub);
  // The number of connections is the load's choice.
  roost::ManagerOptions<Ws> options{.max_connections = std::nullopt};
  auto& service = roost::init_websockets<Ws>(context, options, {.backplane = backplane});
  const auto handler = [&](roost::Upgrade upgrade) { return serve(service, std::move(upgrade)); };
  auto listener =
      roost::listen(service.manager(), {asio::ip::address_v4::loopback(), port}, {}, handler);
  context.run();
} catch (const std::exception& error) {
  std::cerr << "history_server: " << error.what() << '\n';
  return 1;
}
