// SPDX-License-Identifier: MIT
// How what clients send comes in: fairly, whatever the one who takes it does meanwhile.
#include <array>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "beast/support/server.hpp"
#include "catch.hpp"

namespace roost::test {
namespace {

/// Reads for ever, and takes more than a turn of the poller for each piece.
struct SlowReader {
  std::unique_ptr<detail::TcpTransport> transport;
  std::size_t reads = 0;

  void read() {
    transport->async_read(1, [this](boost::system::error_code error, boost::asio::mutable_buffer) {
      if (error) return;
      ++reads;
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
      while (std::chrono::steady_clock::now() < end) {
      }
      read();
    });
  }
};

}  // namespace

TEST_CASE("reading: however long one takes, the others come next") {
  boost::asio::io_context context;
  tcp::acceptor acceptor(context, any_port());
  std::vector<tcp::socket> peers;
  std::array<SlowReader, 4> readers;
  for (SlowReader& reader : readers) {
    peers.emplace_back(context).connect(acceptor.local_endpoint());
    reader.transport = std::make_unique<detail::TcpTransport>(acceptor.accept());
    boost::asio::write(peers.back(), boost::asio::buffer(std::string(100, 'x')));
    reader.read();
  }
  const auto total = [&] {
    std::size_t n = 0;
    for (const SlowReader& reader : readers) n += reader.reads;
    return n;
  };
  run_until(context, [&] { return total() >= 8; });
  for (const SlowReader& reader : readers) CHECK(reader.reads >= 1);
  for (SlowReader& reader : readers) reader.transport->close();
  testing::run_ready(context);
  CHECK(context.stopped());
}

TEST_CASE("reading: without an epoll set of its own, a socket is read by Asio's") {
  boost::asio::io_context context;
  tcp::acceptor acceptor(context, any_port());
  tcp::socket peer(context);
  peer.connect(acceptor.local_endpoint());
  detail::TcpTransport transport(acceptor.accept(), nullptr);
  std::string got;
  boost::system::error_code end;
  const auto keep = [&](boost::system::error_code error, boost::asio::mutable_buffer data) {
    got.assign(static_cast<const char*>(data.data()), data.size());
    end = error;
  };
  transport.async_read(100, keep);
  boost::asio::write(peer, boost::asio::buffer("hello", 5));
  run_until(context, [&] { return got == "hello"; });
  transport.async_read(100, keep);
  transport.close();
  testing::run_ready(context);
  CHECK(end == boost::asio::error::operation_aborted);
}

TEST_CASE("reading: a handler that aborts leaves nothing, though more had come") {
  Server server;
  server.handler = [&](ConnectionPtr connection) -> awaitable<> {
    co_await server.manager.receive_text(*connection);
    connection->websocket()->abort();
  };
  RawClient alice = server.join("alice");
  alice.send(text_frame("one") + text_frame("two") + text_frame("three"));
  server.until([&] { return alice.is_gone() && server.outcomes.size() == 1; });
}

TEST_CASE("reading: messages of one read are handed over in order, in more than one turn") {
  Server server;
  RawClient alice = server.join("alice");
  std::string burst;
  for (int i = 0; i < 1'000; ++i) burst += text_frame(std::to_string(i));
  alice.send(burst);
  server.until([&] { return alice.count(Opcode::text) == 1'000; });
  const std::vector<std::string> texts = alice.texts();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i] != std::to_string(i)) FAIL(texts[i] << " instead of " << i);
  }
}

TEST_CASE("reading: a socket that has received on a strand may outlive its context") {
  std::shared_ptr<BeastWebSocket> kept;
  {
    boost::asio::io_context context;
    Manager manager(boost::asio::make_strand(context), {});
    bool has_received = false;
    const auto serve = [&](Upgrade upgrade) -> awaitable<> {
      kept = co_await upgrade.accept();
      const auto handler = [&](ConnectionPtr connection) -> awaitable<> {
        co_await manager.receive_text(*connection);
        has_received = true;
      };
      co_await manager.session(kept, {}, handler);
    };
    const Listener listener = roost::listen(manager, any_port(), {}, serve);
    RawClient client(context, listener.local_endpoint());
    client.send(upgrade_request());
    run_until(context, [&] { return client.is_upgraded(); });
    client.send(text_frame("x"));
    run_until(context, [&] { return has_received; });
  }
  CHECK(kept->ended());
}

#if defined(__linux__)
TEST_CASE("accepted sockets have the options of the socket that accepts") {
  boost::asio::io_context context;
  tcp::acceptor acceptor = detail::open_acceptor(context.get_executor(), any_port(),
                                                 {.stream = {.send_buffer_bytes = 50'000}});
  acceptor.non_blocking(false);
  tcp::socket peer(context);
  peer.connect(acceptor.local_endpoint());
  const tcp::socket accepted = acceptor.accept();
  tcp::no_delay no_delay;
  accepted.get_option(no_delay);
  CHECK(no_delay.value());
  boost::asio::socket_base::send_buffer_size size;
  accepted.get_option(size);
  CHECK(size.value() == 50'000);
}
#endif

}  // namespace roost::test
