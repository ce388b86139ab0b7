// SPDX-License-Identifier: MIT
// Streams that Beast has opened, wrapped: what a peer may do to them, and what it gets.
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "beast/support/server.hpp"
#include "beast/support/wrapped.hpp"

using namespace roost;
using namespace roost::test;

namespace {

/// A server that wraps each stream and answers its messages, as often as `answers` says.
class Wrapping {
 public:
  ManualClock clock;
  boost::asio::io_context context;
  Manager manager{context.get_executor(), {.max_message_bytes = 1'000'000, .clock = &clock}};
  tcp::acceptor acceptor{context, any_port()};
  std::vector<SessionOutcome> outcomes;
  std::vector<std::string> received;
  int answers = 1;
  bool has_no_delay = false;
  std::weak_ptr<BeastWebSocket> socket;

  ~Wrapping() {
    CHECK(manager.total_connections() == 0);
    acceptor.close();
    testing::run_ready(context);
    CHECK(context.stopped());  // no coroutine, no operation
    CHECK(clock.armed() == 0);
  }

  RawClient connect() {
    RawClient client(context, acceptor.local_endpoint());
    boost::asio::co_spawn(context, serve(*this), boost::asio::detached);
    return client;
  }
  BeastClient connect_beast() {
    BeastClient client(context.get_executor(), acceptor.local_endpoint(), "/",
                       {.compresses = true});
    boost::asio::co_spawn(context, serve(*this), boost::asio::detached);
    return client;
  }
  template <class Predicate>
  void until(Predicate predicate) {
    run_until(context, std::move(predicate));
  }
  /// Whether the transport is still there.
  [[nodiscard]] bool is_connected() const {
    const auto own = socket.lock();
    return own && own->get_executor();
  }
  void pass(Clock::duration time) {
    testing::run_ready(context);
    clock.advance(time);
    testing::run_ready(context);
  }

 private:
  static awaitable<> serve(Wrapping& self) {
    auto accepted = co_await self.acceptor.async_accept(boost::asio::use_awaitable);
    const int descriptor = accepted.native_handle();
    const StreamOptions options{.clock = &self.clock};
    const auto socket = co_await accept_wrapped(std::move(accepted), options);
    self.socket = socket;
    int value = 0;
    socklen_t size = sizeof value;
    ::getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &value, &size);
    self.has_no_delay = value != 0;
    const auto handler = [&self](ConnectionPtr member) { return answer(self, member); };
    self.outcomes.push_back(
        co_await self.manager.session(socket, {.connection_id = "alice"}, handler));
  }
  static awaitable<> answer(Wrapping& self, ConnectionPtr member) {
    while (true) {
      const std::string text = co_await self.manager.receive_text(*member);
      self.received.push_back(text);
      for (int i = 0; i < self.answers; ++i) co_await member->send_text(text);
    }
  }
};

std::string twenty_texts(std::size_t size) {
  std::string all;
  for (int i = 0; i < 20; ++i) all += text_frame(std::to_string(i) + std::string(size, 'x'));
  return all;
}

}  // namespace

TEST_CASE("wrap: a peer that breaks a rule is told, and reported, by the code of that rule") {
  const auto [what, bytes, code] = GENERATE(table<std::string, std::string, int>({
      {"an unmasked frame", client_frame(Opcode::text, "hello", {.is_masked = false}), 1002},
      {"an opcode that there is not", client_frame(5, "hello"), 1002},
      {"a continuation of nothing", client_frame(0, "hello"), 1002},
      {"a close code that must not be sent", close_frame(1005), 1002},
      {"a text that is no UTF-8", text_frame("\xFF"), 1007},
      {"a text that ends within a character",
       client_frame(Opcode::text, "\xE2", {.is_final = false}) + client_frame(0, "\x82"), 1007},
      {"a text that ends within a character, and then an empty frame",
       client_frame(Opcode::text, "\xE2", {.is_final = false}) + client_frame(0, ""), 1007},
      {"a close code that there is not", close_frame(5000), 1002},
      {"a length that is none", client_frame(Opcode::text, "", {.length = 1ULL << 63U}), 1002},
      {"what cannot be inflated",
       client_frame(Opcode::text, std::string(20, '\xFF'), {.reserved_bits = 4}), 1007},
      {"too much", client_frame(Opcode::binary, "", {.length = 1'000'001}), 1009},
      {"much too much",
       client_frame(Opcode::binary, "", {.is_final = false, .length = 1ULL << 40U}), 1009},
      {"too much in two frames",
       client_frame(Opcode::binary, std::string(600'000, 'x'), {.is_final = false}) +
           client_frame(0, std::string(600'000, 'x')),
       1009},
  }));
  const bool stays = GENERATE(false, true);
  CAPTURE(what, stays);
  Wrapping server;
  RawClient client = server.connect();
  client.send(upgrade_request("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n") +
              text_frame("first"));
  server.until([&] { return client.count(Opcode::text) == 1; });
  client.send(bytes);
  server.until([&] { return client.closed_with() || client.is_gone(); });
  REQUIRE(client.closed_with());
  CHECK(client.closed_with()->code() == code);
  if (stays) {
    server.pass(1999ms);
    CHECK(server.is_connected());
    server.pass(1ms);
  } else {
    client.close();
  }
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes[0].reason ==
        (code == 1009 ? DisconnectReason::message_too_big : DisconnectReason::protocol_error));
  CHECK(server.outcomes[0].code == code);
  server.until([&] { return !server.is_connected(); });
}

TEST_CASE("wrap: a peer that closes and stays is not waited for longer than linger_timeout") {
  Wrapping server;
  RawClient client = server.connect();
  client.send(upgrade_request() + close_frame(4001, "enough"));
  server.until([&] { return client.is_gone(); });
  REQUIRE(client.closed_with());
  CHECK(client.closed_with()->code() == 4001);
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes[0].reason == DisconnectReason::peer_closed);
  CHECK(server.outcomes[0].code == 4001);
  CHECK(server.outcomes[0].text == "enough");
  server.pass(2s);
  CHECK(server.clock.armed() == 0);
}

TEST_CASE("wrap: however a connection ends, the answers to earlier messages arrive") {
  const std::string end = GENERATE(as<std::string>(), close_frame(1000), client_frame(5, "wrong"));
  const std::size_t size = GENERATE(std::size_t{1}, std::size_t{10'000});
  const bool is_one_segment = GENERATE(true, false);
  CAPTURE(size, is_one_segment);
  Wrapping server;
  server.answers = GENERATE(1, 3);
  RawClient client = server.connect();
  if (is_one_segment) {
    client.send(upgrade_request() + twenty_texts(size) + end);
  } else {
    client.send(upgrade_request());
    server.until([&] { return client.is_upgraded(); });
    client.send(twenty_texts(size) + end);
  }
  server.until([&] { return client.is_gone(); });
  CHECK(client.count(Opcode::text) == static_cast<std::size_t>(20 * server.answers));
  CHECK(client.closed_with());
  CHECK(client.is_at_end());
  client.close();
  server.until([&] { return server.outcomes.size() == 1; });
}

TEST_CASE("wrap: a peer that closes, and does not read, does not lose what was queued") {
  Wrapping server;
  RawClient client = server.connect();
  client.send(upgrade_request());
  server.until([&] { return client.is_upgraded() && server.manager.find("alice"); });
  client.stop_reading();
  for (int i = 0; i < 4; ++i) server.manager.post_text(std::string(500'000, 'x'));
  testing::run_ready(server.context);
  client.send(close_frame(1000));
  server.until([&] { return client.unsent() == 0; });
  testing::run_ready(server.context);
  client.resume_reading();
  server.until([&] { return client.is_gone(); });
  CHECK(client.count(Opcode::text) == 4);
  CHECK(client.closed_with());
  client.close();
  server.until([&] { return server.outcomes.size() == 1; });
}

TEST_CASE("wrap: written frames leave immediately") {
  Wrapping server;
  RawClient client = server.connect();
  client.send(upgrade_request() + text_frame("hello"));
  server.until([&] { return client.count(Opcode::text) == 1; });
  CHECK(server.has_no_delay);
  client.send(close_frame(1000));
  server.until([&] { return client.is_gone(); });
  client.close();
  server.until([&] { return server.outcomes.size() == 1; });
}

TEST_CASE("wrap: compressed messages of all sizes come through, each with the context before it") {
  Wrapping server;
  server.answers = 0;  // the client is read by Beast alone
  BeastClient client = server.connect_beast();
  server.until([&] { return client.is_open(); });
  std::vector<std::string> sent;
  unsigned noise = 1;
  const auto message = [&](std::size_t size, unsigned every) {
    std::string text(size, 'a');
    for (char& c : text) {
      noise = noise * 1'103'515'245U + 12'345U;
      if (every > 0 && noise % every == 0) c = static_cast<char>('a' + (noise >> 16U) % 26);
    }
    return text;
  };
  for (std::size_t size = 0; size < 700; ++size)
    sent.push_back(message(size, static_cast<unsigned>(size % 4)));
  for (std::size_t size = 700; size < 40'000; size += 997)
    sent.push_back(message(size, static_cast<unsigned>(size % 5)));
  for (const std::size_t size : {65'535U, 65'536U, 65'537U, 1'000'000U}) {
    for (const unsigned every : {0U, 1U, 7U}) sent.push_back(message(size, every));
  }
  for (const std::string& text : sent) client.send_text(text);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    CAPTURE(i, sent[i].size());
    server.until([&] { return server.received.size() > i || client.is_over(); });
    REQUIRE(server.received.size() > i);
    CHECK((server.received[i] == sent[i]));
  }
  client.close(1000);
  server.until([&] { return server.outcomes.size() == 1; });
}
