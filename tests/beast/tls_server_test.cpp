// SPDX-License-Identifier: MIT
// A server over TLS, from the handshake to the end of its WebSockets.
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/ssl/verify_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <chrono>
#include <cstddef>
#include <roost/beast/tls.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "beast/support/frames.hpp"
#include "beast/support/server.hpp"
#include "beast/support/tls_peer.hpp"
#include "catch.hpp"

namespace roost::test {
namespace {

namespace asio = boost::asio;
namespace ssl = asio::ssl;

/// An echo over TLS.
struct TlsServer {
  ManualClock clock;
  asio::io_context context;
  Manager manager{context.get_executor(), {.clock = &clock}};
  ssl::context tls = server_tls();
  std::vector<SessionOutcome> outcomes;

  Listener listen() {
    ListenOptions options;
    options.stream.clock = &clock;
    return roost::listen(manager, any_port(), tls, std::move(options),
                         [this](Upgrade upgrade) { return serve(*this, std::move(upgrade)); });
  }

  static awaitable<> serve(TlsServer& self, Upgrade upgrade) {
    const auto socket = co_await upgrade.accept();
    const auto echo = [&self](ConnectionPtr connection) -> awaitable<> {
      while (const auto text = co_await self.manager.next_text(*connection)) {
        co_await connection->send_text(*text);
      }
    };
    self.outcomes.push_back(co_await self.manager.session(socket, {}, echo));
  }
};

/// Upgrades, and reads past the answer.
void upgrade(TlsPeer& peer) {
  peer.send(peer.encrypt(upgrade_request()));
  peer.until([&] { return peer.received.ends_with("\r\n\r\n"); });
  REQUIRE(peer.received.substr(9, 3) == "101");
  peer.received.clear();
}

std::vector<ServerFrame> frames_of(const std::string& bytes) {
  FrameParser parser;
  parser.feed(bytes);
  CHECK(parser.error().empty());
  return parser.frames();
}

}  // namespace

TEST_CASE("TLS server: an upgrade and frames behind the handshake in the same segment") {
  TlsServer server;
  const Listener listener = server.listen();
  TlsPeer peer(server.context);
  peer.connect(listener.local_endpoint());
  peer.shake_hands(/*holds_last=*/true);
  peer.send(peer.encrypt(upgrade_request() + text_frame("early")));
  peer.until([&] { return peer.received.ends_with("early"); });
  CHECK(peer.received.substr(9, 3) == "101");
}

TEST_CASE("TLS server: a WebSocket that is closed ends with a close_notify, without the client's") {
  TlsServer server;
  const Listener listener = server.listen();
  TlsPeer peer(server.context);
  peer.connect(listener.local_endpoint());
  peer.shake_hands();
  upgrade(peer);
  peer.send(peer.encrypt(text_frame("last words") + close_frame(1000)));
  peer.until([&] { return peer.is_gone; });
  const auto frames = frames_of(peer.received);
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].payload == "last words");
  CHECK(frames[1].code() == 1000);
  CHECK(peer.got_close_notify());
  peer.close();
  peer.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::peer_closed);
}

TEST_CASE("TLS server: a client that stops reading gets everything later, up to its close frame") {
  TlsServer server;
  const Listener listener = server.listen();
  TlsPeer peer(server.context);
  peer.connect(listener.local_endpoint(), 16'384);
  peer.shake_hands();
  upgrade(peer);
  peer.is_paused = true;
  const std::string text(100'000, 'x');
  constexpr std::size_t count = 20;
  for (std::size_t i = 0; i < count; ++i) peer.send(peer.encrypt(text_frame(text)));
  peer.send(peer.encrypt(close_frame(1000)));
  for (int i = 0; i < 100; ++i) {
    peer.pump();
    testing::run_ready(server.context);
  }
  peer.is_paused = false;
  peer.until([&] { return peer.is_gone; });
  const auto frames = frames_of(peer.received);
  REQUIRE(frames.size() == count + 1);
  for (std::size_t i = 0; i < count; ++i) CHECK((frames[i].payload == text));
  CHECK(frames.back().code() == 1000);
}

TEST_CASE("TLS server: a client that does not finish its handshake is dropped after its timeout") {
  TlsServer server;
  const Listener listener = server.listen();
  TlsPeer peer(server.context);
  peer.connect(listener.local_endpoint());
  SSL_do_handshake(peer.tls());
  const std::string hello = peer.take_output();
  peer.send(GENERATE(true, false) ? hello.substr(0, 50) : hello);
  testing::run_ready(server.context);
  peer.pump();
  CHECK(!peer.is_gone);
  server.clock.advance(std::chrono::seconds(15));
  peer.until([&] { return peer.is_gone; });
  CHECK(server.outcomes.empty());
}

TEST_CASE("TLS server: client certificates, ALPN and SNI are those of the context") {
  TlsServer server;
  std::string verified;
  std::string name;
  server.tls.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
  server.tls.add_certificate_authority(asio::buffer(certificate));
  server.tls.set_verify_callback([&](bool is_fine, ssl::verify_context& context) {
    std::array<char, 100> subject{};
    X509_NAME_oneline(
        X509_get_subject_name(X509_STORE_CTX_get_current_cert(context.native_handle())),
        subject.data(), static_cast<int>(subject.size()));
    verified = subject.data();
    return is_fine;
  });
  SSL_CTX_set_alpn_select_cb(
      server.tls.native_handle(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned,
         void*) {
        *out = in + 1;
        *size = in[0];
        return SSL_TLSEXT_ERR_OK;
      },
      nullptr);
  SSL_CTX_set_tlsext_servername_arg(server.tls.native_handle(), &name);
  const auto keep_name = [](SSL* tls, int*, void* argument) -> int {
    *static_cast<std::string*>(argument) = SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name);
    return SSL_TLSEXT_ERR_OK;
  };
  SSL_CTX_set_tlsext_servername_callback(server.tls.native_handle(),
                                         static_cast<int (*)(SSL*, int*, void*)>(keep_name));
  const Listener listener = server.listen();
  TlsPeer peer(server.context);
  peer.connect(listener.local_endpoint());
  const bool has_certificate = GENERATE(true, false);
  ssl::context own = server_tls();  // the client's certificate
  if (has_certificate) {
    SSL_use_certificate(peer.tls(), SSL_CTX_get0_certificate(own.native_handle()));
    SSL_use_PrivateKey(peer.tls(), SSL_CTX_get0_privatekey(own.native_handle()));
  }
  SSL_set_tlsext_host_name(peer.tls(), "chat.example");
  SSL_set_alpn_protos(peer.tls(), reinterpret_cast<const unsigned char*>("\x08http/1.1"), 9);
  peer.shake_hands();
  if (has_certificate) {
    upgrade(peer);
    CHECK(verified == "/CN=roost test");
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(peer.tls(), &protocol, &size);
    CHECK(std::string(reinterpret_cast<const char*>(protocol), size) == "http/1.1");
  } else {
    peer.until([&] { return peer.is_gone; });
    CHECK(peer.alerts == std::vector<int>{SSL_AD_CERTIFICATE_REQUIRED});
  }
  CHECK(name == "chat.example");
}

TEST_CASE("TLS server: an upgrade from a TLS stream of the application works as before") {
  TlsServer server;
  tcp::acceptor acceptor(server.context, any_port());
  TlsPeer peer(server.context);
  peer.connect(acceptor.local_endpoint());
  const auto serve_one = [&]() -> awaitable<> {
    ssl::stream<tcp::socket> stream(acceptor.accept(), server.tls);
    co_await stream.async_handshake(ssl::stream_base::server, asio::use_awaitable);
    boost::beast::flat_buffer buffer;
    Upgrade::Request request;
    co_await boost::beast::http::async_read(stream, buffer, request, asio::use_awaitable);
    StreamOptions options;
    options.clock = &server.clock;
    Upgrade upgrade(server.context.get_executor(), std::move(stream), request, buffer.cdata(),
                    options);
    co_await TlsServer::serve(server, std::move(upgrade));
  };
  asio::co_spawn(server.context, serve_one, asio::detached);
  peer.shake_hands();
  upgrade(peer);
  peer.send(peer.encrypt(text_frame("hello")));
  peer.until([&] { return peer.received.ends_with("hello"); });
  peer.received.clear();
  peer.send(peer.encrypt(close_frame(1000)));
  peer.until([&] { return frames_of(peer.received).size() == 1; });
  SSL_shutdown(peer.tls());
  peer.send(peer.take_output());
  peer.until([&] { return peer.is_gone; });
  peer.close();
  peer.until([&] { return server.outcomes.size() == 1; });
}

TEST_CASE("TLS server: listeners on several threads may share a context") {
  ssl::context tls = server_tls();
  const auto serve = [&tls] {
    asio::io_context context;
    Manager manager(context.get_executor(), {});
    const auto echo = [&](Upgrade upgrade) -> awaitable<> {
      const auto socket = co_await upgrade.accept();
      const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
        while (const auto text = co_await manager.next_text(*connection)) {
          co_await connection->send_text(*text);
        }
      };
      co_await manager.session(socket, {}, handler);
    };
    const Listener listener = roost::listen(manager, any_port(), tls, {}, echo);
    for (int i = 0; i < 10; ++i) {
      TlsPeer peer(context);
      peer.connect(listener.local_endpoint());
      peer.shake_hands();
      peer.send(peer.encrypt(upgrade_request()));
      peer.until([&] { return peer.received.ends_with("\r\n\r\n"); });
      const std::string text(50'000, static_cast<char>('a' + i));
      peer.send(peer.encrypt(text_frame(text)));
      peer.until([&] { return peer.received.ends_with(text); });
    }
  };
  std::thread one(serve);
  std::thread two(serve);
  one.join();
  two.join();
}

}  // namespace roost::test
