// SPDX-License-Identifier: MIT
// roost as an application uses it: every text goes to everyone in the room /ws/{room}, its sender
// included.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <roost/beast/tls.hpp>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
using Manager = roost::ConnectionManager<roost::BeastWebSocket>;

asio::awaitable<void> serve(Manager& manager, roost::Upgrade upgrade) {
  const std::string room = upgrade.path_after("/ws/").value_or("lobby");
  auto socket = co_await upgrade.accept();
  auto handler = [&](Manager::ConnectionPtr self) -> asio::awaitable<void> {
    while (auto text = co_await manager.next_text(*self)) {
      co_await manager.broadcast_text(*text, {.room = room});
    }
  };
  co_await manager.session(socket, {.rooms = room}, handler);
}

}  // namespace

// roost_server PORT [CERTIFICATE KEY]
int main(int argc, char** argv) try {
  if (argc != 2 && argc != 4) {
    std::cerr << "Usage: roost_server PORT [CERTIFICATE KEY]\n";
    return 2;
  }
  asio::io_context context(1);
  Manager manager(context.get_executor(), {.max_connections = std::nullopt});
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  auto handler = [&](roost::Upgrade upgrade) { return serve(manager, std::move(upgrade)); };
  asio::ssl::context tls(asio::ssl::context::tls_server);
  if (argc == 4) {
    tls.use_certificate_chain_file(argv[2]);
    tls.use_private_key_file(argv[3], asio::ssl::context::pem);
  }
  auto listener = argc == 4 ? roost::listen(manager, endpoint, tls, {}, handler)
                            : roost::listen(manager, endpoint, {}, handler);
  context.run();
} catch (const std::exception& error) {
  std::cerr << "roost_server: " << error.what() << '\n';
  return 1;
}
