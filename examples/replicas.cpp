// Shows: one chat room in several processes, which exchange messages through Redis. A client that
//        comes back, to any of them, gets what it missed.
// Run:   cmake --build build/chat --target replicas && build/chat/examples/replicas 8080
// Try:   Start a second process with port 8081. Run python3 -m websockets ws://127.0.0.1:8080/ in
//        one terminal and the same with 8081 in another: each gets what the other sends. With
//        'ws://127.0.0.1:8080/?resume=' each message comes with a position, such as
//        lobby:Pm3o9_cK.1.aX04Zb. Stop this client, say something in the other one, and connect
//        to 8081 with '?resume=' and the position: you get what was said meanwhile.
//
// `sh cmake/chat.sh` makes the folder build/chat. The second argument is the URL of the Redis, by
// default redis://localhost:6379/0.

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <roost/base/log_sinks.hpp>
#include <roost/beast.hpp>
#include <roost/redis.hpp>
#include <roost/redis/history.hpp>

#include "port.hpp"

using boost::asio::awaitable;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

awaitable<void> serve(roost::Service<Ws>& service, roost::Upgrade upgrade) {
  const auto resume = upgrade.query("resume");  // where the client was; empty: nowhere yet
  auto socket = co_await upgrade.accept();
  auto handler = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    while (auto text = co_await service.manager().next_text(*self)) {
      // To the members here and elsewhere. Where it would be `manager.broadcast_text` for one
      // process, it is `cluster.broadcast_text` for many.
      co_await service.cluster().broadcast_text(*text, {.room = "lobby", .exclude = self->id()});
    }
  };
  co_await service.manager().session(socket, {.rooms = "lobby", .resume = resume}, handler);
}

int main(int argc, char** argv) {
  boost::asio::io_context context(1);
  const roost::Logger logger = roost::log_to_stderr();
  roost::RedisBackplane backplane(context.get_executor(),
                                  {.url = argc > 2 ? argv[2] : "redis://localhost:6379/0",
                                   .channel = "roost-replicas",
                                   .history = roost::redis_history({.rules = {{.rooms = "lobby"}}}),
                                   .require_connection = false,  // starts without Redis too
                                   .logger = logger});
  auto& service = roost::init_websockets<Ws>(context, {.logger = logger}, {.backplane = backplane});
  backplane.on_state([](roost::RedisState state) { say("redis: ", to_string(state)); });
  const auto handler = [&](roost::Upgrade upgrade) { return serve(service, std::move(upgrade)); };
  auto listener = roost::listen(service.manager(), endpoint_of(argc, argv), {}, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  say("replicas: ws://", listener.local_endpoint(), '/');
  context.run();
}
