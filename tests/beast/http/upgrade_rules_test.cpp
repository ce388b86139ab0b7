// SPDX-License-Identifier: MIT
// What a request for a WebSocket must look like, in all the forms that proxies and clients give it.
#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "beast/support/server.hpp"

using namespace roost;
using namespace roost::test;

namespace {

const std::string host = "Host: 127.0.0.1\r\n";
const std::string upgrade = "Upgrade: websocket\r\n";
const std::string connection = "Connection: Upgrade\r\n";
const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const std::string version = "Sec-WebSocket-Version: 13\r\n";

/// A request of these header lines, and of nothing else.
std::string request_of(const std::string& headers, const std::string& target = "/?id=alice") {
  return "GET " + target + " HTTP/1.1\r\n" + headers + "\r\n";
}

/// The reply to a request; a connection that is not upgraded has ended with it.
HttpReply reply_to(Server& server, const std::string& request) {
  RawClient client = server.connect();
  client.send(request);
  server.until([&] { return client.is_gone() || client.is_upgraded(); });
  REQUIRE(client.reply());
  if (!client.is_upgraded()) {
    CHECK(client.is_at_end());
    CHECK(client.reply()->has_whole_body());
  }
  return *client.reply();
}

struct Case {
  std::string what;
  std::string request;
  int status;
};

std::vector<Case> cases() {
  const std::string rest = key + version;
  return {
      // lists
      {"Connection on two lines",
       request_of(host + upgrade + "Connection: keep-alive\r\n" + connection + rest), 101},
      {"Connection on two lines, the other way round",
       request_of(host + upgrade + connection + "Connection: keep-alive\r\n" + rest), 101},
      {"Connection as a list",
       request_of(host + upgrade + "Connection: keep-alive ,\tUPGRADE\r\n" + rest), 101},
      {"Connection with empty elements",
       request_of(host + upgrade + "Connection: , ,Upgrade,\r\n" + rest), 101},
      {"an empty Connection line",
       request_of(host + upgrade + "Connection:\r\n" + connection + rest), 101},
      {"Upgrade on two lines", request_of(host + "Upgrade: h2c\r\n" + upgrade + connection + rest),
       101},
      {"Upgrade as a list", request_of(host + "Upgrade: h2c, WebSocket\r\n" + connection + rest),
       101},
      {"Upgrade as a list with versions",
       request_of(host + "Upgrade: HTTP/2.0, SHTTP/1.3, IRC/6.9, websocket\r\n" + connection +
                  rest),
       101},
      {"Upgrade with a version on another line",
       request_of(host + "Upgrade: h2/1\r\n" + upgrade + connection + rest), 101},
      {"another token that contains it",
       request_of(host + upgrade + "Connection: Upgrade-Insecure-Requests\r\n" + rest), 426},
      {"another protocol", request_of(host + "Upgrade: websocket/2\r\n" + connection + rest), 426},
      // the key
      {"no key", request_of(host + upgrade + connection + version), 400},
      {"an empty key", request_of(host + upgrade + connection + version + "Sec-WebSocket-Key:\r\n"),
       400},
      {"a short key",
       request_of(host + upgrade + connection + version +
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"),
       400},
      {"a key without padding",
       request_of(host + upgrade + connection + version +
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n"),
       400},
      {"a key of 18 bytes",
       request_of(host + upgrade + connection + version +
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZXh4\r\n"),
       400},
      {"a key that is no base64",
       request_of(host + upgrade + connection + version +
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q==\r\n"),
       400},
      {"two keys", request_of(host + upgrade + connection + version + key + key), 400},
      // the version
      {"no version", request_of(host + upgrade + connection + key), 400},
      {"two versions", request_of(host + upgrade + connection + key + version + version), 400},
      {"an old version",
       request_of(host + upgrade + connection + key + "Sec-WebSocket-Version: 8\r\n"), 426},
      // host and target
      {"no host", request_of(upgrade + connection + rest), 400},
      {"two hosts", request_of(host + "Host: b\r\n" + upgrade + connection + rest), 400},
      {"the same host twice", request_of(host + host + upgrade + connection + rest), 400},
      {"two hosts in one", request_of("Host: a, b\r\n" + upgrade + connection + rest), 400},
      {"a host that is a URL", request_of("Host: http://a/\r\n" + upgrade + connection + rest),
       400},
      {"two hosts of a page", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"a page without a host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"a page of old", "GET / HTTP/1.0\r\n\r\n", 426},
      {"a target that is no path", request_of(host + upgrade + connection + rest, "ws/lobby"), 400},
      {"a URL of another kind", request_of(host + upgrade + connection + rest, "ftp://127.0.0.1/"),
       400},
      {"a URL without a host", request_of(host + upgrade + connection + rest, "ws:///lobby"), 400},
      {"a URL with a user", request_of(host + upgrade + connection + rest, "ws://u@h/"), 400},
      {"a fragment", request_of(host + upgrade + connection + rest, "/lobby#x"), 400},
      // a body
      {"a body", request_of(host + upgrade + connection + rest + "Content-Length: 5\r\n") + "hello",
       400},
      {"a body in chunks",
       request_of(host + upgrade + connection + rest + "Transfer-Encoding: chunked\r\n") +
           "5\r\nhello\r\n0\r\n\r\n",
       400},
      {"a body in a transfer coding that does not tell its end",
       request_of(host + upgrade + connection + rest + "Transfer-Encoding: gzip\r\n") + "hello",
       400},
      {"an empty body", request_of(host + upgrade + connection + rest + "Content-Length: 0\r\n"),
       101},
      {"another method", "POST / HTTP/1.1\r\n" + host + upgrade + connection + rest + "\r\n", 426},
  };
}

}  // namespace

TEST_CASE("a request is answered by its status, whatever form its headers have") {
  Server server;
  std::uint64_t refused = 0;
  for (const Case& it : cases()) {
    CAPTURE(it.what);
    const HttpReply reply = reply_to(server, it.request);
    CHECK(reply.status == it.status);
    if (it.status == 426) {
      CHECK(reply.header("connection") == "upgrade, close");
      CHECK(reply.header("upgrade") == "websocket");
      CHECK(reply.header("sec-websocket-version") == "13");
    }
    if (it.status == 400 || it.what == "an old version") ++refused;
    server.until([&] { return server.manager.stats().requests_refused == refused; });
  }
  CHECK(server.log.count("request_refused") == 1);
  CHECK(contains(server.log.last("request_refused"), "status=\"400\""));
  CHECK(contains(server.log.last("request_refused"), "why="));
}

TEST_CASE("a request that comes in two pieces is the same, wherever it is cut") {
  Server server;
  const std::string request =
      request_of("Connection: keep-alive\r\n" + host + "Upgrade: h2c\r\n" + upgrade + connection +
                     key + version + "Sec-WebSocket-Extensions: x\r\n",
                 "ws://127.0.0.1/?id=alice") +
      text_frame("behind it");
  for (std::size_t cut = 1; cut < request.size(); cut += 3) {
    RawClient client = server.connect();
    client.send(request.substr(0, cut));
    server.until([&] { return client.unsent() == 0; });
    server.settle();
    client.send(request.substr(cut));
    server.until([&] { return client.count(Opcode::text) == 1; });
    CHECK(client.texts() == std::vector<std::string>{"behind it"});
    client.send(close_frame(1000));
    server.until([&] { return client.is_gone() && !server.manager.find("alice"); });
  }
}

TEST_CASE("a target that is a URL becomes a path, and names the host") {
  const auto [target, seen] = GENERATE(
      table<std::string, std::string>({{"ws://other.example:81/ws/lobby?a=b", "/ws/lobby?a=b"},
                                       {"WSS://other.example:81", "/"},
                                       {"http://other.example:81?a", "/?a"},
                                       {"https://other.example:81/", "/"}}));
  CAPTURE(target);
  Server server;
  std::string path;
  std::string named;
  server.on_upgrade = [&](Upgrade asked) -> awaitable<> {
    path = std::string(asked.target());
    named = std::string(asked.header("Host").value_or(""));
    return asked.reject(404);
  };
  // The page comes from the host in the URL: that in the header does not count.
  const std::string page = target.starts_with("WSS") || target.starts_with("https")
                               ? "https://other.example:81"
                               : "http://other.example:81";
  const std::string headers = host + upgrade + connection + key + version + origin(page);
  CHECK(reply_to(server, request_of(headers, target)).status == 404);
  CHECK(path == seen);
  CHECK(named == "other.example:81");
}

TEST_CASE("a cookie of 24 KiB is taken; one over the limit is a warning with bytes and limit") {
  Server server;
  const auto cookie = [](std::size_t n) { return "Cookie: a=" + std::string(n, 'c') + "\r\n"; };
  CHECK(reply_to(server, upgrade_request("/", cookie(24 * 1024))).status == 101);
  CHECK(reply_to(server, upgrade_request("/", cookie(40 * 1024))).status == 431);
  server.until([&] { return server.manager.stats().requests_refused == 1; });
  CHECK(server.log.count(Severity::warning, "request_refused") == 1);
  const std::string line = server.log.last("request_refused");
  CHECK(contains(line, "status=\"431\""));
  CHECK(contains(line, "limit=\"32768\""));
  CHECK(contains(line, "bytes=\""));
}

TEST_CASE("bytes that end a connection may come with the request: 101 and the close frame leave") {
  const auto [what, bytes, code] = GENERATE(table<std::string, std::string, int>(
      {{"a close", close_frame(1000), 1000},
       {"an unmasked frame", client_frame(Opcode::text, "hello", {.is_masked = false}), 1002},
       {"an opcode that there is not", client_frame(5, "hello"), 1002},
       {"a length with the top bit set",
        client_frame(Opcode::binary, "", {.length = 0x8000'0000'0000'0001}), 1002},
       {"a text that is no UTF-8", text_frame("\xFF"), 1007},
       {"too much", client_frame(Opcode::binary, "", {.length = 0x7000'0000'0000'0000}), 1009}}));
  CAPTURE(what);
  Server server;
  RawClient client = server.connect();
  const bool has_text = GENERATE(false, true);
  client.send(upgrade_request("/?id=alice") + (has_text ? text_frame("first") : "") + bytes);
  server.until([&] { return client.is_gone(); });
  CHECK(client.is_upgraded());
  CHECK(client.is_at_end());
  REQUIRE(client.closed_with());
  CHECK(client.closed_with()->code() == code);
  if (has_text) CHECK(client.texts() == std::vector<std::string>{"first"});
  client.close();
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes[0].code == code);
}

TEST_CASE("where the application throws before it has answered, the answer is 500") {
  ServerOptions options;
  options.listen.on_http = [](const HttpRequest&) -> HttpResponse {
    throw std::runtime_error("no page");
  };
  bool asks_for_key = false;
  options.listen.request_key = [&](const HttpRequest&, const tcp::endpoint&) -> std::string {
    if (asks_for_key) throw std::runtime_error("no key");
    return {};
  };
  Server server(std::move(options));
  std::string request = upgrade_request();
  SECTION("on_http") { request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"; }
  SECTION("request_key") { asks_for_key = true; }
  SECTION("the handler, in its coroutine") {
    server.on_upgrade = [](Upgrade) -> awaitable<> {
      throw std::runtime_error("no database");
      co_return;
    };
  }
  SECTION("the handler, when it has waited") {
    server.on_upgrade = [&](Upgrade) -> awaitable<> {
      co_await boost::asio::post(server.context, boost::asio::use_awaitable);
      throw std::runtime_error("no database");
    };
  }
  SECTION("the handler, with an error of the system that is not its peer's") {
    server.on_upgrade = [](Upgrade) -> awaitable<> {
      throw boost::system::system_error(boost::asio::error::host_not_found);
      co_return;
    };
  }
  SECTION("the handler, when it is called") {
    server.on_upgrade = [](const Upgrade&) -> awaitable<> { throw std::runtime_error("a bug"); };
  }
  CHECK(reply_to(server, request).status == 500);
  CHECK(server.log.count(Severity::error, "connection_failed") == 1);
  asks_for_key = false;
  server.on_upgrade = [&](Upgrade asked) { return server.serve(std::move(asked)); };
  CHECK(server.join("alice").is_upgraded());
}

TEST_CASE("an address_key that throws costs its own connection only") {
  bool throws = true;
  Server server({.listen = {.address_key = [&](const boost::asio::ip::address&) -> std::string {
                   if (std::exchange(throws, false)) throw std::runtime_error("no key");
                   return {};
                 }}});
  {
    RawClient client = server.request("/");
    server.until([&] { return client.is_gone(); });
  }
  CHECK(server.log.count(Severity::error, "connection_failed") == 1);
  CHECK(server.join("alice").is_upgraded());
}

TEST_CASE("queued messages reach a client that has shut down its side without a close frame") {
  Server server;
  RawClient alice = server.join("alice");
  std::string texts;
  for (int i = 0; i < 20; ++i) texts += text_frame(std::string(10'000, 'x'));
  alice.send(texts);
  server.until([&] { return alice.unsent() == 0; });
  alice.shutdown_send();
  server.until([&] { return alice.is_gone(); });
  CHECK(alice.is_at_end());
  CHECK(alice.count(Opcode::text) == 20);
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes[0].reason == DisconnectReason::connection_lost);
}
