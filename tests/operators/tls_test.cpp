// SPDX-License-Identifier: MIT
// Clients over TLS: requests of all sizes, and peers that break a rule and do not end TLS in order.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <optional>
#include <roost/beast/tls.hpp>
#include <roost/testing/run.hpp>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/frames.hpp"
#include "beast/support/raw_client.hpp"
#include "catch.hpp"
#include "support/tls_contexts.hpp"

using namespace roost;
using namespace roost::test;
namespace asio = boost::asio;

namespace {

namespace ssl = asio::ssl;
namespace websocket = boost::beast::websocket;
using Manager = ConnectionManager<BeastWebSocket>;
using ConnectionPtr = Manager::ConnectionPtr;
using TlsStream = ssl::stream<asio::ip::tcp::socket>;

/// Says something over TLS, and keeps the connection as it is.
struct TlsClient {
  ssl::context tls = client_tls();
  TlsStream stream;
  std::string received;

  explicit TlsClient(asio::io_context& context) : stream(context, tls) {}

  static asio::awaitable<void> talk(TlsClient& self, asio::ip::tcp::endpoint server,
                                    std::vector<std::string> pieces) {
    co_await self.stream.next_layer().async_connect(server, asio::use_awaitable);
    co_await self.stream.async_handshake(ssl::stream_base::client, asio::use_awaitable);
    for (const std::string& piece : pieces) {
      const auto before = self.received.size();
      co_await asio::async_write(self.stream, asio::buffer(piece), asio::use_awaitable);
      while (self.received.size() == before) co_await read(self);
    }
    while (true) co_await read(self);
  }

 private:
  static asio::awaitable<void> read(TlsClient& self) {
    std::vector<char> piece(4'096);
    const std::size_t n =
        co_await self.stream.async_read_some(asio::buffer(piece), asio::use_awaitable);
    self.received.append(piece.data(), n);
  }
};

asio::awaitable<void> wrap_one(Manager& manager, asio::ip::tcp::acceptor& acceptor,
                               ssl::context& tls, std::optional<SessionOutcome>& outcome) {
  TlsStream stream(co_await acceptor.async_accept(asio::use_awaitable), tls);
  co_await stream.async_handshake(ssl::stream_base::server, asio::use_awaitable);
  websocket::stream<TlsStream> accepted(std::move(stream));
  websocket::permessage_deflate deflate;
  deflate.server_enable = true;
  accepted.set_option(deflate);
  co_await accepted.async_accept(asio::use_awaitable);
  const auto socket = wrap(manager.get_executor(), std::move(accepted));
  const auto echo = [&](ConnectionPtr self) -> asio::awaitable<void> {
    while (auto text = co_await manager.next_text(*self)) co_await self->send_text(*text);
  };
  outcome = co_await manager.session(socket, {}, echo);
}

}  // namespace

TEST_CASE("TLS: a request of any size is answered, whatever its client has in its cookies") {
  asio::io_context context;
  Manager manager(context.get_executor());
  ssl::context tls = server_tls();
  std::vector<std::shared_ptr<BeastWebSocket>> accepted;
  const auto handler = [&](Upgrade upgrade) -> asio::awaitable<void> {
    accepted.push_back(co_await upgrade.accept());
  };
  const Listener listener =
      listen(manager, {asio::ip::address_v4::loopback(), 0}, tls, {}, handler);
  for (const std::size_t size : {10U, 300U, 400U, 1'000U, 5'000U, 16'384U, 32'000U, 33'000U}) {
    CAPTURE(size);
    TlsClient client(context);
    const std::string cookie = "Cookie: a=" + std::string(size, 'x') + "\r\n";
    asio::co_spawn(
        context, TlsClient::talk(client, listener.local_endpoint(), {upgrade_request("/", cookie)}),
        asio::detached);
    testing::run_until(context, [&] { return client.received.size() > 12; });
    CHECK(client.received.substr(9, 3) == (size < 32'768 ? "101" : "431"));
    client.stream.next_layer().close();
    accepted.clear();
    testing::run_ready(context);
  }
}

TEST_CASE("TLS, wrapped: a peer that breaks a rule and just goes is reported by what it did") {
  const auto [what, bytes, code] = GENERATE(table<std::string, std::string, int>({
      {"an unmasked frame", client_frame(Opcode::text, "hello", {.is_masked = false}), 1002},
      {"a length that is none", client_frame(Opcode::text, "", {.length = 1ULL << 63U}), 1002},
      {"a text that is no UTF-8", text_frame("\xFF"), 1007},
      {"a text that ends within a character, and then an empty frame",
       client_frame(Opcode::text, "\xE2", {.is_final = false}) + client_frame(0, ""), 1007},
      {"what cannot be inflated",
       client_frame(Opcode::text, std::string(20, '\xFF'), {.reserved_bits = 4}), 1007},
      {"too much", client_frame(Opcode::binary, "", {.length = 1'048'577}), 1009},
      {"too much in two frames",
       client_frame(Opcode::binary, std::string(600'000, 'x'), {.is_final = false}) +
           client_frame(0, std::string(600'000, 'x')),
       1009},
  }));
  CAPTURE(what);
  asio::io_context context;
  Manager manager(context.get_executor());
  ssl::context tls = server_tls();
  asio::ip::tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  std::optional<SessionOutcome> outcome;
  TlsClient client(context);
  asio::co_spawn(context, wrap_one(manager, acceptor, tls, outcome), asio::detached);
  asio::co_spawn(
      context,
      TlsClient::talk(client, acceptor.local_endpoint(),
                      {upgrade_request("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
                       text_frame("first"), bytes}),
      asio::detached);
  const std::string close{'\x88', '\x02', static_cast<char>(code >> 8),
                          static_cast<char>(code & 0xFF)};
  testing::run_until(context, [&] { return client.received.ends_with(close); });
  client.stream.next_layer().close();
  testing::run_until(context, [&] { return outcome.has_value(); });
  CHECK(outcome->reason ==
        (code == 1009 ? DisconnectReason::message_too_big : DisconnectReason::protocol_error));
  CHECK(outcome->code == code);
  testing::run_until(context, [&] { return manager.total_connections() == 0; });
  testing::run_ready(context);
}
