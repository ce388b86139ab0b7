// A chat server: a page at /, WebSockets at /ws/{room}. What a member sends goes to the others of
// the room, with the sender's name put in front by the server, so that nobody can forge it.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <csignal>
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
  auto socket = co_await upgrade.accept({.subprotocols = keyed});
  const bool is_keyed = socket->subprotocol() == keyed;
  auto handler = [&](Manager::ConnectionPtr self) { return talk(chat, *room, self, is_keyed); };
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
  options.max_message_bytes = max_message_bytes;
  options.logger = roost::log_to_stderr({.least = roost::Severity::warning});
  Replicas replicas(context, settings.redis, settings.channel, options.logger);
  roost::ServiceOptions around;
  around.backplane = replicas.backplane();
  around.drain = {.deadline = 8s, .code = roost::close_code::going_away, .retry_spread = 4s};
  auto& service = roost::init_websockets<roost::BeastWebSocket>(context, options, around);
  auto& manager = service.manager();
  replicas.attach(service);
  const Roster roster(context, manager, replicas);
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
  roost::LineWriter out({.file = stdout});  // unlike std::cout it waits for nobody
  out.write(hello.str());
  context.run();  // until a signal has come, and everybody was told
} catch (const std::exception& error) {
  std::cerr << "chat: " << error.what() << '\n';
  return 1;
}
