// SPDX-License-Identifier: MIT
// TLS below WebSockets: whatever the bytes of a client look like on the wire, and whenever they
// come, its messages arrive whole.
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <roost/beast/tls.hpp>
#include <roost/testing/run.hpp>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/tls_peer.hpp"
#include "catch.hpp"

namespace roost::test {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

/// The server's end of one connection: reads for ever, and writes what it is given.
class TlsEnd {
 public:
  asio::io_context context;

  explicit TlsEnd(int version = TLS1_3_VERSION, int receive_buffer_bytes = 0)
      : peer(context), acceptor_(context, {asio::ip::address_v4::loopback(), 0}) {
    SSL_CTX_set_options(tls_.native_handle(), SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    peer.only(version);
    peer.connect(acceptor_.local_endpoint(), receive_buffer_bytes);
    asio::ip::tcp::socket socket = acceptor_.accept();
    socket.set_option(asio::ip::tcp::no_delay(true));
    socket.set_option(asio::socket_base::send_buffer_size(65'536));
    transport = std::make_unique<detail::TlsTransport>(std::move(socket), tls_.native_handle());
    transport->async_open([this](error_code error) {
      opened = error;
      if (!error) read();
    });
  }
  ~TlsEnd() {
    transport->close();
    testing::run_ready(context);
    CHECK(context.stopped());
  }

  void shake_hands() {
    peer.shake_hands();
    peer.until([&] { return opened.has_value(); });
    REQUIRE(*opened == error_code());
  }

  /// Queues bytes, and writes what can be written.
  void write(const std::string& bytes) {
    queue += bytes;
    if (!is_writing) flush();
  }
  void flush() {
    error_code error;
    while (!queue.empty() && !error) {
      // Other memory each time, as queues have it that move.
      const std::string copy = queue.substr(0, 100'000);
      std::vector<asio::const_buffer> pieces;
      for (std::size_t at = 0, size = 1; at < copy.size() && pieces.size() < 64; at += size) {
        size = pieces.size() + 1 == 64 ? copy.size() - at : std::min(copy.size() - at, size * 2);
        pieces.push_back(asio::buffer(copy.data() + at, size));
      }
      const std::size_t n = transport->write_some(pieces, error);
      written += n;
      queue.erase(0, n);
    }
    if (!error) return;
    if (error != asio::error::would_block) {
      write_error = error;
      return;
    }
    is_writing = true;
    transport->async_write({}, [this](error_code e, std::size_t) {
      is_writing = false;
      ++waits;
      if (e) {
        write_error = e;
      } else {
        flush();
      }
    });
  }

  TlsPeer peer;
  std::unique_ptr<detail::TlsTransport> transport;
  std::size_t max = 16'384;  // of one read
  bool reads = true;         // whether it goes on reading
  std::string received;
  std::optional<error_code> opened;
  std::optional<error_code> end;  // of reading
  std::string queue;
  std::size_t written = 0;
  std::size_t waits = 0;  // how often it has waited to write
  bool is_writing = false;
  error_code write_error;

  void read() {
    transport->async_read(max, [this](error_code error, asio::mutable_buffer data) {
      received.append(static_cast<const char*>(data.data()), data.size());
      if (error) {
        CHECK(data.size() == 0);
        end = error;
      } else if (reads) {
        read();
      }
    });
  }

 private:
  asio::ssl::context tls_ = server_tls();
  asio::ip::tcp::acceptor acceptor_;
};

/// Takes only as many bytes as it has room for.
class NarrowTransport final : public detail::Transport {
 public:
  std::size_t room = 0;
  std::string taken;

  std::size_t write_some(Buffers buffers, error_code& error) override {
    if (room == 0) return error = asio::error::would_block, 0;
    const std::size_t n = std::min(room, buffers.front().size());
    taken.append(static_cast<const char*>(buffers.front().data()), n);
    room -= n;
    error = {};
    return n;
  }
  void async_read(std::size_t, ReadHandler) override {}
  void async_write(Buffers, WriteHandler) override {}
  void async_shutdown(Handler) override {}
  void close() noexcept override {}
  void abort() noexcept override {}
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 7 + i / 251) % 251);
  return text;
}

int any_version() { return GENERATE(TLS1_2_VERSION, TLS1_3_VERSION); }

}  // namespace

TEST_CASE("TLS transport: messages of 1 byte to 1 MiB arrive whole, in both directions") {
  TlsEnd server(any_version());
  server.max = GENERATE(1'000U, 16'384U, 65'536U);
  server.shake_hands();
  for (const std::size_t size : {1U, 2U, 1'000U, 16'383U, 16'384U, 16'385U, 70'000U, 1'048'576U}) {
    CAPTURE(size);
    const std::string text = pattern(size);
    server.peer.send(server.peer.encrypt(text));
    server.write(text);
    server.peer.until(
        [&] { return server.received.size() >= size && server.peer.received.size() >= size; });
    CHECK((server.received == text));
    CHECK((server.peer.received == text));
    server.received.clear();
    server.peer.received.clear();
  }
  CHECK(server.queue.empty());
}

TEST_CASE("TLS transport: bytes that come one at a time are a handshake and messages too") {
  TlsEnd server(any_version());
  TlsPeer& peer = server.peer;
  server.max = GENERATE(1U, 512U);
  peer.until([&] {
    SSL_do_handshake(peer.tls());
    peer.trickle(peer.take_output());
    return SSL_is_init_finished(peer.tls()) != 0;
  });
  const std::string text = pattern(600);
  peer.trickle(peer.encrypt(text));
  peer.trickle(peer.encrypt("the next one"));
  peer.until([&] { return server.received.size() >= 612; });
  CHECK((server.received == text + "the next one"));
}

TEST_CASE("TLS transport: bytes may be cut anywhere") {
  TlsEnd server(any_version());
  TlsPeer& peer = server.peer;
  server.shake_hands();
  std::size_t size = 2;
  for (std::size_t cut = 1; cut < size; ++cut) {
    CAPTURE(cut);
    std::string bytes = peer.encrypt("a text");
    bytes += peer.encrypt("and another one");
    size = bytes.size();
    peer.send(bytes.substr(0, cut));
    testing::run_ready(server.context);
    peer.send(bytes.substr(cut));
    peer.until([&] { return server.received.size() >= 21; });
    CHECK(server.received == "a textand another one");
    server.received.clear();
  }
}

TEST_CASE("TLS transport: bytes behind the handshake in the same segment are read") {
  TlsEnd server;
  server.peer.shake_hands(/*holds_last=*/true);
  server.peer.send(server.peer.encrypt("the request"));  // and the last flight before it
  server.peer.until([&] { return server.received == "the request"; });
}

TEST_CASE("TLS transport: bytes that are decrypted already are read without a wait") {
  TlsEnd server;
  server.max = 10;
  server.shake_hands();
  const std::string text = pattern(1'005);
  server.peer.send(server.peer.encrypt(text));
  server.peer.until([&] { return server.received.size() >= text.size(); });
  CHECK((server.received == text));
}

TEST_CASE("TLS transport: the client may update its keys, and have the server update its own") {
  TlsEnd server;
  TlsPeer& peer = server.peer;
  server.shake_hands();
  for (const int kind :
       {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
    server.received.clear();
    peer.received.clear();
    REQUIRE(SSL_key_update(peer.tls(), kind) == 1);
    peer.send(peer.encrypt("with a new key"));
    peer.until([&] { return server.received == "with a new key"; });
    server.write("and back");
    peer.until([&] { return peer.received == "and back"; });
  }
  CHECK(peer.key_updates == std::vector<int>{0, 1, 0, 0, 1});
}

TEST_CASE("TLS transport: a client may not negotiate again") {
  TlsEnd server(TLS1_2_VERSION);
  TlsPeer& peer = server.peer;
  server.shake_hands();
  REQUIRE(SSL_renegotiate(peer.tls()) == 1);
  SSL_do_handshake(peer.tls());
  peer.send(peer.take_output());
  peer.until([&] {
    SSL_do_handshake(peer.tls());
    return !peer.alerts.empty();
  });
  CHECK(peer.alerts.front() == SSL_AD_NO_RENEGOTIATION);
  CHECK(!server.end);  // the server goes on with the keys that it has
}

TEST_CASE("TLS transport: a write waits while the client is in the middle of a handshake message") {
  TlsEnd server(TLS1_2_VERSION);
  TlsPeer& peer = server.peer;
  server.shake_hands();
  // A hello of more than one record.
  SSL_set_tlsext_host_name(peer.tls(), std::string(250, 'x').c_str());
  SSL_set_cipher_list(peer.tls(), "ALL:eNULL:@SECLEVEL=0");
  SSL_set_max_send_fragment(peer.tls(), 512);
  REQUIRE(SSL_renegotiate(peer.tls()) == 1);
  SSL_do_handshake(peer.tls());
  const std::string hello = peer.take_output();
  const std::size_t first = 5 + 512 + 24;  // a record of AES-GCM
  REQUIRE(hello.size() > first);
  peer.send(hello.substr(0, first));
  testing::run_ready(server.context);
  server.write("a message");
  CHECK(server.is_writing);
  testing::run_ready(server.context);
  CHECK(server.waits == 0);  // it does not try again and again
  CHECK(server.queue == "a message");
  peer.send(hello.substr(first));
  peer.until([&] { return server.queue.empty(); });
  CHECK(server.waits == 1);
}

TEST_CASE("TLS transport: a client that stops reading loses nothing, and the server waits") {
  TlsEnd server(any_version(), 16'384);
  TlsPeer& peer = server.peer;
  server.shake_hands();
  peer.is_paused = true;
  const std::string text = pattern(4'000'000);
  server.write(text);
  testing::run_ready(server.context);
  const std::size_t written = server.written;
  CHECK(written < 2'000'000);  // what the kernel takes
  CHECK(server.is_writing);
  for (int i = 0; i < 10; ++i) {
    error_code error;
    const asio::const_buffer front = asio::buffer(server.queue);
    CHECK(server.transport->write_some({&front, 1}, error) == 0);
    CHECK(error == asio::error::would_block);
  }
  peer.send(peer.encrypt("still here"));  // the other direction is not held up
  peer.until([&] { return server.received == "still here"; });
  CHECK(server.written == written);
  peer.is_paused = false;
  peer.until([&] { return peer.received.size() >= text.size(); });
  CHECK((peer.received == text));
}

TEST_CASE("TLS transport: close sends a close_notify, and waits for nothing") {
  TlsEnd server(any_version());
  server.shake_hands();
  server.write("the last message");
  server.transport->close();
  server.peer.until([&] { return server.peer.is_gone; });
  CHECK(server.peer.received == "the last message");
  CHECK(server.peer.got_close_notify());
  testing::run_ready(server.context);
  CHECK(server.end == asio::error::operation_aborted);
}

TEST_CASE("TLS transport: a shutdown completes without the client's close_notify") {
  TlsEnd server(any_version());
  server.shake_hands();
  server.reads = false;
  server.peer.send(server.peer.encrypt("x"));
  server.peer.until([&] { return server.received == "x"; });
  std::optional<error_code> shut;
  server.transport->async_shutdown([&](error_code error) { shut = error; });
  CHECK(!shut);
  testing::run_ready(server.context);
  CHECK(shut == error_code());
  server.peer.until([&] { return server.peer.is_gone; });
  CHECK(server.peer.got_close_notify());
  // Bytes that arrive from now on are read as they are: they are discarded.
  server.peer.send("not a record");
  server.reads = true;
  server.read();
  server.peer.close();
  testing::run_until(server.context, [&] { return server.end.has_value(); });
  CHECK(server.end == asio::error::eof);
}

TEST_CASE("TLS engine: a handshake, a message and the end need no room in the transport below") {
  asio::io_context context;
  asio::ssl::context tls = server_tls();
  TlsPeer peer(context);
  peer.only(any_version());
  NarrowTransport narrow;
  detail::TlsEngine engine(tls.native_handle(), narrow);
  const auto until_done = [&](auto operation) {
    auto status = operation();
    while (status == detail::TlsEngine::Status::wants_output) {
      narrow.room = 1;
      status = operation();
    }
    BIO_write(SSL_get_rbio(peer.tls()), narrow.taken.data(), static_cast<int>(narrow.taken.size()));
    narrow.taken.clear();
    narrow.room = 0;
    return status;
  };
  auto status = detail::TlsEngine::Status::wants_input;
  while (status == detail::TlsEngine::Status::wants_input) {
    SSL_do_handshake(peer.tls());
    const std::string flight = peer.take_output();
    engine.feed(asio::buffer(flight));
    status = until_done([&] { return engine.handshake(); });
  }
  REQUIRE(status == detail::TlsEngine::Status::done);
  SSL_do_handshake(peer.tls());
  std::size_t n = 0;
  CHECK(engine.write(asio::buffer("hello", 5), n) == detail::TlsEngine::Status::wants_output);
  CHECK(n == 0);
  until_done([&] { return engine.write(asio::buffer("hello", 5), n); });
  CHECK(n == 5);
  CHECK(engine.shut_down() == detail::TlsEngine::Status::wants_output);
  until_done([&] { return engine.shut_down(); });
  peer.pump();
  CHECK(peer.received == "hello");
  CHECK(peer.got_close_notify());
}

TEST_CASE("TLS transport: a client's close_notify is the end, and the client may still read") {
  TlsEnd server(any_version());
  TlsPeer& peer = server.peer;
  server.shake_hands();
  const std::string last = peer.encrypt("the last message");
  SSL_shutdown(peer.tls());
  peer.send(last + peer.take_output());
  peer.until([&] { return server.end.has_value(); });
  CHECK(server.received == "the last message");
  CHECK(server.end == asio::error::eof);
  server.write("an answer");
  peer.until([&] { return peer.received == "an answer"; });
}

TEST_CASE("TLS transport: an end without a close_notify is told apart") {
  TlsEnd server(any_version());
  TlsPeer& peer = server.peer;
  server.shake_hands();
  const bool is_within_record = GENERATE(false, true);
  const std::string bytes = peer.encrypt("a message");
  peer.send(is_within_record ? bytes.substr(0, bytes.size() - 1) : bytes);
  peer.shutdown_send();
  peer.until([&] { return server.end.has_value(); });
  CHECK(server.received == (is_within_record ? "" : "a message"));
  CHECK(server.end == asio::ssl::error::stream_truncated);
}

TEST_CASE("TLS transport: a record that was changed on its way is an error after those before it") {
  TlsEnd server(any_version());
  TlsPeer& peer = server.peer;
  server.shake_hands();
  std::string bytes = peer.encrypt("good");
  bytes += peer.encrypt("bad");
  bytes.back() ^= 1;
  peer.send(bytes);
  peer.until([&] { return server.end.has_value(); });
  CHECK(server.received == "good");
  CHECK(server.end->category() == asio::error::get_ssl_category());
  peer.until([&] { return !peer.alerts.empty(); });
  CHECK(peer.alerts.front() == SSL_AD_BAD_RECORD_MAC);
  server.write("too late");
  CHECK(server.write_error == *server.end);
}

TEST_CASE("TLS transport: a client that does not speak TLS fails its handshake") {
  TlsEnd server;
  server.peer.send("GET / HTTP/1.1\r\n\r\n");
  testing::run_until(server.context, [&] { return server.opened.has_value(); });
  CHECK(server.opened->category() == asio::error::get_ssl_category());
}

TEST_CASE("TLS transport: a client that leaves in its handshake is an end without a close_notify") {
  TlsEnd server;
  SSL_do_handshake(server.peer.tls());
  server.peer.send(server.peer.take_output().substr(0, 100));
  testing::run_ready(server.context);
  server.peer.shutdown_send();
  testing::run_until(server.context, [&] { return server.opened.has_value(); });
  CHECK(*server.opened == asio::ssl::error::stream_truncated);
}

TEST_CASE("TLS transport: an abort ends every operation that is under way") {
  TlsEnd server(TLS1_3_VERSION, 16'384);
  TlsPeer& peer = server.peer;
  SECTION("the handshake") {
    SSL_do_handshake(peer.tls());
    peer.send(peer.take_output().substr(0, 100));
    testing::run_ready(server.context);
    server.transport->abort();
    CHECK(!server.opened);
    testing::run_ready(server.context);
    CHECK(*server.opened == asio::error::operation_aborted);
  }
  SECTION("a read that waits for the socket") {
    server.shake_hands();
    testing::run_ready(server.context);
    server.transport->abort();
    CHECK(!server.end);
    testing::run_ready(server.context);
    CHECK(*server.end == asio::error::operation_aborted);
  }
  SECTION("a read of what TLS has decrypted") {
    server.max = 10;
    server.shake_hands();
    server.reads = false;
    peer.send(peer.encrypt(pattern(100)));
    peer.until([&] { return server.received.size() == 10; });
    server.read();
    server.transport->abort();
    CHECK(!server.end);
    testing::run_ready(server.context);
    CHECK(server.received.size() == 10);
    CHECK(*server.end == asio::error::operation_aborted);
  }
  SECTION("a write") {
    server.shake_hands();
    peer.is_paused = true;
    server.write(std::string(4'000'000, 'x'));
    CHECK(server.is_writing);
    server.transport->abort();
    testing::run_ready(server.context);
    CHECK(server.write_error == asio::error::operation_aborted);
  }
}

}  // namespace roost::test
