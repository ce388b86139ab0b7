// SPDX-License-Identifier: MIT
// One replica of a chat with rooms, under limits that are small enough to be reached:
//   soak_server REDIS_URL
// prints its port. GET /stats tells what it counts.
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/beast.hpp>
#include <roost/redis.hpp>
#include <roost/redis/history.hpp>
#include <string>
#include <utility>

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

struct Replica {
  asio::io_context& context;
  roost::Service<Ws>& service;
  const roost::RedisBackplane& redis;
};

// Everybody in the room gets everything, the sender too.
awaitable<void> talk(const Replica& replica, std::string room, Manager::ConnectionPtr self) {
  while (auto text = co_await replica.service.manager().next_text(*self)) {
    co_await replica.service.cluster().broadcast_text(*text, {.room = room});
  }
}

awaitable<void> serve(const Replica& replica, roost::Upgrade upgrade) {
  const auto room = upgrade.path_after("/ws/");
  if (!room) {
    co_await upgrade.reject(404);
    co_return;
  }
  const auto resume = upgrade.query("resume");
  auto socket = co_await upgrade.accept();
  const auto handler = [&](Manager::ConnectionPtr self) { return talk(replica, *room, self); };
  co_await replica.service.manager().session(socket, {.rooms = *room, .resume = resume}, handler);
}

nlohmann::json counts(const Replica& replica) {
  const roost::Stats stats = replica.service.manager().stats();
  const roost::RedisStats redis = replica.redis.stats();
  std::uint64_t ended = 0;
  nlohmann::json by_reason;
  for (std::size_t i = 0; i < stats.ended.size(); ++i) {
    ended += stats.ended[i];
    by_reason[std::string(to_string(static_cast<roost::DisconnectReason>(i)))] = stats.ended[i];
  }
  return {{"connections", stats.connections},
          {"rooms", stats.rooms},
          {"queued_bytes", stats.queued_bytes},
          {"outbox_memory", stats.outbox_memory},
          {"blocked", stats.blocked},
          {"accepted", stats.accepted},
          {"ended", ended},
          {"by_reason", by_reason},
          {"deliveries", stats.deliveries},
          {"rate_limited", stats.rate_limited},
          {"handshakes_timed_out", stats.handshakes_timed_out},
          {"running", roost::running(replica.context)},
          {"redis", to_string(replica.redis.state())},
          {"recovered", stats.recovered},
          {"lost", redis.lost},
          {"duplicates", redis.duplicates},
          {"spooled", redis.spooled},
          {"in_flight", redis.in_flight},
          {"connects", redis.connects}};
}

roost::HttpResponse answer(const Replica& replica, const roost::HttpRequest& request) {
  using boost::beast::http::status;
  const bool is_known = roost::path_of(request) == "/stats";
  roost::HttpResponse response(is_known ? status::ok : status::not_found, request.version());
  if (is_known) response.body() = counts(replica).dump();
  return response;
}

int main(int argc, char** argv) try {
  if (argc != 2) throw std::invalid_argument("soak_server REDIS_URL");
  asio::io_context context(1);
  const auto redis = std::make_shared<roost::RedisBackplane>(
      context.get_executor(),
      roost::RedisOptions{
          .url = argv[1],
          .channel = "soak",
          .history = roost::redis_history(
              {.rules = {{.rooms = "kept*", .max_messages = 10'000, .max_bytes = 4'194'304}}}),
          .require_connection = false,
          .min_retry_delay = 50ms,
          .max_retry_delay = 500ms,
          .announce_interval = 1s});
  roost::ManagerOptions<Ws> options;
  options.send_timeout = 10s;
  options.max_message_bytes = 4'096;
  options.outbox_high_water = 16'384;
  options.max_outbox_bytes = 131'072;
  options.inbound = {.messages = {.per_second = 200, .burst = 400}};
  roost::ServiceOptions around;
  around.backplane = redis;
  around.heartbeat = roost::HeartbeatOptions{.interval = 5s, .timeout = 20s};
  auto& service = roost::init_websockets<Ws>(context, options, around);
  const Replica replica{context, service, *redis};

  roost::ListenOptions listen;
  listen.stream.handshake_timeout = 5s;
  listen.stream.close_timeout = 2s;
  listen.stream.send_buffer_bytes = 65'536;
  listen.stream.max_message_bytes = 4'096;
  listen.on_http = [&](const roost::HttpRequest& request) { return answer(replica, request); };
  const auto handler = [&](roost::Upgrade upgrade) { return serve(replica, std::move(upgrade)); };
  const asio::ip::tcp::endpoint any_port(asio::ip::address_v4::loopback(), 0);
  const auto listener = roost::listen(service.manager(), any_port, listen, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  std::cout << listener.local_endpoint().port() << std::endl;
  context.run();
} catch (const std::exception& error) {
  std::cerr << "soak_server: " << error.what() << '\n';
  return 1;
}
