// A chat server: a page at /, WebSockets at /ws/{room}. What a member sends goes to the others of
// the room, with the sender's name put in front by the server, so that nobody can forge it.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <csignal>
#include <iostream>
#include <roost/beast/tls.hpp>
#include <roost/line_writer.hpp>
#include <roost/log_sinks.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "replicas.hpp"
#include "settings.hpp"
#include "web.hpp"

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using nlohmann::json;
using Manager = roost::ConnectionManager<roost::BeastWebSocket>;

json event(std::string_view what, const Manager::ConnectionPtr& member) {
  return {{"event", what}, {"id", member->id()}, {"name", member->metadata()["name"]}};
}

struct Chat {
  Manager& manager;
  Replicas& replicas;
};

// What a member sees when it comes in: who is there, of this replica.
json welcome(const Chat& chat, const std::string& room, const Manager::ConnectionPtr& self) {
  json welcome = event("welcome", self);
  welcome["reachable"] = chat.replicas.are_reachable();
  for (const auto& member : chat.manager.members(room)) {
    welcome["members"].push_back({{"id", member->id()}, {"name", member->metadata()["name"]}});
  }
  return welcome;
}

// Everybody else in the room sees who comes and goes, however that happens.
void announce(const Chat& chat) {
  chat.manager.on_joined([&](Manager::ConnectionPtr member, std::string_view room) {
    chat.replicas.post(event("joined", member), {.room = room, .exclude = member->id()});
  });
  chat.manager.on_left([&](Manager::ConnectionPtr member, std::string_view room) {
    if (chat.manager.is_draining() && chat.replicas.is_alone()) return;  // all leave
    chat.replicas.post(event("left", member), {.room = room});
  });
}

// From the welcome to the last message of one member.
awaitable<void> talk(const Chat& chat, std::string room, Manager::ConnectionPtr self) {
  const json greeting = welcome(chat, room, self);
  co_await self->send_json(greeting);
  for (;;) {
    const roost::Message message = co_await chat.manager.receive(*self);
    if (message.is_text) {
      json relayed = event("message", self);
      relayed["text"] = message.payload;
      co_await chat.replicas.send(relayed, {.room = room, .exclude = self->id()});
    } else {
      co_await chat.replicas.send(message.bytes(), {.room = room, .exclude = self->id()});
    }
  }
}

awaitable<void> serve(const Chat& chat, roost::Upgrade upgrade) {
  const auto room = upgrade.path_after("/ws/");
  if (!room) {
    co_await upgrade.reject(404);
    co_return;
  }
  const json who = {{"name", upgrade.query("name").value_or("somebody")}};
  auto socket = co_await upgrade.accept();
  auto handler = [&](Manager::ConnectionPtr self) { return talk(chat, *room, self); };
  co_await chat.manager.session(socket, {.metadata = who, .rooms = *room}, handler);
}

int main(int argc, char** argv) try {
  const Settings settings = parse({argv + 1, argv + argc});
  if (settings.help) {
    std::cout << usage;
    return 0;
  }
  boost::system::error_code error;
  const auto address = asio::ip::make_address(settings.address, error);
  if (error)
    throw std::invalid_argument("--address must be an IP address, not " + settings.address);

  asio::io_context context(1);
  roost::ManagerOptions<roost::BeastWebSocket> options;
  if (!settings.allowed_origins.empty()) {
    options.allowed_origins = roost::OriginPolicy(settings.allowed_origins);
  }
  options.logger = roost::log_to_stderr({.least = roost::Severity::warning});
  Replicas replicas(context, settings.redis, options.logger);
  roost::ServiceOptions around;
  around.backplane = replicas.backplane();
  around.drain = {.deadline = 8s, .code = roost::close_code::going_away, .retry_spread = 4s};
  auto& service = roost::init_websockets<roost::BeastWebSocket>(context, options, around);
  auto& manager = service.manager();
  replicas.attach(service);
  const Chat chat{manager, replicas};
  announce(chat);
  const Web web(service, replicas);
  const roost::ListenOptions listen{.on_http = [&](const auto& r) { return web.answer(r); }};
  const auto handler = [&](roost::Upgrade upgrade) { return serve(chat, std::move(upgrade)); };
  asio::ssl::context tls(asio::ssl::context::tls_server);
  const bool is_secure = !settings.certificate.empty();
  if (is_secure) {
    tls.use_certificate_chain_file(settings.certificate);
    tls.use_private_key_file(settings.key, asio::ssl::context::pem);
  }
  const asio::ip::tcp::endpoint endpoint(address, settings.port);
  auto listener = is_secure ? roost::listen(manager, endpoint, tls, listen, handler)
                            : roost::listen(manager, endpoint, listen, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  std::ostringstream hello;
  hello << "roost chat: " << (is_secure ? "https://" : "http://") << listener.local_endpoint()
        << '/';
  roost::LineWriter out({.file = stdout});  // unlike std::cout it waits for nobody
  out.write(hello.str());
  context.run();  // until a signal has come, and everybody was told
} catch (const std::exception& error) {
  std::cerr << "chat: " << error.what() << '\n';
  return 1;
}
