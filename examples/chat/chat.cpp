// A chat server: a page at /, WebSockets at /ws/{room}. What a member sends goes to the others of
// the room, with the sender's name put in front by the server, so that nobody can forge it.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <csignal>
#include <iostream>
#include <roost/beast/tls.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "chat_page.hpp"
#include "settings.hpp"

namespace asio = boost::asio;
using asio::awaitable;
using nlohmann::json;
using Manager = roost::ConnectionManager<roost::BeastWebSocket>;

json event(std::string_view what, const Manager::ConnectionPtr& member) {
  return {{"event", what}, {"id", member->id()}, {"name", member->metadata()["name"]}};
}

// From the welcome to the last message of one member.
awaitable<void> talk(Manager& manager, std::string room, Manager::ConnectionPtr self) {
  json welcome = event("welcome", self);
  for (const auto& member : manager.members(room)) {
    welcome["members"].push_back({{"id", member->id()}, {"name", member->metadata()["name"]}});
  }
  co_await self->send_json(welcome);
  json joined = event("joined", self);
  co_await manager.broadcast_json(joined, {.room = room, .exclude = self->id()});

  for (;;) {
    const roost::Message message = co_await manager.receive(*self);
    if (message.is_text) {
      json relayed = event("message", self);
      relayed["text"] = message.payload;
      co_await manager.broadcast_json(relayed, {.room = room, .exclude = self->id()});
    } else {
      co_await manager.broadcast_bytes(message.bytes(), {.room = room, .exclude = self->id()});
    }
  }
}

awaitable<void> serve(Manager& manager, roost::Upgrade upgrade) {
  const auto room = upgrade.path_after("/ws/");
  if (!room) {
    co_await upgrade.reject(404);
    co_return;
  }
  const json who = {{"name", upgrade.query("name").value_or("somebody")}};
  auto socket = co_await upgrade.accept();
  auto handler = [&](Manager::ConnectionPtr self) { return talk(manager, *room, self); };
  co_await manager.session(socket, {.metadata = who, .rooms = *room}, handler);
}

roost::HttpResponse page(const roost::HttpRequest& request) {
  namespace http = boost::beast::http;
  roost::HttpResponse response;
  if (request.target() == "/") {
    response.set(http::field::content_type, "text/html; charset=utf-8");
    response.body() = chat_page;
  } else if (request.target().starts_with("/ws/")) {
    response.result(http::status::upgrade_required);
    response.set(http::field::upgrade, "websocket");
  } else {
    response.result(http::status::not_found);
    response.body() = "There is nothing here.\n";
  }
  return response;
}

// Says goodbye to everyone, then ends run().
awaitable<void> stop_on_signal(asio::io_context& context, Manager& manager,
                               roost::Listener& listener) {
  asio::signal_set signals(manager.get_executor(), SIGINT, SIGTERM);
  co_await signals.async_wait(asio::use_awaitable);
  listener.stop();
  co_await manager.close_all(roost::close_code::going_away);
  context.stop();  // whoever is still shaking hands
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
  options.logger = [](const roost::LogEvent& e) {
    if (e.severity >= roost::Severity::warning) std::cerr << e.to_string() << '\n';
  };
  Manager manager(context.get_executor(), options);
  manager.on_disconnect([&](Manager::ConnectionPtr member, const roost::Disconnect&) {
    const json left = event("left", member);
    for (const std::string& room : member->rooms()) manager.post_json(left, {.room = room});
  });
  asio::ssl::context tls(asio::ssl::context::tls_server);
  const bool is_secure = !settings.certificate.empty();
  if (is_secure) {
    tls.use_certificate_chain_file(settings.certificate);
    tls.use_private_key_file(settings.key, asio::ssl::context::pem);
  }
  const asio::ip::tcp::endpoint endpoint(address, settings.port);
  auto handler = [&](roost::Upgrade u) { return serve(manager, std::move(u)); };
  auto listener = is_secure ? roost::listen(manager, endpoint, tls, {.on_http = page}, handler)
                            : roost::listen(manager, endpoint, {.on_http = page}, handler);
  asio::co_spawn(context, stop_on_signal(context, manager, listener), asio::detached);
  std::cout << "roost chat: " << (is_secure ? "https://" : "http://") << listener.local_endpoint()
            << '/' << std::endl;
  context.run();
} catch (const std::exception& error) {
  std::cerr << "chat: " << error.what() << '\n';
  return 1;
}
