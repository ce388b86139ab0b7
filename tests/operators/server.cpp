// SPDX-License-Identifier: MIT
// A server for the tests of processes: an echo that logs everything to stderr.
//
//   operators_server PORT [shared]
//
// "shared" lets others listen on the same port. The message "child" starts a program that lives on.

#include <spawn.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <roost/beast.hpp>
#include <string_view>
#include <utility>

using boost::asio::awaitable;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

std::string start_child() {
  char name[] = "sleep";
  char seconds[] = "100";
  char* const arguments[] = {name, seconds, nullptr};
  pid_t child = 0;
  if (::posix_spawnp(&child, name, nullptr, nullptr, arguments, environ) != 0) return "failed";
  return std::to_string(child);
}

awaitable<void> serve(Manager& manager, roost::Upgrade upgrade) {
  auto socket = co_await upgrade.accept();
  auto echo = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    while (auto text = co_await manager.next_text(*self)) {
      if (*text == "child") *text = start_child();
      co_await self->send_text(*text);
    }
  };
  co_await manager.session(socket, {}, echo);
}

int main(int argc, char** argv) {
  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
  const bool is_shared = argc > 2 && std::string_view(argv[2]) == "shared";
  boost::asio::io_context context(1);
  auto& service = roost::init_websockets<Ws>(context, {.logger = roost::log_to_stderr()});
  Manager& manager = service.manager();
  const auto handler = [&](roost::Upgrade upgrade) { return serve(manager, std::move(upgrade)); };
  auto listener = roost::listen(manager, {boost::asio::ip::address_v4::loopback(), port},
                                {.reuse_port = is_shared}, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  std::cout << listener.port() << std::endl;
  context.run();
}
