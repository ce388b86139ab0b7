// SPDX-License-Identifier: MIT
// A server that sends much at the same time to clients that read: nobody is lost.
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <cstdio>
#include <functional>
#include <memory>
#include <roost/beast.hpp>
#include <roost/testing.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using Manager = ConnectionManager<BeastWebSocket>;
template <class T = void>
using awaitable = boost::asio::awaitable<T>;

struct Burst {
  std::size_t messages;
  std::size_t bytes;  // each
  std::size_t total() const { return messages * bytes; }
};

/// A server with default options, on real time.
class BusyServer {
 public:
  boost::asio::io_context context;
  Manager manager{context.get_executor()};
  std::vector<std::string> heard;

  Listener listener = listen(manager, {boost::asio::ip::address_v4::loopback(), 0}, {},
                             [this](Upgrade upgrade) { return serve(std::move(upgrade)); });

  ~BusyServer() {
    listener.stop();
    bool is_closed = false;
    boost::asio::co_spawn(context, manager.close_all(),
                          [&](std::exception_ptr, std::size_t) { is_closed = true; });
    testing::run_until(context, [&] { return is_closed; });
  }

  template <class Predicate>
  void until(Predicate predicate) {
    testing::run_until(context, std::move(predicate), 60s);
  }
  /// All clients have received all of it.
  void until_heard(std::size_t clients, const Burst& burst) {
    until([&] { return heard.size() == clients || manager.total_connections() < clients; });
    CHECK(heard == std::vector<std::string>(clients, std::to_string(burst.total())));
    CHECK(manager.total_connections() == clients);
    CHECK(manager.stats().queued_bytes == 0);
    CHECK(manager.stats().dropped == 0);
  }

 private:
  awaitable<> serve(Upgrade upgrade) {
    auto socket = co_await upgrade.accept();
    const auto body = [this](Manager::ConnectionPtr self) { return listen_to(std::move(self)); };
    co_await manager.session(std::move(socket), {}, body);
  }
  awaitable<> listen_to(Manager::ConnectionPtr self) {
    co_await manager.receive_text(*self);
    ready.push_back(self->id());
    while (auto text = co_await manager.next_text(*self)) heard.push_back(*text);
  }

 public:
  std::vector<std::string> ready;
};

/// A client of Beast's in a thread of its own.
class ReadingClient {
 public:
  ReadingClient(const tcp::endpoint& server, std::size_t messages)
      : thread_([=] { run(server, messages); }) {}
  ~ReadingClient() { thread_.join(); }

 private:
  static void run(const tcp::endpoint& server, std::size_t messages) {
    try {
      boost::asio::io_context context;
      boost::beast::websocket::stream<tcp::socket> socket(context);
      socket.next_layer().connect(server);
      socket.handshake("127.0.0.1", "/");
      socket.write(boost::asio::buffer("here", 4));
      std::size_t received = 0;
      boost::beast::flat_buffer buffer;
      for (std::size_t i = 0; i < messages; ++i) {
        received += socket.read(buffer);
        buffer.clear();
      }
      const std::string text = std::to_string(received);
      socket.write(boost::asio::buffer(text));
      socket.read(buffer);  // until it is closed
    } catch (const boost::system::system_error&) {
    }
  }

  std::thread thread_;
};

/// One of Python's `websockets`: messages up to 1 MiB, and a queue of 32.
class PythonClient {
 public:
  PythonClient(const tcp::endpoint& server, std::size_t messages)
      : process_(::popen(("/usr/bin/python3 " ROOST_TESTS_FOLDER "/operators/burst_client.py " +
                          std::to_string(server.port()) + " " + std::to_string(messages))
                             .c_str(),
                         "r")) {}
  ~PythonClient() { ::pclose(process_); }
  PythonClient(const PythonClient&) = delete;
  PythonClient& operator=(const PythonClient&) = delete;

 private:
  std::FILE* process_;
};

awaitable<> broadcast_awaited(Manager& manager, Burst burst) {
  const std::string text(burst.bytes, 'b');
  for (std::size_t i = 0; i < burst.messages; ++i) co_await manager.broadcast_text(text);
}

awaitable<> send_each(Manager& manager, std::string id, Burst burst) {
  const std::string text(burst.bytes, 'b');
  for (std::size_t i = 0; i < burst.messages; ++i) co_await manager.send_to(id, text);
}

void post_all(Manager& manager, const Burst& burst) {
  const std::string text(burst.bytes, 'b');
  for (std::size_t i = 0; i < burst.messages; ++i) manager.post_text(text);
}

void send_in_every_way(BusyServer& server, std::size_t clients, const Burst& burst,
                       const std::string& way) {
  CAPTURE(way, clients, burst.messages, burst.bytes);
  server.until([&] { return server.ready.size() == clients; });
  const auto start = [&](awaitable<> coroutine) {
    boost::asio::co_spawn(server.context, std::move(coroutine), [](std::exception_ptr) {});
  };
  if (way == "posted") {
    post_all(server.manager, burst);
    server.until_heard(clients, burst);
  } else if (way == "posted from another thread") {
    std::thread other([&] { post_all(server.manager, burst); });
    server.until_heard(clients, burst);
    other.join();
  } else if (way == "awaited one after the other") {
    start(broadcast_awaited(server.manager, burst));
    server.until_heard(clients, burst);
  } else if (way == "awaited in one turn") {
    const std::string text(burst.bytes, 'b');
    boost::asio::post(server.context, [&] {  // in one turn of the loop
      for (std::size_t i = 0; i < burst.messages; ++i) {
        boost::asio::co_spawn(server.context, server.manager.broadcast_text(text),
                              [](std::exception_ptr, std::size_t) {});
      }
    });
    server.until_heard(clients, burst);
  } else if (way == "sent to each") {
    for (const std::string& id : server.ready) start(send_each(server.manager, id, burst));
    server.until_heard(clients, burst);
  } else {
    const std::string text(burst.bytes, 'b');
    for (std::size_t i = 0; i < burst.messages; ++i) {
      server.manager.post_text(text, {.overflow = Overflow::drop_newest});
    }
    server.until_heard(clients, burst);
  }
}

const std::vector<std::string> ways{"posted",
                                    "posted from another thread",
                                    "awaited one after the other",
                                    "awaited in one turn",
                                    "sent to each",
                                    "with a drop policy"};
const std::vector<Burst> bursts{{30'000, 100}, {30, 900'000}, {3, 3 * 1'048'576}};

TEST_CASE("a burst to clients that read loses nobody, in whichever way it is sent", "[operators]") {
  for (const Burst& burst : bursts) {
    for (const std::string& way : ways) {
      std::vector<std::unique_ptr<ReadingClient>> clients;
      BusyServer server;  // ends before they do
      for (int i = 0; i < 2; ++i) {
        clients.push_back(
            std::make_unique<ReadingClient>(server.listener.local_endpoint(), burst.messages));
      }
      send_in_every_way(server, clients.size(), burst, way);
    }
  }
}

TEST_CASE("a burst to a client of Python's with its default limits loses nothing", "[operators]") {
  for (const Burst& burst : {Burst{30'000, 100}, Burst{30, 900'000}}) {
    for (const std::string& way : {ways[1], ways[2], ways[4]}) {
      std::unique_ptr<PythonClient> client;
      BusyServer server;
      client = std::make_unique<PythonClient>(server.listener.local_endpoint(), burst.messages);
      send_in_every_way(server, 1, burst, way);
    }
  }
}

TEST_CASE("a hundred megabytes at the same time reach a client that reads", "[operators]") {
  const Burst burst{1'000, 100'000};
  std::unique_ptr<ReadingClient> client;
  BusyServer server;
  client = std::make_unique<ReadingClient>(server.listener.local_endpoint(), burst.messages);
  send_in_every_way(server, 1, burst, "awaited in one turn");
}

}  // namespace
}  // namespace roost
