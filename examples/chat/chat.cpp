// Shows: a chat with rooms, who is in them, a web page, TLS, Redis and metrics.
// Run:   sh cmake/chat.sh
// Try:   Open http://127.0.0.1:8080/ in two windows and talk. Cut the network of one for a while:
//        its page gets what it missed. Stop the server and start it again: both pages reconnect.
//        With --redis several servers are one chat: their members see each other, and a page also
//        gets what it missed from another server.
//
// The page is at /, the WebSockets of a room are at /ws/{room}. The server adds the sender's name
// to each message, so that a client cannot forge it. `sh cmake/chat.sh -- --help` lists the
// options.
//
// chat.cpp       the program: options, manager, listener
// talk.hpp       one member, from the welcome to the last message
// roster.hpp     who is in which room, and telling the members who joins and leaves
// replicas.hpp   one process or, through Redis, several as one chat
// web.hpp        the page, the health checks and the metrics
// settings.hpp   the command line
// resume.js      for your own pages too: reconnects, and asks for what was missed

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <iostream>
#include <roost/base/log_sinks.hpp>
#include <roost/beast/tls.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "replicas.hpp"
#include "roster.hpp"
#include "settings.hpp"
#include "talk.hpp"
#include "web.hpp"

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using nlohmann::json;

awaitable<void> serve(const Chat& chat, roost::Upgrade upgrade) {
  const auto room = upgrade.path_after("/ws/");
  const std::string name = upgrade.query("name").value_or("somebody");
  if (!room || name.size() > max_name_bytes) {
    co_await upgrade.reject(room ? 400 : 404);
    co_return;
  }
  const json who = {{"name", name}};
  // The tabs of a person come with the same `user`, and count once. Anybody could send it: where
  // people log in, take it and the name from the log-in.
  const auto user = upgrade.query("user");
  // The page sends what it has got so far, on its first visit an empty text. Clients that do not
  // send `resume` get messages without a line in front, and none from before they joined.
  const auto resume = upgrade.query("resume");
  const std::size_t last = resume ? 20 : 0;
  auto socket = co_await upgrade.accept({.subprotocols = keyed});
  const bool is_keyed = socket->subprotocol() == keyed;
  auto handler = [&](Manager::ConnectionPtr self) { return talk(chat, *room, self, is_keyed); };
  co_await chat.manager.session(socket,
                                {.metadata = who,
                                 .rooms = *room,
                                 .resume = resume,
                                 .last = last,
                                 .user = user,
                                 .user_info = who},
                                handler);
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
  options.max_message_bytes = max_message_bytes;
  options.logger = roost::log_to_stderr({.least = roost::Severity::warning});
  Replicas replicas(context, settings, options.logger);
  roost::ServiceOptions around;
  around.backplane = replicas.backplane();
  around.heartbeat = {.interval = settings.heartbeat, .timeout = 3 * settings.heartbeat};
  around.drain = {.deadline = 8s, .code = roost::close_code::going_away, .retry_spread = 4s};
  auto& service = roost::init_websockets<roost::BeastWebSocket>(context, options, around);
  auto& manager = service.manager();
  replicas.attach(service);
  const Roster roster(service);
  const Chat chat{manager, replicas, roster};
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
  roost::LineWriter out({.file = stdout});  // unlike `std::cout` it never blocks
  out.write(hello.str());
  context.run();  // returns after a signal, when every client has been told
} catch (const std::exception& error) {
  std::cerr << "chat: " << error.what() << '\n';
  return 1;
}
