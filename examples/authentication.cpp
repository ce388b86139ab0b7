// Who may come in, decided before the 101: a chat whose clients show a token, in one of three ways.
//
//   authentication [PORT]
//
// - `Authorization: Bearer TOKEN`: for clients that can set headers, so not for browsers.
// - The subprotocols `chat, bearer.TOKEN`: for browsers,
//   `new WebSocket(url, ['chat', 'bearer.' + token])`. The server answers with `chat` only.
// - `?ticket=TICKET`: a ticket is good once and for 30 s, so that it may turn up in logs. It is had
//   at `/ticket` with the header.
//
// Without a token that is known it is a 401, with one that is not for this room a 403.

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <map>
#include <optional>
#include <random>
#include <roost/beast.hpp>
#include <string>
#include <string_view>

#include "port.hpp"

using boost::asio::awaitable;
using namespace std::chrono_literals;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;
namespace http = boost::beast::http;

struct User {
  std::string name;
  bool is_staff = false;
};

class Door {
 public:
  std::optional<User> user_of(const roost::Upgrade& upgrade) {
    if (upgrade.header("Authorization")) return user_of_header(upgrade.request());
    if (const auto token = upgrade.subprotocol_after("bearer.")) return user_of_token(*token);
    if (const auto ticket = upgrade.query("ticket")) return redeem(*ticket);
    return std::nullopt;
  }

  // For `on_http`: what is no WebSocket.
  roost::HttpResponse answer(const roost::HttpRequest& request) {
    const auto user = user_of_header(request);
    roost::HttpResponse response;
    if (roost::path_of(request) != "/ticket") {  // whatever the query is
      response.result(http::status::not_found);
    } else if (!user) {
      response.result(http::status::unauthorized);
      response.set(http::field::www_authenticate, "Bearer");
    } else {
      response.set(http::field::cache_control, "no-store");
      response.body() = issue(*user);
    }
    return response;
  }

 private:
  static std::optional<User> user_of_header(const roost::RequestHead& request) {
    const auto token = roost::bearer_token(request);
    return token ? user_of_token(*token) : std::nullopt;
  }
  // A real server verifies a signature, or looks up a hash of the token.
  static std::optional<User> user_of_token(std::string_view token) {
    if (token == "alices-secret") return User{"Alice", /*is_staff=*/true};
    if (token == "bobs-secret") return User{"Bob"};
    return std::nullopt;
  }

  std::string issue(const User& user) {
    std::erase_if(tickets_, [](const auto& t) { return t.second.expires < Clock::now(); });
    std::random_device random;
    std::string ticket;
    for (int i = 0; i < 32; ++i) ticket += "0123456789abcdef"[random() % 16];
    tickets_[ticket] = {user, Clock::now() + 30s};
    return ticket;
  }
  std::optional<User> redeem(const std::string& ticket) {
    const auto found = tickets_.extract(ticket);  // whatever comes of it, it was the only time
    if (!found || found.mapped().expires < Clock::now()) return std::nullopt;
    return found.mapped().user;
  }

  using Clock = std::chrono::steady_clock;
  struct Ticket {
    User user;
    Clock::time_point expires;
  };
  std::map<std::string, Ticket> tickets_;
};

// What is sent goes to all in JSON, which has up to six bytes for one. So it is still below the 1
// MiB that browsers' and Python's libraries accept by default; a longer one is refused with 1009.
constexpr std::size_t max_message_bytes = 160 * 1024;

awaitable<void> serve(Manager& manager, Door& door, roost::Upgrade upgrade) {
  const auto room = upgrade.path_after("/ws/");
  const auto user = door.user_of(upgrade);
  if (!room || !user || (*room == "staff" && !user->is_staff)) {
    co_await upgrade.reject(!room ? 404 : !user ? 401 : 403);
    co_return;
  }
  auto socket = co_await upgrade.accept({.subprotocols = "chat"});
  const nlohmann::json who = {{"name", user->name}};  // there as long as the connection is
  auto handler = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    while (auto text = co_await manager.next_text(*self)) {
      const nlohmann::json message = {{"from", self->metadata()["name"]}, {"text", *text}};
      co_await manager.broadcast_json(message, {.room = *room});
    }
  };
  co_await manager.session(socket, {.metadata = who, .rooms = *room}, handler);
}

int main(int argc, char** argv) {
  boost::asio::io_context context(1);
  auto& service = roost::init_websockets<Ws>(context, {.max_message_bytes = max_message_bytes});
  Manager& manager = service.manager();
  Door door;
  const auto handler = [&](roost::Upgrade u) { return serve(manager, door, std::move(u)); };
  auto listener = roost::listen(
      manager, endpoint_of(argc, argv),
      {.on_http = [&](const auto& request) { return door.answer(request); }}, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  say("authentication: ws://", listener.local_endpoint(), '/');
  context.run();
}
