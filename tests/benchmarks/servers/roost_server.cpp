// SPDX-License-Identifier: MIT
// roost as its users have it: the public interface, the defaults, and a handler of two lines.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <roost/beast/tls.hpp>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;
using asio::awaitable;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

awaitable<void> serve(roost::Upgrade upgrade) {
  Manager& manager = roost::get_manager<Ws>(co_await asio::this_coro::executor);
  const auto room = upgrade.path_after("/ws/");
  if (!room) {
    co_await upgrade.reject(404);
    co_return;
  }
  auto socket = co_await upgrade.accept();
  auto handler = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    while (auto text = co_await manager.next_text(*self)) {
      co_await manager.broadcast_text(*text, {.room = *room});
    }
  };
  co_await manager.session(socket, {.rooms = *room}, handler);
}

// roost_server PORT [--ping SECONDS] [--deflate] [--tls CERTIFICATE KEY]; --ping 0: no heartbeat
int main(int argc, char** argv) try {
  using seconds = std::chrono::duration<double>;
  if (argc < 2) throw std::invalid_argument("a port is missing");
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  asio::ssl::context tls(asio::ssl::context::tls_server);
  bool is_tls = false;
  roost::ServiceOptions around;
  roost::ListenOptions listening;
  for (int i = 2; i < argc;) {
    const std::string flag = argv[i];
    if (flag == "--ping" && i + 1 < argc) {
      const auto interval = std::chrono::duration_cast<roost::Clock::duration>(
          seconds(std::strtod(argv[i + 1], nullptr)));
      around.heartbeat = roost::HeartbeatOptions{.interval = interval, .timeout = 3 * interval};
      if (interval == interval.zero()) around.heartbeat.reset();
      i += 2;
    } else if (flag == "--deflate") {
      listening.stream.compression.emplace();
      ++i;
    } else if (flag == "--tls" && i + 2 < argc) {
      is_tls = true;
      tls.use_certificate_chain_file(argv[i + 1]);
      tls.use_private_key_file(argv[i + 2], asio::ssl::context::pem);
      i += 3;
    } else {
      throw std::invalid_argument(flag);
    }
  }

  asio::io_context context(1);
  // The number of connections is the load's choice.
  roost::ManagerOptions<Ws> options{.max_connections = std::nullopt};
  Manager& manager = roost::init_websockets<Ws>(context, options, around).manager();
  const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  auto listener = is_tls ? roost::listen(manager, endpoint, tls, listening, serve)
                         : roost::listen(manager, endpoint, listening, serve);
  context.run();
} catch (const std::exception& error) {
  std::cerr << "roost_server: " << error.what() << '\n';
  return 1;
}
