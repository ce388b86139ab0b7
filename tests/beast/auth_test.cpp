// SPDX-License-Identifier: MIT
// Who may connect, as an application decides it: what a page from elsewhere can do with its
// visitor's cookie, the ways in which a client can say who it is, and where that never turns up.
#include <map>

#include "beast/support/server.hpp"

using namespace roost;
using namespace roost::test;

namespace {

const std::string token = "s3cr3t-of-alice";

/// The cookie that a browser sends with every request to a host, whichever page makes it.
const std::string cookie = "Cookie: theme=dark; session=" + token + "\r\n";
const std::string bearer = "Authorization: Bearer " + token + "\r\n";
const std::string subprotocols = "Sec-WebSocket-Protocol: chat, bearer." + token + "\r\n";

bool has_session(const Upgrade& upgrade) {
  return contains(upgrade.header("Cookie").value_or(""), "session=" + token);
}

/// Everything that the server has said to a client.
std::string said_to(const RawClient& client) {
  std::string all = client.reply() ? client.reply()->head + client.reply()->body : std::string();
  for (const ServerFrame& frame : client.frames()) all += frame.payload;
  return all;
}

/// A server that takes whoever satisfies `is_known`, and tells him what is for him alone.
class Bank : public Server {
 public:
  std::function<bool(const Upgrade&)> is_known;
  std::string subprotocol;

  explicit Bank(std::function<bool(const Upgrade&)> predicate, ServerOptions options = {})
      : Server(std::move(options)), is_known(std::move(predicate)) {
    on_upgrade = [this](Upgrade upgrade) { return decide(std::move(upgrade)); };
    handler = [this](ConnectionPtr connection) { return tell(std::move(connection)); };
  }

  /// Whether a client gets the balance; else it gets a 401 or 403, and nothing more.
  int answer_to(std::string_view target, std::string_view headers) {
    RawClient client = request(target, headers);
    until([&] { return client.is_gone() || client.count(Opcode::text) == 1; });
    REQUIRE(client.reply());
    CHECK(client.is_upgraded() == contains(said_to(client), "balance: 1000"));
    CHECK(!contains(said_to(client), token));
    return client.reply()->status;
  }

 private:
  awaitable<> decide(Upgrade upgrade) {
    if (is_known(upgrade)) return serve(std::move(upgrade));
    return upgrade.reject(401);
  }
  awaitable<> tell(ConnectionPtr connection) {
    co_await connection->send_text("balance: 1000");
    co_await swallow(connection);
  }
};

}  // namespace

// --- cross-site WebSocket hijacking ---

TEST_CASE("a page from elsewhere is refused, though its visitor's cookie comes along") {
  ServerOptions options;
  const bool is_listed = GENERATE(false, true);
  if (is_listed) options.manager.allowed_origins = {"http://127.0.0.1"};
  Bank bank(has_session, std::move(options));
  CHECK(bank.answer_to("/", cookie + origin("http://127.0.0.1")) == 101);
  CHECK(bank.upgrades == 1);

  const auto evil =
      GENERATE(as<std::string>(), "https://evil.example", "http://127.0.0.1.evil.example",
               "http://evil.example/127.0.0.1", "http://127.0.0.1:8080", "null", "file://", "");
  CAPTURE(evil);
  CHECK(bank.answer_to("/", cookie + origin(evil)) == 403);
  // Whichever of two decided, the other might be meant.
  CHECK(bank.answer_to("/", cookie + origin("http://127.0.0.1") + origin(evil)) == 403);
  CHECK(bank.answer_to("/", cookie + origin(evil) + origin("http://127.0.0.1")) == 403);
  CHECK(bank.upgrades == 1);  // the application is not even asked
  CHECK(bank.log.count(Severity::warning, "origin_denied") == 1);  // once a second
}

TEST_CASE("a page from elsewhere gets what is its visitor's where any origin is allowed") {
  Bank bank(has_session,
            {.manager = {.allowed_origins = OriginPolicy::dangerously_allow_any_origin()}});
  CHECK(bank.answer_to("/", cookie + origin("https://evil.example")) == 101);
}

TEST_CASE("a request for two hosts is from none of them") {
  Server server;
  const std::string request =
      upgrade_request("/", origin("http://127.0.0.1") + "Host: b.example\r\n");
  RawClient client = server.connect();
  client.send(request);
  server.until([&] { return client.is_at_end(); });
  CHECK(client.reply()->status == 400);
  client.close();
  server.until([&] { return server.log.count("request_refused") == 1; });
}

TEST_CASE("a server of one's own sees all Origin headers of a request that it hands over") {
  Server server;
  Manager manager(server.context.get_executor(),
                  {.allowed_origins = {"https://app.example.com"}, .clock = &server.clock});
  HttpRequest request(boost::beast::http::verb::get, "/", 11);
  request.set("Upgrade", "websocket");
  request.set("Connection", "Upgrade");
  request.insert("Origin", "https://app.example.com");
  const bool is_twice = GENERATE(false, true);
  if (is_twice) request.insert("Origin", "https://evil.example");
  tcp::socket socket(server.context);
  socket.connect(server.endpoint());
  const Upgrade upgrade(server.context.get_executor(), std::move(socket), request, {},
                        {.clock = &server.clock});
  CHECK(manager.check_origin(upgrade) == !is_twice);
}

// --- how a client can say who it is ---

TEST_CASE("by a header: a client without a valid token gets a 401 that says how to send one") {
  Bank bank(
      [](const Upgrade& upgrade) { return upgrade.header("Authorization") == "Bearer " + token; });
  CHECK(bank.answer_to("/", bearer) == 101);
  CHECK(bank.answer_to("/", "authorization: Bearer " + token + "\r\n") == 101);
  CHECK(bank.answer_to("/", "Authorization: Bearer guess\r\n") == 401);
  CHECK(bank.answer_to("/?token=" + token, {}) == 401);

  RawClient client = bank.request("/");
  bank.until([&] { return client.is_at_end(); });
  CHECK(client.reply()->header("www-authenticate") == "Bearer");
}

TEST_CASE("a 401 names the scheme that the application speaks") {
  Server server;
  server.on_upgrade = [](Upgrade upgrade) {
    return upgrade.reject(401, "Who are you?\n", {.challenge = "Negotiate"});
  };
  RawClient client = server.request("/");
  server.until([&] { return client.is_at_end(); });
  CHECK(client.reply()->header("www-authenticate") == "Negotiate");
  CHECK(client.reply()->body == "Who are you?\n");
}

TEST_CASE("by a subprotocol: the token is taken, and another subprotocol is answered") {
  Server server;
  std::optional<std::string> taken;
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    taken = upgrade.subprotocol_after("bearer.");
    const bool is_known = taken == token;
    if (!is_known) {
      co_await upgrade.reject(401);
      co_return;
    }
    const auto socket = co_await upgrade.accept({.subprotocols = {"chat"}});
    co_await server.manager.session(socket, {}, server.handler);
  };
  SECTION("as a page does it") {
    // Beast's client, like a browser, takes only what it has offered.
    BeastClient page = server.beast_client("/", {.subprotocols = "chat, bearer." + token});
    server.until([&] { return page.is_open(); });
    CHECK(page.response()["Sec-WebSocket-Protocol"] == "chat");
    for (const auto& field : page.response()) {
      CHECK(!contains(detail::to_std(field.value()), token));
    }
  }
  SECTION("however it is offered") {
    const auto [offered, found] = GENERATE(table<std::string, std::optional<std::string>>(
        {{"", std::nullopt},
         {"Sec-WebSocket-Protocol: chat\r\n", std::nullopt},
         {"Sec-WebSocket-Protocol: chat, bearer.guess\r\n", "guess"},
         {"Sec-WebSocket-Protocol: chat, bearer.\r\n", ""},
         {"Sec-WebSocket-Protocol: chat, Bearer." + token + "\r\n", std::nullopt},
         {"Sec-WebSocket-Protocol: chat, xbearer." + token + "\r\n", std::nullopt},
         {"Sec-WebSocket-Protocol: bearer." + token + ",chat\r\n", token},
         {"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: bearer." + token + "\r\n",
          token},
         {"Sec-WebSocket-Protocol: chat, bearer.guess, bearer." + token + "\r\n", "guess"}}));
    CAPTURE(offered);
    RawClient client = server.request("/", offered);
    server.until([&] { return client.reply().has_value(); });
    CHECK(taken == found);
    CHECK(client.reply()->status == (found == token ? 101 : 401));
    CHECK(!contains(said_to(client), token));
  }
}

namespace {

/// One-time tickets: the query may end up in somebody's log, and is worth nothing by then.
class Tickets {
 public:
  std::string issue(std::string user, Clock::time_point now) {
    std::erase_if(tickets_, [&](const auto& entry) { return entry.second.expiry <= now; });
    std::string ticket = detail::random_id();
    tickets_[ticket] = {std::move(user), now + 30s};
    return ticket;
  }
  std::optional<std::string> redeem(const std::string& ticket, Clock::time_point now) {
    const auto found = tickets_.extract(ticket);
    if (found.empty() || found.mapped().expiry <= now) return std::nullopt;
    return found.mapped().user;
  }
  std::size_t size() const { return tickets_.size(); }

 private:
  struct Entry {
    std::string user;
    Clock::time_point expiry;
  };
  std::map<std::string, Entry> tickets_;
};

}  // namespace

TEST_CASE("by a ticket of the query: got by HTTP, good for one connection, and for a short time") {
  Tickets tickets;
  std::optional<Bank> bank;
  ServerOptions options;
  options.listen.on_http = [&](const HttpRequest& request) {
    namespace http = boost::beast::http;
    const bool is_known = request["Authorization"] == "Bearer " + token;
    HttpResponse response(is_known ? http::status::ok : http::status::unauthorized,
                          request.version());
    if (is_known) response.body() = tickets.issue("alice", bank->clock.now());
    return response;
  };
  bank.emplace(
      [&](const Upgrade& upgrade) {
        return tickets.redeem(upgrade.query("ticket").value_or(""), bank->clock.now()) == "alice";
      },
      std::move(options));
  const auto ask = [&](const std::string& headers) {
    RawClient client = bank->connect();
    client.send("POST /ticket HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n");
    bank->until([&] { return client.is_at_end(); });
    return *client.reply();
  };
  CHECK(ask({}).status == 401);
  const std::string ticket = ask(bearer).body;
  REQUIRE(ticket.size() == 32);

  SECTION("one connection") {
    CHECK(bank->answer_to("/?ticket=" + ticket, {}) == 101);
    CHECK(bank->answer_to("/?ticket=" + ticket, {}) == 401);
    CHECK(tickets.size() == 0);
  }
  SECTION("a short time") {
    bank->pass(29'999ms);
    CHECK(bank->answer_to("/?ticket=" + ticket, {}) == 101);
    const std::string another = ask(bearer).body;
    bank->pass(30s);
    CHECK(bank->answer_to("/?ticket=" + another, {}) == 401);
  }
  SECTION("no other ticket") {
    CHECK(bank->answer_to("/", {}) == 401);
    CHECK(bank->answer_to("/?ticket=", {}) == 401);
    CHECK(bank->answer_to("/?ticket=" + std::string(32, '0'), {}) == 401);
    CHECK(bank->answer_to("/?ticket=" + ticket + "0", {}) == 401);
  }
  for (const auto& line : bank->log.lines()) CHECK(!contains(line.text, ticket));
}

TEST_CASE("on_connect: a client that it refuses is told by 1008, and was never a member") {
  std::string seen;
  Server server({.manager = {.on_connect = [&](BeastWebSocket& socket, nlohmann::json& metadata) {
                   seen = socket.header("Authorization").value_or("");
                   metadata["user"] = "alice";
                   return seen == "Bearer " + token;
                 }}});
  nlohmann::json user;
  server.handler = [&](ConnectionPtr connection) {
    user = connection->metadata()["user"];
    return server.swallow(std::move(connection));
  };
  RawClient witness = server.request("/?room=lobby", bearer);
  server.until([&] { return server.manager.total_connections() == 1; });
  CHECK(user == "alice");
  RawClient mallory = server.request("/?room=lobby", "Authorization: Bearer guess\r\n");
  server.until([&] { return mallory.closed_with().has_value(); });
  CHECK(seen == "Bearer guess");
  CHECK(mallory.closed_with()->code() == 1008);
  CHECK(mallory.frames().size() == 1);
  CHECK(server.manager.stats().accepted == 1);
  CHECK(server.log.count(Severity::warning, "connection_denied") == 1);
}

// --- where a token never turns up ---

namespace {

/// A client with a token in every place, and what becomes of it.
struct Visit {
  std::string event;  ///< That is in the log at its end; empty: nothing needs to be.
  std::function<void(ServerOptions&)> configure = [](ServerOptions&) {};
  /// What it returns lives until the visit is over.
  std::function<std::shared_ptr<void>(Server&)> prepare = [](Server&) { return nullptr; };
  std::string query = {};
  std::string headers = {};
  std::string afterwards = {};  ///< What it sends when it is upgraded.
  std::string request = {};     ///< Instead of that for a WebSocket.
};

const std::string all_tokens = bearer + cookie + subprotocols + "X-Token: " + token + "\r\n";

awaitable<> fail(const char* why) {
  throw std::runtime_error(why);
  co_return;
}

/// A member to be in the way of others.
std::shared_ptr<void> join_alice(Server& server) {
  return std::make_shared<RawClient>(server.join("alice"));
}

template <class Handler>
auto on_upgrade(Handler handler) {
  return [handler](Server& server) {
    server.on_upgrade = handler;
    return nullptr;
  };
}

std::vector<Visit> visits() {
  const std::string no_upgrade =
      "GET /?token=" + token + " HTTP/1.1\r\nHost: h\r\n" + all_tokens + "\r\n";
  using Options = ServerOptions&;
  return {// before the 101
          {.event = "origin_denied", .headers = origin("https://evil.example")},
          {.event = "origin_denied",
           .configure = [](Options o) { o.manager.allowed_origins = {"https://a.example"}; }},
          {.event = "", .request = no_upgrade},
          {.event = "connection_failed",
           .configure =
               [](Options o) {
                 o.listen.on_http = [](const HttpRequest&) -> HttpResponse {
                   throw std::runtime_error("no page");
                 };
               },
           .request = no_upgrade},
          {.event = "request_refused", .request = "GET /?token=" + token + " HTTP/9.9\r\n\r\n"},
          {.event = "request_refused", .headers = "Bad Header " + token + "\r\n"},
          {.event = "request_refused", .headers = "X: " + std::string(40'000, 'x') + "\r\n"},
          {.event = "request_refused",
           .request = "GET /?token=" + token +
                      " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
                      all_tokens + "\r\n"},
          {.event = "drain",
           .prepare =
               [](Server& server) {
                 std::shared_ptr<void> alice = join_alice(server);
                 server.start(server.manager.drain());
                 server.until([&] { return server.manager.is_draining(); });
                 return alice;
               }},
          {.event = "", .prepare = on_upgrade([](Upgrade upgrade) { return upgrade.reject(401); })},
          {.event = "", .prepare = on_upgrade([](const Upgrade&) -> awaitable<> { co_return; })},
          {.event = "connection_failed",
           .prepare = on_upgrade([](const Upgrade&) { return fail("no database"); })},
          // after it
          {.event = "connection_denied",
           .configure =
               [](Options o) {
                 o.manager.on_connect = [](BeastWebSocket&, nlohmann::json&) { return false; };
               }},
          {.event = "connection_denied",
           .configure =
               [](Options o) {
                 o.manager.on_connect = [](BeastWebSocket&, nlohmann::json&) -> bool {
                   throw std::runtime_error("no database");
                 };
               }},
          {.event = "join_denied",
           .configure =
               [](Options o) {
                 o.manager.room_validator = [](std::string_view, auto&) { return false; };
               },
           .query = "&room=lobby"},
          {.event = "", .query = "&room="},
          {.event = "duplicate_connection_id", .prepare = join_alice, .query = "&id=alice"},
          {.event = "too_many_connections",
           .configure = [](Options o) { o.manager.max_connections = 1; },
           .prepare = join_alice},
          {.event = "disconnect", .afterwards = close_frame(1000)},
          {.event = "disconnect", .afterwards = "\xFF\xFF" + token},
          {.event = "message_too_big",
           .configure = [](Options o) { o.manager.max_message_bytes = 100; },
           .afterwards = text_frame(std::string(101, 'x'))},
          {.event = "handler_failed", .prepare = [](Server& server) {
             server.handler = [](const ConnectionPtr&) { return fail("no database"); };
             return nullptr;
           }}};
}

}  // namespace

TEST_CASE("a token is in no event of the log, and in no answer, however a client ends") {
  for (const Visit& visit : visits()) {
    CAPTURE(visit.event, visit.query, visit.headers, visit.request);
    ServerOptions options;
    visit.configure(options);
    Server server(std::move(options));
    const std::shared_ptr<void> company = visit.prepare(server);
    RawClient client = server.connect();
    client.send(visit.request.empty()
                    ? upgrade_request("/?token=" + token + visit.query, all_tokens + visit.headers)
                    : visit.request);
    if (!visit.afterwards.empty()) {
      server.until([&] { return client.is_upgraded(); });
      client.send(visit.afterwards);
    }
    server.until([&] { return client.is_gone() || client.closed_with(); });
    CHECK(!contains(said_to(client), token));
    client.close();
    server.let_others_work();
    if (!visit.event.empty()) CHECK(server.log.count(visit.event) > 0);
    for (const auto& line : server.log.lines()) CHECK(!contains(line.text, token));
  }
}

namespace {

awaitable<> read_and_forget(tcp::socket socket, Clock& clock) {
  const auto executor = socket.get_executor();
  co_await read_upgrade(executor, std::move(socket), {.clock = &clock});
}

}  // namespace

TEST_CASE("a token is in no error of a request that asks for no WebSocket") {
  Server server;
  tcp::acceptor acceptor(server.context, any_port());
  RawClient client(server.context, acceptor.local_endpoint());
  client.send("GET /chat?token=" + token + " HTTP/1.1\r\nHost: h\r\n" + all_tokens + "\r\n");
  const auto reading = server.start(read_and_forget(acceptor.accept(), server.clock));
  server.until([&] { return client.is_at_end(); });
  client.close();
  server.until([&] { return reading->is_done(); });
  const std::string what = message_of([&] { reading->take(); });
  CHECK(contains(what, "GET /chat"));
  CHECK(!contains(what, token));
}

TEST_CASE("a token is in no error of a client that is too late") {
  Server server;
  RawClient client = server.connect();
  client.send("GET /chat?token=" + token + " HTTP/1.1\r\n" + all_tokens);
  server.until([&] { return client.unsent() == 0; });
  server.let_others_work();
  server.pass(15s);
  server.until([&] { return client.is_gone(); });
  CHECK(server.log.count("connection_failed") == 1);
  for (const auto& line : server.log.lines()) CHECK(!contains(line.text, token));
}
