// Shows: the smallest server. It sends each message, text or binary, back to its sender.
// Run:   cmake --build build/chat --target echo && build/chat/examples/echo [PORT]
// Try:   python3 -m websockets ws://127.0.0.1:8080/
//
// `sh cmake/chat.sh` makes the folder build/chat. The default port is 8080.

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <roost/beast.hpp>

#include "port.hpp"

using boost::asio::awaitable;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

// Serves one client, from its upgrade request until it leaves.
awaitable<void> serve(Manager& manager, roost::Upgrade upgrade) {
  auto socket = co_await upgrade.accept();
  auto echo = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    for (;;) {  // When the client leaves, `receive` throws, and `session` returns.
      const roost::Message message = co_await manager.receive(*self);
      if (message.is_text) {
        co_await self->send_text(message.text());
      } else {
        co_await self->send_bytes(message.bytes());
      }
    }
  };
  co_await manager.session(socket, {}, echo);
}

int main(int argc, char** argv) {
  boost::asio::io_context context(1);
  auto& service = roost::init_websockets<Ws>(context);
  Manager& manager = service.manager();
  const auto handler = [&](roost::Upgrade upgrade) { return serve(manager, std::move(upgrade)); };
  auto listener = roost::listen(manager, endpoint_of(argc, argv), {}, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  say("echo: ws://", listener.local_endpoint(), '/');
  context.run();
}
