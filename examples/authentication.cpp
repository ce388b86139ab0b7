// Shows: a chat that authenticates each client before it accepts the WebSocket.
// Run:   cmake --build build/chat --target authentication && build/chat/examples/authentication
// Try:   ticket=$(curl -s -H 'Authorization: Bearer bobs-secret' http://127.0.0.1:8080/ticket)
//        python3 -m websockets "ws://127.0.0.1:8080/ws/lobby?ticket=$ticket"
//        Use the ticket again: 401. Ask for /ws/staff with a new ticket of Bob's: 403.
//
// `sh cmake/chat.sh` makes the folder build/chat. The only argument is the port, by default 8080.
//
// A client shows its token in one of three ways:
// - In the header `Authorization: Bearer TOKEN`. Scripts of a web page cannot set this header.
// - In the subprotocols `chat, bearer.TOKEN`, which a web page can set:
//   `new WebSocket(url, ['chat', 'bearer.' + token])`. The server answers with `chat` only.
// - In the query `?ticket=TICKET`. The client gets a ticket from `/ticket`, where it sends the
//   header. Queries are often logged, so a ticket is valid for one connection and for 30 s.
//
// An unknown token or ticket gets a 401. A known user who may not enter the room gets a 403.

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

  // Answers the requests that do not ask for a WebSocket.
  roost::HttpResponse answer(const roost::HttpRequest& request) {
    const auto user = user_of_header(request);
    roost::HttpResponse response;
    if (roost::path_of(request) != "/ticket") {  // `path_of` leaves the query out
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
  // A real server verifies the signature of a token, or looks up its hash.
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
    const auto found = tickets_.extract(ticket);  // A ticket is removed when it is used.
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

// Each text is sent on as a JSON string, in which one byte can take six. With this limit the JSON
// stays below 1 MiB, which many client libraries accept at most by default. A client that sends a
// longer text is closed with 1009.
constexpr std::size_t max_message_bytes = 160 * 1024;

awaitable<void> serve(Manager& manager, Door& door, roost::Upgrade upgrade) {
  const auto room = upgrade.path_after("/ws/");
  const auto user = door.user_of(upgrade);
  if (!room || !user || (*room == "staff" && !user->is_staff)) {
    co_await upgrade.reject(!room ? 404 : !user ? 401 : 403);
    co_return;
  }
  auto socket = co_await upgrade.accept({.subprotocols = "chat"});
  const nlohmann::json who = {{"name", user->name}};  // stays with the connection
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
