// Shows: one chat room on all cores, with one thread for each core.
// Run:   cmake --build build/chat --target shards && build/chat/examples/shards [PORT] [THREADS]
// Try:   python3 -m websockets ws://127.0.0.1:8080/ in several terminals. Each is told its shard,
//        and all of them hear each other.
//
// `sh cmake/chat.sh` makes the folder build/chat. The default port is 8080.
//
// Each thread has its own `io_context`, manager and listener. The listeners share the port, and a
// `LocalBackplane` carries the messages from thread to thread. No connection leaves its thread, so
// the code needs no locks.

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <roost/backplane/local_backplane.hpp>
#include <roost/beast.hpp>
#include <string>
#include <thread>
#include <vector>

#include "port.hpp"

using boost::asio::awaitable;
using boost::asio::ip::tcp;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

class Shard {
 public:
  Shard(const roost::LocalHub& hub, const tcp::endpoint& endpoint, std::size_t number)
      : number_(number),
        backplane_(context_.get_executor(), hub),
        service_(roost::init_websockets<Ws>(context_, {}, {.backplane = backplane_})),
        listener_(roost::listen(service_.manager(), endpoint, {.reuse_port = true},
                                [this](roost::Upgrade u) { return serve(std::move(u)); })) {
    service_.shutdown_on_signals({SIGINT, SIGTERM});  // each shard lets its own connections go
  }

  [[nodiscard]] const tcp::endpoint& endpoint() const { return listener_.local_endpoint(); }
  void run() { context_.run(); }

 private:
  awaitable<void> serve(roost::Upgrade upgrade) {
    auto socket = co_await upgrade.accept();
    auto handler = [this](Manager::ConnectionPtr self) -> awaitable<void> {
      co_await self->send_text("you are on shard " + std::to_string(number_));
      while (auto text = co_await service_.manager().next_text(*self)) {
        co_await service_.cluster().broadcast_text(*text, {.room = "lobby", .exclude = self->id()});
      }
    };
    co_await service_.manager().session(socket, {.rooms = "lobby"}, handler);
  }

  const std::size_t number_;
  boost::asio::io_context context_{1};  // tells Asio that one thread runs it
  roost::LocalBackplane backplane_;
  roost::Service<Ws>& service_;
  roost::Listener listener_;
};

int main(int argc, char** argv) {
  const std::size_t cores =
      argc > 2 ? std::strtoul(argv[2], nullptr, 10) : std::thread::hardware_concurrency();
  const roost::LocalHub hub;
  std::vector<std::unique_ptr<Shard>> shards;
  tcp::endpoint endpoint = endpoint_of(argc, argv);
  for (std::size_t i = 0; i < std::max<std::size_t>(cores, 1); ++i) {
    shards.push_back(std::make_unique<Shard>(hub, endpoint, i));
    endpoint = shards.front()->endpoint();  // With port 0, the first shard gets a free port.
  }
  say("shards: ws://", endpoint, '/');

  std::vector<std::thread> threads;
  for (const auto& shard : shards) threads.emplace_back([&] { shard->run(); });
  for (std::thread& thread : threads) thread.join();
}
