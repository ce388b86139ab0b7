// Shows: the echo server over TLS. Only the `asio::ssl::context` for `listen` is added.
// Run:   cmake --build build/chat --target tls && build/chat/examples/tls cert.pem key.pem [PORT]
// Try:   SSL_CERT_FILE=cert.pem python3 -m websockets wss://localhost:8080/
//
// `sh cmake/chat.sh` makes the folder build/chat. The default port is 8080. This command makes a
// certificate to try it with:
/*
  openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
*/

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <csignal>
#include <exception>
#include <iostream>
#include <roost/beast/tls.hpp>

#include "port.hpp"

using boost::asio::awaitable;
namespace ssl = boost::asio::ssl;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

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

int main(int argc, char** argv) try {
  if (argc < 3) throw std::invalid_argument("usage: tls CERTIFICATE KEY [PORT]");
  ssl::context tls(ssl::context::tls_server);
  tls.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                  ssl::context::no_tlsv1_1);
  tls.use_certificate_chain_file(argv[1]);
  tls.use_private_key_file(argv[2], ssl::context::pem);

  boost::asio::io_context context(1);
  auto& service = roost::init_websockets<Ws>(context);
  Manager& manager = service.manager();
  const auto handler = [&](roost::Upgrade upgrade) { return serve(manager, std::move(upgrade)); };
  auto listener = roost::listen(manager, endpoint_of(argc - 2, argv + 2), tls, {}, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  say("tls: wss://", listener.local_endpoint(), '/');
  context.run();
} catch (const std::exception& error) {
  std::cerr << "tls: " << error.what() << '\n';
  return 1;
}
