// SPDX-License-Identifier: MIT
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <new>
#include <optional>
#include <utility>

#include "beast/support/server.hpp"

using namespace roost;
using namespace roost::test;

namespace {

namespace http = boost::beast::http;

/// Answers with @p status and nothing else.
std::function<awaitable<>(Upgrade)> rejecting(unsigned status, std::string body = {}) {
  return [status, body = std::move(body)](Upgrade upgrade) { return upgrade.reject(status, body); };
}

/// A clock that stands still, and has no memory for the next timer when told so.
class FailingClock final : public Clock {
 public:
  bool fails = false;

 private:
  [[nodiscard]] bool is_manual() const noexcept override { return true; }
  void arm(roost::detail::Timer&) override {
    if (std::exchange(fails, false)) throw std::bad_alloc();
  }
};

/// The reply to a request, complete, and the connection closed in an orderly way.
HttpReply whole_reply(Server& server, const std::string& request) {
  RawClient client = server.connect();
  client.send(request);
  server.until([&] { return client.is_gone(); });
  CHECK(client.is_at_end());
  REQUIRE(client.reply());
  return *client.reply();
}

}  // namespace

// --- who may connect ---

TEST_CASE("listen: without a list, the page must come from the same host or be no browser") {
  Server server;
  SECTION("no browser") {
    RawClient client = server.request("/");
    server.until([&] { return client.is_upgraded(); });
    CHECK(client.reply()->header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  }
  SECTION("a page of the same host") {
    RawClient client = server.request("/", origin("http://127.0.0.1"));
    server.until([&] { return client.is_upgraded(); });
  }
  SECTION("a page from elsewhere") {
    const HttpReply reply =
        whole_reply(server, upgrade_request("/", origin("https://evil.example\r\n x")));
    CHECK(reply.status == 403);
    CHECK(reply.body == "This page may not connect.\n");
    CHECK(reply.has_whole_body());
    CHECK(server.upgrades == 0);  // decided before anything is accepted
    CHECK(server.log.count(Severity::warning, "origin_denied") == 1);
    CHECK(contains(server.log.last("origin_denied"), "https://evil.example"));
  }
}

TEST_CASE("listen: the manager's list of origins wins") {
  Server server({.manager = {.allowed_origins = {"https://app.example.com"}}});
  SECTION("a page that is on it") {
    RawClient client = server.request("/", origin("https://app.example.com"));
    server.until([&] { return client.is_upgraded(); });
  }
  SECTION("the same host, which is not on it") {
    CHECK(whole_reply(server, upgrade_request("/", origin("http://127.0.0.1"))).status == 403);
  }
  SECTION("no Origin at all") {
    CHECK(whole_reply(server, upgrade_request("/")).status == 403);
    CHECK(contains(server.log.last("origin_denied"), "(none)"));
  }
}

// --- what is asked for ---

TEST_CASE("Upgrade: tells target, path, query, headers and where it comes from") {
  Server server;
  std::optional<tcp::endpoint> remote;
  server.on_upgrade = [&](Upgrade upgrade) {
    remote = upgrade.remote_endpoint();
    CHECK(upgrade.target() == "/ws/my%20room?token=a%2Bb+c&empty&x=1&x=2&%6Eame=v&bad=%zz");
    CHECK(upgrade.path() == "/ws/my%20room");
    CHECK(upgrade.path_after("/ws/") == "my room");
    CHECK(!upgrade.path_after("/other/"));
    CHECK(!upgrade.path_after("/ws/my%20room"));
    CHECK(!upgrade.path_after("/"));  // more than one segment
    CHECK(upgrade.query("token") == "a+b c");
    CHECK(upgrade.query("empty") == "");
    CHECK(upgrade.query("x") == "1");
    CHECK(upgrade.query("name") == "v");
    CHECK(!upgrade.query("bad"));
    CHECK(!upgrade.query("absent"));
    CHECK(upgrade.header("x-token") == "secret");
    CHECK(upgrade.header("X-TOKEN") == "secret");
    CHECK(!upgrade.header("X-Other"));
    CHECK(upgrade.request().method() == http::verb::get);
    return server.serve(std::move(upgrade));
  };
  server.handler = [&](ConnectionPtr connection) {
    const auto& socket = *connection->websocket();
    CHECK(socket.header("X-Token") == "secret");
    CHECK(detail::to_std(socket.request().target()).starts_with("/ws/"));
    CHECK(socket.remote_endpoint() == remote);
    CHECK(socket.subprotocol().empty());
    return server.echo(std::move(connection));
  };
  RawClient client = server.request("/ws/my%20room?token=a%2Bb+c&empty&x=1&x=2&%6Eame=v&bad=%zz",
                                    "X-Token: secret\r\n");
  server.until([&] { return client.is_upgraded() && server.manager.total_connections() == 1; });
  CHECK(remote == client.local_endpoint());
}

TEST_CASE("accept: chooses the first of its own subprotocols that the client offers") {
  struct Case {
    std::string offered, chosen;
  };
  const auto [offered, chosen] = GENERATE(
      Case{"", ""}, Case{"Sec-WebSocket-Protocol: chat.v1\r\n", "chat.v1"},
      Case{"Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n", "chat.v2"},
      Case{"Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: chat.v2\r\n", "chat.v2"},
      Case{"Sec-WebSocket-Protocol: chat.v3, CHAT.V1\r\n", ""});
  CAPTURE(offered);
  Server server;
  std::shared_ptr<BeastWebSocket> socket;
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    socket = co_await upgrade.accept({.subprotocols = {"chat.v2", "chat.v1"}, .server = "perch"});
  };
  RawClient client = server.request("/", offered);
  server.until([&] { return client.is_upgraded() && socket; });
  CHECK(client.reply()->header("sec-websocket-protocol").value_or("") == chosen);
  CHECK(client.reply()->header("server") == "perch");
  CHECK(socket->subprotocol() == chosen);
}

TEST_CASE("accept: frames that come right behind the request are not lost") {
  Server server;
  RawClient client = server.connect();
  std::string big(40'000, 'b');  // more than one read brings
  client.send(upgrade_request("/?id=alice") + text_frame("first") + text_frame(big) +
              text_frame("last"));
  server.until([&] { return client.count(Opcode::text) == 3; });
  CHECK(client.texts() == std::vector<std::string>{"first", big, "last"});
}

// --- requests that are none ---

TEST_CASE("listen: a request without an upgrade is told so, unless the application answers") {
  const std::string method = GENERATE("GET", "HEAD", "POST");
  CAPTURE(method);
  const std::string request = method +
                              " /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                              "Content-Length: 9\r\n\r\nsome body";
  SECTION("told") {
    Server server;
    const HttpReply reply = whole_reply(server, request);
    CHECK(reply.status == 426);
    CHECK(reply.header("upgrade") == "websocket");
    CHECK(reply.header("connection") == "upgrade, close");
    if (method != "HEAD") {
      CHECK(reply.body == "This is a WebSocket endpoint.\n");
      CHECK(reply.has_whole_body());
    }
  }
  SECTION("answered") {
    ServerOptions options;
    options.listen.on_http = [](const HttpRequest& asked) {
      HttpResponse response(http::status::ok, asked.version());
      response.body() = std::string(asked.target()) + std::string(500'000, '.');
      return response;
    };
    Server server(std::move(options));
    const HttpReply reply = whole_reply(server, request);
    CHECK(reply.status == 200);
    CHECK(reply.header("content-length") == "500007");
    CHECK(reply.header("connection") == "close");
    if (method != "HEAD") {
      CHECK(reply.body.starts_with("/health."));
      CHECK(reply.has_whole_body());
    }
  }
}

TEST_CASE("listen: the answer to HEAD has no body") {
  ServerOptions options;
  const bool is_own = GENERATE(false, true);
  if (is_own) {
    options.listen.on_http = [](const HttpRequest& asked) {
      HttpResponse response(http::status::ok, asked.version());
      response.body() = "page";
      return response;
    };
  }
  Server server(std::move(options));
  const HttpReply reply = whole_reply(server, "HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  CHECK(reply.status == (is_own ? 200 : 426));
  CHECK(reply.body.empty());
}

TEST_CASE("listen: an application that cannot answer a plain request costs that request only") {
  ServerOptions options;
  options.listen.on_http = [](const HttpRequest&) -> HttpResponse {
    throw std::runtime_error("no page");
  };
  Server server(std::move(options));
  {
    RawClient client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    server.until([&] { return client.is_gone(); });
    CHECK(server.log.count(Severity::error, "connection_failed") == 1);
  }
  RawClient alice = server.join("alice");
  CHECK(alice.is_upgraded());
}

TEST_CASE("listen: bytes that are not HTTP are refused with 400") {
  Server server;
  const std::string request = GENERATE(
      as<std::string>(), "GARBAGE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET  HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", "GET / HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n");
  CAPTURE(request);
  const HttpReply reply = whole_reply(server, request);
  CHECK(reply.status == 400);
  CHECK(reply.has_whole_body());
  CHECK(server.upgrades == 0);
}

TEST_CASE("listen: a head over max_header_bytes is refused with 431, though more keeps coming") {
  Server server({.listen = {.stream = {.max_header_bytes = 2'000}}});
  SECTION("a long line") {
    const HttpReply reply =
        whole_reply(server, upgrade_request("/", "X-Long: " + std::string(2'000, 'x') + "\r\n"));
    CHECK(reply.status == 431);
  }
  SECTION("a long target") {
    CHECK(whole_reply(server, upgrade_request("/" + std::string(9'000, 'x'))).status == 431);
  }
  SECTION("a head without end") {
    std::string request = "GET / HTTP/1.1\r\n";
    while (request.size() < 2'000'000) request += "X-Another: one\r\n";
    const HttpReply reply = whole_reply(server, request);
    CHECK(reply.status == 431);
    CHECK(reply.has_whole_body());
  }
  CHECK(server.upgrades == 0);
}

TEST_CASE("listen: a head of just max_header_bytes is taken") {
  const std::string request = upgrade_request("/", "X-Long: " + std::string(500, 'x') + "\r\n");
  Server server({.listen = {.stream = {.max_header_bytes = request.size()}}});
  RawClient client = server.connect();
  client.send(request);
  server.until([&] { return client.is_gone() || client.is_upgraded(); });
  CHECK(client.is_upgraded());
}

TEST_CASE("listen: a request that lacks what RFC 6455 wants is refused, and counted") {
  Server server;
  const auto [wrong, status] = GENERATE(table<std::string, int>(
      {{"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 426},
       {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: much-longer-than-16-bytes-in-base64\r\n"
        "X: y\r\n",
        400},
       {"Sec-WebSocket-Version: 13\r\n", 400}}));
  CAPTURE(wrong);
  const HttpReply reply = whole_reply(
      server, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" +
                  wrong + "\r\n");
  CHECK(reply.status == status);
  CHECK(server.upgrades == 0);
  CHECK(server.manager.stats().accepted == 0);
  CHECK(server.manager.stats().requests_refused == 1);
}

// --- in time ---

TEST_CASE("handshake: a client that is not done by the deadline is aborted, however busy") {
  Server server;
  const std::string request = upgrade_request("/?id=slow");
  RawClient client = server.connect();
  for (int second = 0; second < 14; ++second) {
    client.send(std::string(1, request[static_cast<std::size_t>(second)]));
    server.until([&] { return client.unsent() == 0; });
    server.let_others_work();
    server.pass(1s);
  }
  server.pass(999ms);
  server.let_others_work();
  CHECK(!client.is_gone());
  server.pass(1ms);
  server.until([&] { return client.is_gone(); });
  CHECK(client.is_reset());
  CHECK(!client.reply());
  CHECK(server.upgrades == 0);
}

TEST_CASE("handshake: each client has a deadline of its own, and no timer is left after the last") {
  Server server;
  RawClient first = server.connect();
  server.pass(5s);
  RawClient second = server.connect();
  server.pass(10s);
  server.until([&] { return first.is_gone(); });
  server.pass(4999ms);
  CHECK(!second.is_gone());
  CHECK(server.clock.armed() == 1);
  server.pass(1ms);
  server.until([&] { return second.is_gone(); });
  CHECK(server.manager.stats().handshakes_timed_out == 2);
  CHECK(server.clock.armed() == 0);
}

TEST_CASE("handshake: an upgrade that is answered too late is answered by nobody") {
  Server server;
  Gate gate;
  std::string failure;
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    co_await gate.pass();
    try {
      co_await upgrade.accept();
    } catch (const Error& error) {
      if (is(error, errc::connection_closed)) failure = error.what();
    }
  };
  RawClient client = server.request("/");
  server.until([&] { return gate.arrived() == 1; });
  server.pass(15s);
  server.until([&] { return client.is_gone(); });
  CHECK(!client.reply());
  gate.open();
  server.until([&] { return !failure.empty(); });
  CHECK(contains(failure, "before the upgrade was answered"));
}

TEST_CASE("handshake: a handler for whose deadline there is no memory loses its connection only") {
  FailingClock clock;
  boost::asio::io_context context;
  Manager manager(context.get_executor());
  Gate gate;
  const bool drops_upgrade = GENERATE(true, false);
  const auto handler = [&](Upgrade upgrade) -> awaitable<> {
    std::optional<Upgrade> kept(std::move(upgrade));
    if (drops_upgrade) kept.reset();
    clock.fails = true;
    co_await gate.pass();
  };
  const Listener listener = listen(manager, any_port(), {.stream = {.clock = &clock}}, handler);
  RawClient client(context, listener.local_endpoint());
  client.send(upgrade_request("/"));
  testing::run_until(context, [&] { return client.is_gone(); });
  CHECK(!clock.fails);
  CHECK(!client.reply());
  CHECK(gate.arrived() == 1);
  gate.open();
  testing::run_ready(context);
}

TEST_CASE("handshake: an accepted connection has no deadline any more") {
  Server server;
  RawClient alice = server.join("alice");
  server.pass(24h);
  alice.send(text_frame("still here"));
  server.until([&] { return alice.count(Opcode::text) == 1; });
}

// --- rejecting ---

TEST_CASE("reject: the answer arrives complete, whatever the client still sends") {
  Server server;
  const unsigned status = GENERATE(401U, 403U, 503U);
  const std::string body(300'000, 'n');
  server.on_upgrade = rejecting(status, body);
  RawClient client = server.connect();
  client.stop_reading();
  client.send(upgrade_request("/") + std::string(2'000'000, 'x'));
  server.until([&] { return client.unsent() == 0; });
  client.resume_reading();
  server.until([&] { return client.is_gone(); });
  CHECK(client.is_at_end());
  REQUIRE(client.reply());
  CHECK(client.reply()->status == static_cast<int>(status));
  CHECK(client.reply()->body == body);
  CHECK(client.reply()->has_whole_body());
}

TEST_CASE("reject: says what the status means if there is nothing else to say") {
  Server server;
  server.on_upgrade = rejecting(401);
  CHECK(whole_reply(server, upgrade_request("/")).body == "Unauthorized\n");
}

// The timer of its handshakes is left to run out when there are none.
constexpr std::size_t of_listener = 1;

TEST_CASE("reject: a peer that keeps its side open is closed after linger_timeout") {
  Server server({.listen = {.stream = {.linger_timeout = 2s}}});
  server.on_upgrade = rejecting(403);
  RawClient client = server.request("/");
  server.until([&] { return client.is_at_end(); });  // the server's side is shut down
  const std::size_t armed = server.clock.armed();
  CHECK(armed > of_listener);
  server.pass(1999ms);
  CHECK(server.clock.armed() == armed);
  server.pass(1ms);
  CHECK(server.clock.armed() == of_listener);
}

TEST_CASE("reject: a peer that does not read the answer is aborted after send_timeout") {
  Server server({.listen = {.stream = {.send_timeout = 5s, .send_buffer_bytes = 4'096}}});
  server.on_upgrade = rejecting(403, std::string(8'000'000, 'n'));
  RawClient client = server.request("/", {}, {.receive_buffer_bytes = 4'096});
  client.stop_reading();
  server.until([&] { return server.upgrades == 1; });
  server.let_others_work();
  server.pass(5s);
  CHECK(server.clock.armed() == of_listener);
  client.resume_reading();
  server.until([&] { return client.is_gone(); });
  CHECK(client.is_reset());
}

TEST_CASE("Upgrade: answering twice is an error") {
  Server server;
  std::vector<errc> errors;
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    co_await upgrade.reject(403);
    errors.push_back(error_of([&] { static_cast<void>(upgrade.reject(403)); }));
    errors.push_back(error_of([&] { static_cast<void>(upgrade.accept()); }));
  };
  CHECK(whole_reply(server, upgrade_request("/")).status == 403);
  server.until([&] { return errors.size() == 2; });
  CHECK(errors == std::vector<errc>{errc::connection_closed, errc::connection_closed});
}

TEST_CASE("Upgrade: reading the request after accept is an error that is logged") {
  Server server;
  std::size_t thrown = 0;
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    const auto socket = co_await upgrade.accept();
    const auto read = [&](auto what) {
      try {
        static_cast<void>(what());
      } catch (const std::logic_error& error) {
        CHECK(contains(error.what(), "handed over by accept"));
        ++thrown;
      }
    };
    read([&] { return upgrade.target(); });
    read([&] { return upgrade.path(); });
    read([&] { return upgrade.path_after("/"); });
    read([&] { return upgrade.header("Host"); });
    read([&] { return upgrade.subprotocol_after("a"); });
    read([&] { return upgrade.request(); });
    CHECK(detail::to_std(socket->request().target()) == "/?resume=here");
    static_cast<void>(upgrade.query("resume"));
  };
  RawClient client = server.request("/?resume=here");
  server.until([&] { return client.is_gone(); });
  CHECK(thrown == 6);
  CHECK(server.log.count(Severity::error, "connection_failed") == 1);
  CHECK(contains(server.log.last("connection_failed"), "handed over by accept"));
}

TEST_CASE("Upgrade: dropping it closes the connection") {
  Server server;
  server.on_upgrade = [](Upgrade upgrade) -> awaitable<> {
    const Upgrade dropped = std::move(upgrade);
    co_return;
  };
  RawClient client = server.request("/");
  server.until([&] { return client.is_gone(); });
  CHECK(!client.reply());
}

TEST_CASE("listen: a handler that throws costs its own connection only, and is logged") {
  Server server;
  server.on_upgrade = [](Upgrade) -> awaitable<> {
    throw std::runtime_error("a bug\nof the application");
    co_return;
  };
  {
    RawClient client = server.request("/");
    server.until([&] { return client.is_gone(); });
  }
  CHECK(server.log.count(Severity::error, "connection_failed") == 1);
  CHECK(contains(server.log.last("connection_failed"), "a bug"));
  server.on_upgrade = [&](Upgrade upgrade) { return server.serve(std::move(upgrade)); };
  const RawClient alice = server.join("alice");
}

TEST_CASE("accept: a peer that has gone meanwhile ends the connection, one way or the other") {
  Server server;
  Gate gate;
  const bool is_reset = GENERATE(true, false);
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    co_await gate.pass();
    co_await server.serve(std::move(upgrade));
  };
  {
    RawClient client = server.request("/?id=gone");
    server.until([&] { return gate.arrived() == 1; });
    is_reset ? client.vanish() : client.close();
  }
  server.let_others_work();
  gate.open();
  server.until([&] {
    return server.manager.total_connections() == 0 &&
           (server.outcomes.size() == 1 || server.log.count("connection_failed") == 1);
  });
  for (const auto& outcome : server.outcomes) {
    CHECK(outcome.reason == DisconnectReason::connection_lost);
  }
}

// --- from an existing server ---

namespace {

/// A server of Boost's examples: accepts, reads a request, hands WebSockets over to roost.
template <class Socket>
awaitable<> hand_over(Server& server, std::shared_ptr<Socket> socket) {
  boost::beast::flat_buffer buffer;
  http::request<http::string_body> request;
  co_await http::async_read(*socket, buffer, request, boost::asio::use_awaitable);
  std::optional<Upgrade> upgrade;
  if constexpr (requires { socket->release_socket(); }) {
    upgrade.emplace(server.manager.get_executor(), socket->release_socket(), request,
                    buffer.cdata());
  } else {
    upgrade.emplace(server.manager.get_executor(), std::move(*socket), request, buffer.cdata());
  }
  co_await server.serve(std::move(*upgrade));
}

/// A connected pair: the client and the server's side of it, on @p executor.
template <class Executor>
std::pair<RawClient, tcp::socket> connected(Server& server, const Executor& executor) {
  tcp::acceptor acceptor(server.context, any_port());
  RawClient client(server.context, acceptor.local_endpoint());
  tcp::socket socket(executor);
  acceptor.accept(socket);
  return {std::move(client), std::move(socket)};
}

void check_that_it_works(Server& server, RawClient& client) {
  client.send(upgrade_request("/?id=alice&room=lobby") + text_frame("behind the request"));
  server.until([&] { return client.count(Opcode::text) == 1; });
  CHECK(client.texts() == std::vector<std::string>{"behind the request"});
  CHECK(server.run(server.manager.broadcast_text("hello", {.room = "lobby"})) == 1);
  server.until([&] { return client.count(Opcode::text) == 2; });
  client.send(close_frame(1000));
  server.until([&] { return client.is_gone() && server.hooks.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::peer_closed);
}

}  // namespace

TEST_CASE("Upgrade: takes over a socket on the manager's executor") {
  Server server;
  auto [client, accepted] = connected(server, server.context.get_executor());
  const auto socket = std::make_shared<tcp::socket>(std::move(accepted));
  const auto serving = server.start(hand_over(server, socket));
  check_that_it_works(server, client);
}

TEST_CASE("Upgrade: takes over a socket from a strand, as in Beast's examples") {
  Server server;
  auto strand = boost::asio::make_strand(server.context);
  auto [client, accepted] = connected(server, strand);
  const auto stream = std::make_shared<boost::beast::tcp_stream>(std::move(accepted));
  boost::asio::co_spawn(strand, hand_over(server, stream), boost::asio::detached);
  check_that_it_works(server, client);
}

TEST_CASE("Upgrade: takes over a socket from another io_context") {
  Server server;
  boost::asio::io_context other;
  auto [client, accepted] = connected(server, other.get_executor());
  client.send(upgrade_request("/?id=alice"));
  // Read by the other context, to the end; only then used by this one.
  http::request<http::empty_body> request;
  boost::beast::flat_buffer buffer;
  http::read(accepted, buffer, request);
  server.start(server.serve(
      Upgrade(server.manager.get_executor(), std::move(accepted), request, buffer.cdata())));
  client.send(text_frame("hello"));
  server.until([&] { return client.count(Opcode::text) == 1; });
  CHECK(other.poll() == 0);
}

namespace {

/// Reads, looks and decides elsewhere than where the manager is.
awaitable<> decide_elsewhere(Server& server, tcp::socket socket, bool accepts) {
  const auto& executor = server.manager.get_executor();
  const StreamOptions options{.clock = &server.clock};
  Upgrade upgrade = co_await read_upgrade(executor, std::move(socket), options);
  if (!accepts) {
    co_await upgrade.reject(403);
    co_return;
  }
  const auto accepted = co_await upgrade.accept();
  CHECK(accepted->get_executor() == executor);
  const auto body = [&server](ConnectionPtr connection) {
    return server.echo(std::move(connection));
  };
  co_await server.manager.session(accepted, {.connection_id = "alice", .rooms = "lobby"}, body);
}

}  // namespace

TEST_CASE("read_upgrade, accept and reject may be awaited from any executor") {
  Server server;
  const bool accepts = GENERATE(true, false);
  auto strand = boost::asio::make_strand(server.context);
  auto [client, socket] = connected(server, strand);
  bool is_over = false;
  boost::asio::co_spawn(strand, decide_elsewhere(server, std::move(socket), accepts),
                        [&](const std::exception_ptr& error) { is_over = !error; });
  client.send(upgrade_request("/") + text_frame("hello"));
  if (accepts) {
    server.until([&] { return client.count(Opcode::text) == 1; });
    client.send(close_frame(1000));
  }
  server.until([&] { return client.is_at_end(); });
  CHECK(client.reply()->status == (accepts ? 101 : 403));
  client.close();
  server.until([&] { return is_over; });
}

TEST_CASE("accept: an executor that awaits the answer only does not keep the connection") {
  Server server;
  boost::asio::io_context elsewhere;
  auto [client, socket] = connected(server, server.context.get_executor());
  auto link = detail::make_link(server.context.get_executor(), std::move(socket),
                                StreamOptions{.clock = &server.clock});
  link->abort();
  const std::weak_ptr<detail::Link> seen = link;
  http::request<http::empty_body> request(http::verb::get, "/", 11);
  request.set(http::field::host, "localhost");
  request.set(http::field::connection, "Upgrade");
  request.set(http::field::upgrade, "websocket");
  Upgrade upgrade(std::move(link), std::move(request), {});
  bool has_failed = false;
  boost::asio::co_spawn(
      elsewhere, upgrade.accept(),
      [&](const std::exception_ptr& error, const std::shared_ptr<BeastWebSocket>&) {
        has_failed = error != nullptr;
      });
  elsewhere.poll();
  CHECK_FALSE(seen.expired());
  server.settle();
  CHECK(seen.expired());  // it would be destroyed on the wrong thread
  CHECK_FALSE(has_failed);
  elsewhere.poll();
  CHECK(has_failed);
}

TEST_CASE("Upgrade: a request that is not an upgrade is an error, and the socket stays as it is") {
  Server server;
  auto [client, socket] = connected(server, server.context.get_executor());
  http::request<http::empty_body> request(http::verb::get, "/page\n", 11);
  const auto& executor = server.manager.get_executor();
  CHECK(error_of([&] { Upgrade(executor, std::move(socket), request); }) == errc::not_an_upgrade);
  CHECK(contains(message_of([&] { Upgrade(executor, std::move(socket), request); }), "GET /page"));
  CHECK(socket.is_open());  // NOLINT: not moved from
  boost::asio::write(socket, boost::asio::buffer("HTTP/1.1 404 \r\n\r\n", 17));
  server.until([&] { return client.reply().has_value(); });
  CHECK(client.reply()->status == 404);
}

TEST_CASE("Upgrade: of an existing server has a deadline too") {
  Server server;
  auto [client, socket] = connected(server, server.context.get_executor());
  http::request<http::empty_body> request(http::verb::get, "/", 11);
  request.set(http::field::connection, "upgrade");
  request.set(http::field::upgrade, "websocket");
  const StreamOptions options{.handshake_timeout = 3s, .clock = &server.clock};
  const Upgrade upgrade(server.manager.get_executor(), std::move(socket), request, {}, options);
  server.pass(2999ms);
  CHECK(!client.is_gone());
  server.pass(1ms);
  server.until([&] { return client.is_gone(); });
}

namespace {

awaitable<> read_it(Server& server, tcp::socket socket, std::optional<Upgrade>& upgrade) {
  const StreamOptions options{.clock = &server.clock};
  upgrade = co_await read_upgrade(server.manager.get_executor(), std::move(socket), options);
}

}  // namespace

TEST_CASE("read_upgrade: reads the request from any connected socket") {
  Server server;
  auto [client, socket] = connected(server, server.context.get_executor());
  std::optional<Upgrade> upgrade;
  const auto reading = server.start(read_it(server, std::move(socket), upgrade));
  SECTION("a good one") {
    client.send(upgrade_request("/?id=alice") + text_frame("hello"));
    server.until([&] { return reading->is_done(); });
    const auto serving = server.start(server.serve(std::move(*upgrade)));
    server.until([&] { return client.count(Opcode::text) == 1; });
  }
  SECTION("one that is dropped") {
    client.send(upgrade_request("/"));
    server.until([&] { return reading->is_done(); });
    upgrade.reset();
    server.until([&] { return client.is_gone(); });
  }
  SECTION("one that asks for no WebSocket") {
    client.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    server.until([&] { return client.is_gone(); });
    CHECK(client.reply()->status == 426);
    client.close();
    server.until([&] { return reading->is_done(); });
    CHECK(error_of([&] { reading->take(); }) == errc::not_an_upgrade);
  }
  SECTION("none in time") {
    server.pass(15s);
    server.until([&] { return client.is_gone() && reading->is_done(); });
    CHECK(error_of([&] { reading->take(); }) == errc::timed_out);
  }
  SECTION("none at all") {
    client.shutdown_send();
    server.until([&] { return client.is_gone() && reading->is_done(); });
    CHECK_THROWS_AS(reading->take(), boost::system::system_error);
  }
  SECTION("half of one") {
    client.send("GET / HT");
    client.shutdown_send();
    server.until([&] { return client.is_gone() && reading->is_done(); });
    CHECK_THROWS_AS(reading->take(), boost::system::system_error);
  }
}

// --- the listener ---

TEST_CASE("listen: an address in use is an error that names it") {
  Server server;
  const auto again = [&] {
    const Listener listener =
        listen(server.manager, server.endpoint(), {}, [](Upgrade) -> awaitable<> { co_return; });
  };
  CHECK(error_of(again) == errc::address_unavailable);
  CHECK(contains(message_of(again), "127.0.0.1:" + std::to_string(server.listener().port())));
}

TEST_CASE("Listener: stop refuses new connections and leaves the others alone") {
  Server server;
  RawClient alice = server.join("alice");
  server.listener().stop();
  server.settle();
  CHECK_THROWS_AS(server.connect(), boost::system::system_error);
  server.listener().stop();  // again is nothing
  alice.send(text_frame("still here"));
  server.until([&] { return alice.count(Opcode::text) == 1; });
}

TEST_CASE("Listener: stop ends the handshakes under way, not the upgrades that are decided on") {
  Server server;
  Gate gate;
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    co_await gate.pass();
    co_await server.serve(std::move(upgrade));
  };
  RawClient half = server.connect();
  half.send("GET / HTT");
  RawClient alice = server.request("/?id=alice");
  server.until([&] { return gate.arrived() == 1; });
  server.let_others_work();
  server.listener().stop();
  server.until([&] { return half.is_gone(); });
  gate.open();
  server.until([&] { return alice.is_upgraded(); });
}

TEST_CASE("Listener: destroyed, moved, or outliving its context") {
  boost::asio::io_context peers;
  std::optional<Listener> listener;
  {
    boost::asio::io_context context;
    Manager manager(context.get_executor());
    const auto handler = [](Upgrade upgrade) -> awaitable<> { co_await upgrade.reject(403); };
    tcp::endpoint endpoint;
    {
      const Listener scoped = listen(manager, any_port(), {}, handler);
      endpoint = scoped.local_endpoint();
      testing::run_ready(context);
    }
    testing::run_ready(context);
    CHECK(context.stopped());
    CHECK_THROWS_AS(RawClient(peers, endpoint), boost::system::system_error);

    Listener first = listen(manager, any_port(), {}, handler);
    const tcp::endpoint replaced = first.local_endpoint();
    testing::run_ready(context);
    first = listen(manager, any_port(), {}, handler);
    testing::run_ready(context);
    CHECK_THROWS_AS(RawClient(peers, replaced), boost::system::system_error);
    listener.emplace(std::move(first));
    const RawClient client(peers, listener->local_endpoint());
  }
  CHECK(listener->port() != 0);
  CHECK_THROWS_AS(RawClient(peers, listener->local_endpoint()), boost::system::system_error);
  listener->stop();
}

TEST_CASE("Listener: stopped before the context has run at all") {
  boost::asio::io_context context;
  Manager manager(context.get_executor());
  Listener listener = listen(manager, any_port(), {}, [](Upgrade) -> awaitable<> { co_return; });
  listener.stop();
  testing::run_ready(context);
  CHECK(context.stopped());
}
