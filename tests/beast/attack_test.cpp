// SPDX-License-Identifier: MIT
// What a hostile client may do, over real sockets. After each attack a client that behaves is
// served as before.
#include <algorithm>
#include <boost/beast/zlib/deflate_stream.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/abuse.hpp"
#include "beast/support/check_serves.hpp"
#include "beast/support/open_files.hpp"

namespace roost::test {
namespace {

constexpr std::string_view ask = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
constexpr ClientFrameOptions unfinished{.is_final = false};
constexpr ClientFrameOptions compressed{.reserved_bits = 4};

/// A server whose limits are small enough to be reached, with somebody who is there all the time.
struct Attacked : Server {
  RawClient witness = join("witness");

  explicit Attacked(Manager::Options options = {.max_message_bytes = 10'000})
      : Server({.manager = std::move(options),
                .listen = {.stream = {.compression = Compression{.min_bytes = 0},
                                      .send_buffer_bytes = 8'192}}}) {}

  void check() {
    CHECK(!witness.is_gone());
    const std::size_t before = witness.count(Opcode::text);
    witness.send(text_frame("and I?"));
    until([&] { return witness.count(Opcode::text) == before + 1; });
    check_serves(*this);
  }
};

/// What Beast's clients make of it: with the same @p stream, one message may refer to another.
std::string deflated(boost::beast::zlib::deflate_stream& stream, std::string_view text) {
  namespace zlib = boost::beast::zlib;
  std::string out(text.size() + 100, '\0');
  zlib::z_params io;
  io.next_in = text.data();
  io.avail_in = text.size();
  io.next_out = out.data();
  io.avail_out = out.size();
  boost::beast::error_code error;
  stream.write(io, zlib::Flush::sync, error);
  REQUIRE(!error);
  out.resize(out.size() - io.avail_out - 4);
  return out;
}

}  // namespace

// --- asking to be let in ---

TEST_CASE("attack: a thousand requests byte by byte", "[attack]") {
  constexpr std::size_t count = 1'000;
  allow_open_files(2 * count + 200);
  Attacked server;
  const std::string request = upgrade_request();
  std::vector<RawClient> slow;
  for (std::size_t i = 0; i < count; ++i) slow.push_back(server.connect());
  for (std::size_t second = 0; second < 15; ++second) {
    for (RawClient& client : slow) {
      if (!client.is_gone()) client.send(request.substr(second, 1));
    }
    server.until([&] {
      return std::all_of(slow.begin(), slow.end(),
                         [](auto& c) { return c.is_gone() || c.unsent() == 0; });
    });
    server.let_others_work();
    server.pass(1s);
  }
  server.until(
      [&] { return std::all_of(slow.begin(), slow.end(), [](auto& c) { return c.is_gone(); }); });
  CHECK(server.upgrades == 1);
  const Stats stats = server.manager.stats();
  CHECK(stats.handshakes_timed_out + stats.handshakes_evicted == count);
  server.check();
}

TEST_CASE("attack: requests without end", "[attack]") {
  const auto [what, start, more, status] =
      GENERATE(table<std::string, std::string, std::string, int>({
          {"headers", "GET / HTTP/1.1\r\n", "X-More: and more\r\n", 431},
          {"a header", "GET / HTTP/1.1\r\nX-More: ", "xxxxxxxxxxxxxxxx", 431},
          {"a target", "GET /", "aaaaaaaaaaaaaaaa", 431},
          {"a method", "", "GETGETGETGETGETG", 431},
          {"line breaks", "", "\r\n\r\n", 400},
      }));
  CAPTURE(what);
  Attacked server;
  RawClient mallory = server.connect();
  mallory.send(start + repeat(more, 100'000));
  server.until([&] { return mallory.is_gone() || mallory.reply(); });
  REQUIRE(mallory.reply());
  CHECK(mallory.reply()->status == status);
  mallory.vanish();
  server.until([&] { return server.manager.stats().requests_refused == 1; });
  server.check();
}

TEST_CASE("attack: pages from elsewhere do not flood the log", "[attack]") {
  Attacked server;
  for (int i = 0; i < 50; ++i) {
    RawClient mallory = server.request("/", "Origin: https://evil.example\r\n");
    server.until([&] { return mallory.is_gone(); });
    REQUIRE(mallory.reply());
    CHECK(mallory.reply()->status == 403);
  }
  CHECK(server.log.count("origin_denied") == 1);
  server.pass(1s);
  RawClient mallory = server.request("/", "Origin: https://evil.example\r\n");
  server.until([&] { return mallory.is_gone(); });
  CHECK(contains(server.log.last("origin_denied"), R"(kept_back="49")"));
  server.check();
}

// --- saying what nobody should say ---

TEST_CASE("attack: bytes that break the protocol end their connection only", "[attack]") {
  const std::string half = client_frame(Opcode::text, "half", unfinished);
  const std::string bomb =
      std::string(detail::deflated(Frame::text(std::string(1'000'000, '0')), {}).payload_text());
  const std::string nothing("\x00\x00\x00\xFF\xFF", 5);
  const auto claims = [](std::uint64_t length) {
    return client_frame(Opcode::binary, "", {.length = length});
  };
  const auto [what, bytes, code] = GENERATE_COPY(table<std::string, std::string, int>({
      {"no mask", client_frame(Opcode::text, "x", {.is_masked = false}), 1002},
      {"no mask in a fragment", half + client_frame(0, "x", {.is_masked = false}), 1002},
      {"RSV1 in a ping", client_frame(Opcode::ping, "x", {.reserved_bits = 4}), 1002},
      {"RSV1 in a fragment", half + client_frame(0, "x", {.reserved_bits = 4}), 1002},
      {"RSV2", client_frame(Opcode::text, "x", {.reserved_bits = 2}), 1002},
      {"RSV3", client_frame(Opcode::text, "x", {.reserved_bits = 1}), 1002},
      {"an opcode that is none", client_frame(7, "x"), 1002},
      {"a length of 2^64 - 1", claims(~std::uint64_t{0}), 1002},
      {"a length of 2^63", claims(std::uint64_t{1} << 63U), 1002},
      {"a length of 2^63 - 1", claims((std::uint64_t{1} << 63U) - 1), 1009},
      {"a length over the limit", claims(10'001), 1009},
      {"fragments without end", half + repeat(client_frame(0, "1234", unfinished), 9'999), 1009},
      {"half a character", client_frame(Opcode::text, "\xE2\x82", unfinished) + client_frame(0, ""),
       1007},
      {"another half of it",
       client_frame(Opcode::text, "\xE2\x82", unfinished) + client_frame(Opcode::ping, "") +
           client_frame(0, "\xE2"),
       1007},
      {"a surrogate in two pieces",
       client_frame(Opcode::text, "\xED", unfinished) + client_frame(0, "\xA0\x80"), 1007},
      {"a bomb", client_frame(Opcode::text, bomb, compressed), 1009},
      {"a bomb in fragments",
       client_frame(Opcode::text, bomb.substr(0, 10), {.is_final = false, .reserved_bits = 4}) +
           client_frame(0, bomb.substr(10)),
       1009},
      {"empty blocks", client_frame(Opcode::text, repeat(nothing, 4'000), compressed), 1009},
      {"no compressed data", client_frame(Opcode::text, "\xFF\xFF\xFF", compressed), 1007},
      {"a close code of 0", close_frame(0), 1002},
      {"1004", close_frame(1004), 1002},
      {"1005", close_frame(1005), 1002},
      {"1006", close_frame(1006), 1002},
      {"1015", close_frame(1015), 1002},
      {"2999", close_frame(2'999), 1002},
      {"5000", close_frame(5'000), 1002},
      {"65535", close_frame(65'535), 1002},
      {"half a close code", client_frame(Opcode::close, "\x03"), 1002},
      {"data behind a close", close_frame(4'000) + text_frame("more") + half, 4'000},
  }));
  CAPTURE(what);
  Attacked server;
  RawClient mallory = server.join("mallory", {}, ask);
  mallory.send(bytes + text_frame("and on"));
  server.until([&] { return mallory.is_gone(); });
  CHECK(mallory.parser().error().empty());
  REQUIRE(mallory.closed_with());
  CHECK(mallory.closed_with()->code() == code);
  CHECK(mallory.count(Opcode::text) == 0);
  mallory.close();
  server.until([&] { return server.manager.total_connections() == 1; });
  server.check();
}

TEST_CASE("attack: floods of what means nothing leave the others their turn", "[attack]") {
  const auto [what, frame] = GENERATE(table<std::string, std::string>({
      {"pings", client_frame(Opcode::ping, "")},
      {"pongs", client_frame(Opcode::pong, "")},
      {"empty messages", client_frame(Opcode::text, "")},
      {"empty fragments", client_frame(0, "", unfinished)},
  }));
  CAPTURE(what);
  Attacked server;
  server.handler = [&](ConnectionPtr connection) -> awaitable<> {
    if (connection->id() == "mallory") co_await server.swallow(connection);
    co_await server.echo(connection);
  };
  RawClient mallory = server.join("mallory");
  if (what == "empty fragments") mallory.send(client_frame(Opcode::text, "", unfinished));
  for (int i = 0; i < 32; ++i) mallory.send(repeat(frame, 100'000));  // 19 MB
  server.check();
  CHECK(mallory.unsent() > 0);
  CHECK(server.manager.find("mallory") != nullptr);
}

// --- what others have said ---

TEST_CASE("attack: a compressed message cannot repeat what somebody else has said", "[attack]") {
  const std::string secret = "the secret of the other one: 0123456789abcdef";
  boost::beast::zlib::deflate_stream stream;
  const std::string first = deflated(stream, secret);
  const std::string second = deflated(stream, secret);
  REQUIRE(second.size() < 10);  // it says: as before
  Attacked server;
  RawClient alice = server.join("alice", {}, ask);
  RawClient mallory = server.join("mallory", {}, ask);
  alice.send(client_frame(Opcode::text, first, compressed));
  server.until([&] { return alice.count(Opcode::text) == 1; });
  mallory.send(client_frame(Opcode::text, second, compressed));
  server.until([&] { return mallory.is_gone(); });
  REQUIRE(mallory.closed_with());
  CHECK(mallory.closed_with()->code() == 1007);
  CHECK(mallory.count(Opcode::text) == 0);
  mallory.close();
  server.check();
}

TEST_CASE("attack: the size of a message tells nothing of the one before", "[attack]") {
  const auto size_after = [](const std::string& said) {
    Attacked server;
    RawClient mallory = server.join("mallory", {}, ask);
    server.manager.post_text(said);
    server.manager.post_text("guess: token=0123456789abcdef" + std::string(100, ' '));
    server.until([&] { return mallory.count(Opcode::text) == 2; });
    server.until([&] { return server.witness.count(Opcode::text) == 2; });
    CHECK(mallory.frames()[1].is_compressed);
    return mallory.frames()[1].payload.size();
  };
  CHECK(size_after("token=0123456789abcdef") == size_after("token=a9f8e7d6c5b4a302"));
}

// --- going at the worst moment ---

TEST_CASE("attack: a reset in every state", "[attack]") {
  struct State {
    std::string name;
    std::function<void(Attacked&, RawClient&)> reach;
  };
  const auto sent = [](Attacked& server, RawClient& client, const std::string& bytes) {
    client.send(bytes);
    server.until([&] { return client.unsent() == 0; });
    server.let_others_work();
  };
  const auto upgraded = [=](Attacked& server, RawClient& client) {
    sent(server, client, upgrade_request("/?id=mallory", ask));
    server.until([&] { return client.is_upgraded() && server.manager.total_connections() == 2; });
  };
  const auto after = [=](const std::string& bytes) {
    return [=](Attacked& server, RawClient& client) {
      upgraded(server, client);
      sent(server, client, bytes);
    };
  };
  const auto half = client_frame(Opcode::text, "half", unfinished);
  const std::vector<State> states{
      {"connecting", [](Attacked&, RawClient&) {}},
      {"connected", [](Attacked& server, RawClient&) { server.let_others_work(); }},
      {"half a request", [=](Attacked& s, RawClient& c) { sent(s, c, "GET / HTTP/1.1\r\nHo"); }},
      {"a request", [](Attacked&, RawClient& client) { client.send(upgrade_request()); }},
      {"no WebSocket", [](Attacked&, RawClient& c) { c.send("GET / HTTP/1.1\r\n\r\n"); }},
      {"upgraded", upgraded},
      {"half a header", after("\x81")},
      {"half a frame", after(client_frame(Opcode::text, "half", {.length = 1'000}))},
      {"half a message", after(half)},
      {"half a compressed message",
       after(client_frame(Opcode::text, "h", {.is_final = false, .reserved_bits = 4}))},
      {"with answers on their way", after(repeat(text_frame(std::string(1'000, 'x')), 50))},
      {"with queued bytes",
       [=](Attacked& server, RawClient& client) {
         sent(server, client, upgrade_request("/?id=mallory"));  // what is not compressed is much
         server.until([&] { return client.is_upgraded() && server.manager.find("mallory"); });
         client.stop_reading();
         server.run(server.manager.send_to("mallory", std::string(1'000'000, 'q')));
         server.until([&] { return server.manager.stats().blocked == 1; });
       }},
      {"after its close", after(close_frame(1'000))},
      {"after what gets a close", after(client_frame(7, ""))},
      {"after ours",
       [=](Attacked& server, RawClient& client) {
         upgraded(server, client);
         server.start(server.manager.close("mallory", 1'001));
         server.until([&] { return client.closed_with().has_value(); });
       }},
  };
  const bool is_reset = GENERATE(true, false);
  for (const State& state : states) {
    CAPTURE(state.name, is_reset);
    Attacked server;
    for (int i = 0; i < 5; ++i) {
      RawClient client = server.connect(small_buffer);
      state.reach(server, client);
      is_reset ? client.vanish() : client.close();
      server.until([&] { return server.manager.total_connections() == 1; });
    }
    CHECK(server.manager.stats().handshakes_timed_out == 0);
    server.check();
  }
}

}  // namespace roost::test
