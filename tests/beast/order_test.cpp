// SPDX-License-Identifier: MIT
#include <boost/asio/post.hpp>
#include <map>

#include "beast/support/server.hpp"

using namespace roost;
using namespace roost::test;

namespace {

constexpr std::size_t messages_each = 100;

/// "<publisher> <number> ..." and then a length that differs from one to the next.
std::string message(char publisher, std::size_t number) {
  const std::size_t padding = number * 7'919 % 40'000;
  return std::string(1, publisher) + " " + std::to_string(number) + " " + std::string(padding, '.');
}

awaitable<> publish_awaited(Manager& manager, char name, std::size_t& done) {
  for (std::size_t i = 0; i < messages_each; ++i) {
    co_await manager.broadcast_text(message(name, i));
  }
  ++done;
}

awaitable<> publish_posted(Manager& manager, char name, std::size_t& done) {
  const auto executor = manager.get_executor();
  for (std::size_t i = 0; i < messages_each; ++i) {
    manager.post_text(message(name, i));
    co_await boost::asio::post(executor, boost::asio::use_awaitable);
  }
  ++done;
}

awaitable<> send_to_one(Manager& manager, std::string id, char name, std::size_t& done) {
  for (std::size_t i = 0; i < messages_each; ++i) {
    co_await manager.send_to(id, message(name, i));
  }
  ++done;
}

awaitable<> ping(Manager& manager, std::string id, std::size_t& done) {
  const auto executor = manager.get_executor();
  for (std::size_t i = 0; i < messages_each; ++i) {
    const ConnectionPtr connection = manager.find(id);
    if (!connection) co_return;  // noticed by who waits for all to be done
    connection->websocket()->ping(std::to_string(i));
    co_await boost::asio::post(executor, boost::asio::use_awaitable);
  }
  ++done;
}

/// Every publisher's messages, complete and in order; and so the control frames.
void check_order(const RawClient& client, const std::string& publishers) {
  CHECK(client.parser().error().empty());
  std::map<char, std::size_t> next;
  std::size_t next_ping = 0;
  std::size_t next_pong = 0;
  std::size_t wrong = 0;
  for (const ServerFrame& frame : client.frames()) {
    if (frame.opcode == Opcode::text) {
      const char publisher = frame.payload.at(0);
      if (frame.payload != message(publisher, next[publisher]++)) ++wrong;
    } else if (frame.opcode == Opcode::ping) {
      if (frame.payload != std::to_string(next_ping++)) ++wrong;
    } else if (frame.opcode == Opcode::pong) {
      if (frame.payload != std::to_string(next_pong++)) ++wrong;
    }
  }
  CHECK(wrong == 0);
  for (const char publisher : publishers) CHECK(next[publisher] == messages_each);
  CHECK(next_ping == messages_each);
  CHECK(next_pong == messages_each);
}

}  // namespace

TEST_CASE("per connection order holds under load, whatever is written in between") {
  const auto backpressure_wait = GENERATE(as<Clock::duration>(), 0ms, 250ms);
  const int receive_buffer = GENERATE(16'384, 0);
  CAPTURE(receive_buffer);
  Server server({.manager = {.backpressure_wait = backpressure_wait,
                             .outbox_high_water = 30'000,
                             .max_outbox_bytes = 64'000'000},
                 .listen = {.stream = {.send_buffer_bytes = 65'536}}});
  server.handler = [&](ConnectionPtr connection) { return server.swallow(std::move(connection)); };
  RawClient alice = server.join("alice", {.receive_buffer_bytes = receive_buffer});
  RawClient bob = server.join("bob");
  std::size_t done = 0;
  std::vector<std::shared_ptr<detail::Child<void>>> tasks;
  tasks.push_back(server.start(publish_awaited(server.manager, 'a', done)));
  tasks.push_back(server.start(publish_posted(server.manager, 'b', done)));
  tasks.push_back(server.start(publish_awaited(server.manager, 'c', done)));
  tasks.push_back(server.start(publish_posted(server.manager, 'd', done)));
  for (RawClient* client : {&alice, &bob}) {
    const std::string id = client == &alice ? "alice" : "bob";
    tasks.push_back(server.start(send_to_one(server.manager, id, 'e', done)));
    tasks.push_back(server.start(ping(server.manager, id, done)));
    for (std::size_t i = 0; i < messages_each; ++i) {
      client->send(client_frame(Opcode::ping, std::to_string(i)) + text_frame("noise"));
    }
  }
  constexpr std::size_t frames = 7 * messages_each;  // of five publishers, pings and pongs
  server.until([&] {
    return !server.hooks.empty() || (done == tasks.size() && alice.frames().size() == frames &&
                                     bob.frames().size() == frames);
  });
  for (const auto& [id, how] : server.hooks) FAIL(id << " was lost: " << to_string(how.reason));
  const auto closing = server.start(server.manager.close_all(1001));
  server.until([&] { return alice.closed_with() && bob.closed_with(); });
  check_order(alice, "abcde");
  check_order(bob, "abcde");
  CHECK(alice.parser().is_at_boundary());
  alice.send(close_frame(1001));
  bob.send(close_frame(1001));
  server.until([&] { return alice.is_at_end() && bob.is_at_end(); });
  alice.close();
  bob.close();
  server.until([&] { return closing->is_done(); });
}

TEST_CASE("a frame that leaves in many pieces arrives as one") {
  Server server({.listen = {.stream = {.send_buffer_bytes = 1}}});  // the least that there is
  RawClient alice = server.join("alice", {.receive_buffer_bytes = 16'384});
  std::string text;
  for (std::size_t i = 0; text.size() < 1'000'000; ++i) text += std::to_string(i) + " ";
  CHECK(server.run(server.manager.broadcast_text(text)) == 1);
  alice.send(client_frame(Opcode::ping, "behind"));
  server.until([&] { return alice.count(Opcode::pong) == 1; });
  CHECK(alice.texts() == std::vector<std::string>{text});
  CHECK(alice.parser().error().empty());
}

TEST_CASE("order holds through every way to send to one connection") {
  Server server;
  RawClient alice = server.join("alice");
  const ConnectionPtr connection = server.manager.find("alice");
  const std::string id = "alice";
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {
    const std::string n = std::to_string(i);
    for (const std::string what : {"a", "b", "c", "d"}) expected.push_back(what + n);
  }
  const auto send_all = [&]() -> awaitable<> {
    for (int i = 0; i < 50; ++i) {
      const std::string n = std::to_string(i);
      co_await connection->send_text("a" + n);
      co_await server.manager.broadcast_text("b" + n);
      co_await server.manager.send_to(id, "c" + n);
      co_await connection->websocket()->send_text("d" + n);
    }
  };
  server.run(send_all());
  server.until([&] { return alice.count(Opcode::text) == expected.size(); });
  CHECK(alice.texts() == expected);
}
