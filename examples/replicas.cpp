// One chat room in several processes, which meet at a Redis: start it twice, on two ports.
//
//   replicas [PORT] [REDIS_URL]

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <roost/base/log_sinks.hpp>
#include <roost/beast.hpp>
#include <roost/redis.hpp>

#include "port.hpp"

using boost::asio::awaitable;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

awaitable<void> serve(roost::Service<Ws>& service, roost::Upgrade upgrade) {
  auto socket = co_await upgrade.accept();
  auto handler = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    while (auto text = co_await service.manager().next_text(*self)) {
      // To the members here and elsewhere. Where it would be `manager.broadcast_text` for one
      // process, it is `cluster.broadcast_text` for many.
      co_await service.cluster().broadcast_text(*text, {.room = "lobby", .exclude = self->id()});
    }
  };
  co_await service.manager().session(socket, {.rooms = "lobby"}, handler);
}

int main(int argc, char** argv) {
  boost::asio::io_context context(1);
  const roost::Logger logger = roost::log_to_stderr();
  roost::RedisBackplane backplane(context.get_executor(),
                                  {.url = argc > 2 ? argv[2] : "redis://localhost:6379/0",
                                   .channel = "roost-replicas",
                                   .require_connection = false,  // until Redis is there: alone
                                   .logger = logger});
  auto& service = roost::init_websockets<Ws>(context, {.logger = logger}, {.backplane = backplane});
  backplane.on_state([](roost::RedisState state) { say("redis: ", to_string(state)); });
  const auto handler = [&](roost::Upgrade upgrade) { return serve(service, std::move(upgrade)); };
  auto listener = roost::listen(service.manager(), endpoint_of(argc, argv), {}, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  say("replicas: ws://", listener.local_endpoint(), '/');
  context.run();
}
