// SPDX-License-Identifier: MIT
// Conversations that end while much is on its way to a client behind a slow link: what was sent
// arrives, in whichever way they end. A client that does not take it is not waited for.
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <roost/beast.hpp>
#include <roost/testing.hpp>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/frames.hpp"
#include "beast/support/raw_client.hpp"
#include "catch.hpp"
#include "netns/other_host.hpp"

namespace roost {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using Manager = ConnectionManager<BeastWebSocket>;
template <class T = void>
using awaitable = boost::asio::awaitable<T>;

constexpr std::size_t bytes = 1'048'576;

/// A client of the other host.
class EndingClient {
 public:
  EndingClient(boost::asio::io_context& context, const test::OtherHost& host,
               const tcp::endpoint& server, const std::string& request)
      : socket_(context, tcp::v4(), host.connect(server)) {
    socket_.set_option(boost::asio::socket_base::receive_buffer_size(16'384));
    send(request);
    socket_.non_blocking(true);
  }
  void send(const std::string& text) { boost::asio::write(socket_, boost::asio::buffer(text)); }
  void half_close() { socket_.shutdown(tcp::socket::shutdown_send); }
  void read(std::size_t most = 65'536) {
    if (is_over_) return;
    std::vector<char> some(most);
    boost::system::error_code error;
    received_ += socket_.read_some(boost::asio::buffer(some), error);
    is_over_ = error && error != boost::asio::error::would_block;
  }
  [[nodiscard]] bool has_all() const { return received_ > bytes; }
  [[nodiscard]] bool is_over() const { return is_over_; }

 private:
  tcp::socket socket_;
  std::size_t received_ = 0;
  bool is_over_ = false;
};

/// Ends its conversations in the way that is in the query, after a large message.
class Server {
 public:
  explicit Server(boost::asio::io_context& context)
      : context_(context),
        manager(context.get_executor()),
        listener(listen(manager, address(), options(),
                        [this](Upgrade upgrade) { return serve(std::move(upgrade)); })),
        acceptor_(context, address()) {}

  [[nodiscard]] tcp::endpoint wrapping() const { return acceptor_.local_endpoint(); }
  /// One client that has sent its request.
  void accept_wrapped() {
    boost::beast::websocket::stream<tcp::socket> stream(acceptor_.accept());
    stream.accept();
    boost::asio::co_spawn(
        context_, run(wrap(context_.get_executor(), std::move(stream), {}, {}), "disconnect"),
        [](std::exception_ptr) {});
  }

 private:
  static tcp::endpoint address() {
    return {boost::asio::ip::make_address(test::OtherHost::our_address), 0};
  }
  static ListenOptions options() {
    ListenOptions options;
    options.on_http = [](const HttpRequest&) {
      HttpResponse page;
      page.body() = std::string(bytes, 'p');
      return page;
    };
    return options;
  }
  awaitable<> serve(Upgrade upgrade) {
    const std::string how = upgrade.query("how").value_or("");
    auto socket = co_await upgrade.accept();
    if (how == "unmanaged") {
      co_await socket->send_text(std::string(bytes, 'm'));
      co_return co_await socket->close(1000);
    }
    co_await run(std::move(socket), how);
  }
  awaitable<> run(std::shared_ptr<BeastWebSocket> socket, std::string how) {
    const auto handler = [this, how](Manager::ConnectionPtr self) -> awaitable<> {
      co_await self->send_text(std::string(bytes, 'm'));
      if (how == "return") co_return;
      if (how == "disconnect") {
        boost::asio::co_spawn(context_, manager.disconnect(self->id()),
                              [](std::exception_ptr, bool) {});
      }
      while (co_await manager.next_text(*self)) {
      }
    };
    co_await manager.session(std::move(socket), {}, handler);
  }

  boost::asio::io_context& context_;

 public:
  Manager manager;
  Listener listener;

 private:
  tcp::acceptor acceptor_;
};

TEST_CASE("sent messages reach a client behind a slow link, however the conversation ends",
          "[netns]") {
  test::leave_the_network();
  const test::OtherHost host;
  // Its queue holds the windows of all clients: where packets are lost, TCP may starve one client
  // for longer than `close_timeout` allows.
  test::sh("tc qdisc add dev cable0 root tbf rate 3mbit burst 16384 limit 2000000");
  boost::asio::io_context context;
  Server server(context);
  const auto address = server.listener.local_endpoint();
  const auto upgrade = [](const std::string& how) { return test::upgrade_request("/?how=" + how); };
  std::deque<EndingClient> clients;
  const std::vector<std::string> ways{"disconnect", "return", "unmanaged", "half close",
                                      "close",      "http",   "wrapped"};
  for (const std::string& way : ways) {
    if (way == "http") {
      clients.emplace_back(context, host, address, "GET /page HTTP/1.1\r\nHost: here\r\n\r\n");
    } else if (way == "wrapped") {
      clients.emplace_back(context, host, server.wrapping(), upgrade(""));
      server.accept_wrapped();
    } else {
      clients.emplace_back(context, host, address, upgrade(way == "half close" ? "half" : way));
    }
  }
  testing::run_until(context, [&] { return server.manager.stats().accepted == 5; });
  clients[3].half_close();
  clients[4].send(test::client_frame(Opcode::close, std::string("\x03\xe8", 2)));
  // Clients that take nothing, or a few bytes at a time.
  EndingClient stalls(context, host, address, upgrade("disconnect"));
  EndingClient trickles(context, host, address, upgrade("unmanaged"));
  EndingClient trickles_too(context, host, address, upgrade("disconnect"));
  auto next_bite = std::chrono::steady_clock::now();

  testing::run_until(
      context,
      [&] {
        bool is_done = true;
        for (EndingClient& client : clients) {
          client.read();
          is_done = is_done && (client.has_all() || client.is_over());
        }
        if (std::chrono::steady_clock::now() >= next_bite) {
          trickles.read(100);
          trickles_too.read(100);
          next_bite += 100ms;
        }
        return is_done;
      },
      120s);
  for (std::size_t i = 0; i < ways.size(); ++i) {
    CAPTURE(ways[i]);
    CHECK(clients[i].has_all());
  }
  const auto begun = std::chrono::steady_clock::now();
  bool is_closed = false;
  server.listener.stop();
  boost::asio::co_spawn(context, server.manager.close_all(1001, {.deadline = 100ms}),
                        [&](std::exception_ptr, std::size_t) { is_closed = true; });
  testing::run_until(context, [&] {
    trickles.read(100);
    trickles_too.read(100);
    return is_closed && server.manager.stats().queued_bytes == 0;
  });
  CHECK(std::chrono::steady_clock::now() - begun < 20s);
}

}  // namespace
}  // namespace roost
