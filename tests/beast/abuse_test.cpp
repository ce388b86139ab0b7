// SPDX-License-Identifier: MIT
#include <boost/asio/post.hpp>

#include "beast/support/abuse.hpp"
#include "beast/support/check_serves.hpp"

using namespace roost;
using namespace roost::test;

namespace {

/// How many bytes one connection may make the server keep, where it keeps any: far less than is
/// sent.
constexpr std::size_t bound = 128'000;

/// A kernel acknowledges the last bytes up to 0.2 s late by the real clock, although nobody reads
/// them. If that makes room for a few more, they are written before the reader is judged, and it
/// gets the time to take them: four retransmission timeouts, at most `send_timeout`, once.
constexpr auto grace = 5s;

/// Broadcasts one after the other, each when the one before is through.
awaitable<> publish(Manager& manager, std::size_t messages, std::size_t bytes,
                    std::size_t& published) {
  const std::string text(bytes, 'm');
  for (std::size_t i = 0; i < messages; ++i) {
    co_await manager.broadcast_text(text, {.room = "lobby"});
    ++published;
  }
}

}  // namespace

// --- coming and going ---

TEST_CASE("hundreds that come, and go in every way they can, leave nothing behind") {
  Server server;
  RawClient witness = server.join("witness");
  std::size_t broadcasts = 0;
  std::size_t joined = 1;
  for (int wave = 0; wave < 8; ++wave) {
    std::vector<RawClient> clients;
    for (int i = 0; i < 32; ++i) {
      clients.push_back(server.request("/?room=lobby", {}, small_buffer));
    }
    joined += clients.size();
    server.until([&] { return server.manager.stats().accepted == joined; });
    for (std::size_t i = 0; i < clients.size(); ++i) {
      RawClient& client = clients[i];
      switch (i % 8) {
        case 0: client.send(close_frame(1000)); break;
        case 1: client.vanish(); break;
        case 2: client.close(); break;
        case 3: client.shutdown_send(); break;
        case 4: client.send(client_frame(Opcode::text, "half", {.length = 1'000})); break;
        case 5: client.send("no frame at all" + std::string(1'000, '\xFF')); break;
        case 6: client.send(text_frame("a word") + close_frame(1001)); break;
        default: client.stop_reading(); break;
      }
      if (i % 4 == 0) {
        server.manager.post_text("news", {.room = "lobby"});
        ++broadcasts;
      }
    }
    server.run(server.manager.broadcast_text(std::string(5'000, 'n'), {.room = "lobby"}));
    ++broadcasts;
    clients.clear();
    server.until([&] { return server.manager.total_connections() == 1; });
  }
  server.until([&] { return server.hooks.size() == 256 && server.outcomes.size() == 256; });
  server.until([&] { return witness.count(Opcode::text) == broadcasts; });
  CHECK(witness.parser().error().empty());
  CHECK(server.failures.empty());
  CHECK(server.manager.stats().queued_bytes == 0);
  check_serves(server);
}

TEST_CASE("a client that only connects is gone at the handshake's deadline, and keeps nobody out") {
  Server server;
  std::vector<RawClient> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(server.connect());
  RawClient alice = server.join("alice");
  server.let_others_work();
  server.pass(15s);
  server.until([&] {
    return std::all_of(silent.begin(), silent.end(), [](const auto& c) { return c.is_gone(); });
  });
  alice.send(text_frame("still here"));
  server.until([&] { return alice.count(Opcode::text) == 1; });
}

TEST_CASE("a client that goes while the server writes is lost, and a broadcast counts the others") {
  Server server({.listen = {.stream = small_stream}});
  RawClient alice = server.join("alice");
  std::optional<RawClient> bob = server.join("bob", small_buffer);
  bob->stop_reading();
  const std::string big(500'000, 'b');
  CHECK(server.run(server.manager.broadcast_text(big)) == 2);
  const auto waiting = server.start(server.manager.broadcast_text(big));
  server.until([&] { return alice.count(Opcode::text) == 2; });
  CHECK(!waiting->is_done());
  bob->vanish();
  server.until([&] { return waiting->is_done() && server.hooks.size() == 1; });
  CHECK(waiting->take() == 1);
  CHECK(server.hooks.at(0).how.reason == DisconnectReason::connection_lost);
}

// --- reading too little ---

TEST_CASE(
    "a reader that stops is dropped at send_timeout; the others wait once, and lose nothing") {
  Server server({.manager = {.send_timeout = 5s,
                             .backpressure_wait = 250ms,
                             .outbox_high_water = 20'000,
                             .max_outbox_bytes = 2'000'000},
                 .listen = {.stream = small_stream}});
  RawClient alice = server.join("alice");
  RawClient stuck = server.join("stuck", small_buffer);
  stuck.stop_reading();
  std::size_t published = 0;
  const auto publishing = server.start(publish(server.manager, 100, 10'000, published));
  server.until([&] { return server.manager.stats().queued_bytes >= 20'000; });
  server.let_others_work();
  const std::size_t before = published;
  CHECK(before < 20);
  server.pass(249ms);
  CHECK(published == before);
  server.pass(1ms);
  // From now on nobody waits for it any more.
  server.until([&] { return publishing->is_done() && alice.count(Opcode::text) == 100; });
  CHECK(server.manager.total_connections() == 2);
  CHECK(server.manager.stats().queued_bytes > 700'000);

  server.pass(4749ms);
  CHECK(server.manager.total_connections() == 2);
  server.pass(1ms);
  server.pass(grace);
  CHECK(server.manager.total_connections() == 1);
  CHECK(server.manager.stats().queued_bytes == 0);
  CHECK(server.log.count(Severity::warning, "dropped") == 1);
  stuck.resume_reading();
  server.until([&] { return stuck.is_gone() && server.hooks.size() == 1; });
  CHECK(stuck.is_reset());
  CHECK(server.hooks.at(0).how.reason == DisconnectReason::send_timeout);
  CHECK(alice.parser().error().empty());
  check_serves(server);
}

TEST_CASE("a reader that trickles is dropped at send_timeout, though bytes keep moving") {
  // 4 kB a second: less than `min_progress_bytes` in `send_timeout`.
  Server server({.listen = {.stream = small_stream}});
  RawClient alice = server.join("alice");
  RawClient slow = server.join("slow", small_buffer);
  slow.stop_reading();
  CHECK(server.run(server.manager.broadcast_text(std::string(1'000'000, 'm'))) == 2);
  server.until([&] { return alice.count(Opcode::text) == 1; });
  for (int second = 0; second < 4; ++second) {
    server.pass(1s);
    const std::size_t before = slow.bytes_read();
    slow.read_more(4'000);
    server.until([&] { return slow.bytes_read() >= before + 4'000; });
    slow.stop_reading();
  }
  CHECK(server.manager.total_connections() == 2);
  server.pass(1s);
  server.pass(grace - 1ms);  // before the next `send_timeout` is over
  CHECK(server.manager.total_connections() == 1);
  slow.resume_reading();
  server.until([&] { return slow.is_reset(); });
  CHECK(server.ended_by(DisconnectReason::send_timeout) == 1);
  check_serves(server);
}

TEST_CASE("a reader that pauses for less than send_timeout loses nothing") {
  Server server({.listen = {.stream = small_stream}});
  RawClient slow = server.join("slow", small_buffer);
  std::size_t published = 0;
  for (std::size_t round = 1; round <= 5; ++round) {
    slow.stop_reading();
    const auto publishing = server.start(publish(server.manager, 4, 100'000, published));
    server.pass(4s);
    slow.resume_reading();
    server.until([&] { return publishing->is_done() && slow.count(Opcode::text) == 4 * round; });
  }
  CHECK(slow.parser().error().empty());
  CHECK(server.hooks.empty());
}

TEST_CASE("an outbox over its maximum drops its connection, and only that") {
  Server server({.manager = {.send_timeout = 10min,
                             .max_message_bytes = 100'000,
                             .outbox_high_water = 10'000,
                             .max_outbox_bytes = 500'000},
                 .listen = {.stream = small_stream}});
  RawClient alice = server.join("alice");
  RawClient stuck = server.join("stuck", small_buffer);
  stuck.stop_reading();
  for (std::size_t i = 1; i <= 20; ++i) {
    server.manager.post_text(std::string(50'000, 'm'));
    server.until([&] { return alice.count(Opcode::text) == i; });
    server.pass(grace);
    // Three messages more than the maximum: the one that exceeds it, one if bytes are acknowledged
    // late, and one if that makes room for a few more.
    CHECK(server.manager.stats().queued_bytes <= 650'000);
  }
  CHECK(server.manager.total_connections() == 1);
  stuck.resume_reading();
  server.until([&] { return stuck.is_reset() && server.hooks.size() == 1; });
  CHECK(server.hooks.at(0).how.reason == DisconnectReason::outbox_overflow);
  check_serves(server);
}

TEST_CASE("a peer that reads nothing is closed all the same, at close_timeout") {
  Server server({.listen = {.stream = small_stream}});
  RawClient stuck = server.join("stuck", small_buffer);
  stuck.stop_reading();
  CHECK(server.run(server.manager.broadcast_text(std::string(1'000'000, 'm'))) == 1);
  const auto closing = server.start(server.manager.disconnect("stuck"));
  server.let_others_work();
  server.pass(4999ms);
  CHECK(!closing->is_done());
  server.pass(1ms);
  server.until([&] { return closing->is_done(); });
  stuck.resume_reading();
  server.until([&] { return stuck.is_gone(); });
  CHECK(stuck.is_reset());
  check_serves(server);
}

// --- sending too much ---

TEST_CASE("a client that pings without reading is answered up to a bound, and dropped in time") {
  Server server({.manager = {.send_timeout = 2s}, .listen = {.stream = small_stream}});
  RawClient mallory = server.join("mallory", small_buffer);
  mallory.stop_reading();
  mallory.send(repeat(client_frame(Opcode::ping, std::string(125, 'p')), 120'000));  // 16 MB
  std::size_t most = 0;
  const auto queued = [&] {
    most = std::max(most, server.manager.stats().queued_bytes);
    return server.manager.stats().queued_bytes;
  };
  server.until([&] { return queued() > 0 && server.manager.stats().blocked == 1; });
  for (int i = 0; i < 20; ++i) {
    server.let_others_work();
    queued();
  }
  CHECK(most < bound);
  CHECK(mallory.unsent() > 0);
  CHECK(server.manager.total_connections() == 1);
  server.pass(1999ms);
  CHECK(server.manager.total_connections() == 1);
  server.pass(1ms);
  server.pass(2s);
  CHECK(server.manager.total_connections() == 0);
  mallory.resume_reading();
  server.until([&] { return mallory.is_gone() && server.hooks.size() == 1; });
  CHECK(server.hooks.at(0).how.reason == DisconnectReason::send_timeout);
  check_serves(server);
}

TEST_CASE("a flood of pings from somebody who reads is answered, in order and within bounds") {
  Server server({.listen = {.stream = small_stream}});
  RawClient alice = server.join("alice", small_buffer);
  constexpr std::size_t pings = 10'000;
  alice.stop_reading();
  for (std::size_t i = 0; i < pings; ++i) {
    alice.send(client_frame(Opcode::ping, std::to_string(i) + std::string(100, '.')));
  }
  std::size_t most = 0;
  const auto look = [&] { most = std::max(most, server.manager.stats().queued_bytes); };
  server.until([&] { return look(), server.manager.stats().blocked == 1; });
  alice.resume_reading();
  server.until([&] { return look(), alice.frames().size() == pings; });
  CHECK(most < bound);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < pings; ++i) {
    if (!alice.frames()[i].payload.starts_with(std::to_string(i) + ".")) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a client that sends without reading the answers is slowed by its own handler") {
  Server server({.manager = {.outbox_high_water = 30'000}, .listen = {.stream = small_stream}});
  RawClient mallory = server.join("mallory", small_buffer);
  mallory.stop_reading();
  mallory.send(repeat(text_frame(std::string(1'000, 'm')), 8'000));
  std::size_t most = 0;
  const auto look = [&] { most = std::max(most, server.manager.stats().queued_bytes); };
  server.until([&] { return look(), server.manager.stats().queued_bytes >= 30'000; });
  for (int i = 0; i < 20; ++i) {
    server.let_others_work();
    look();
  }
  CHECK(most < bound);
  SECTION("until it reads") {
    mallory.resume_reading();
    server.until([&] { return look(), mallory.frames().size() == 8'000; });
    CHECK(most < bound);
  }
  SECTION("and dropped after one to two send timeouts") {
    server.pass(5s);
    server.pass(5s);
    CHECK(server.manager.total_connections() == 0);
    mallory.resume_reading();
    server.until([&] { return mallory.is_gone(); });
    check_serves(server);
  }
}

namespace {

awaitable<> keep_busy(Manager& manager, const bool& is_over) {
  const std::string text(60'000, 'm');
  while (!is_over) co_await manager.broadcast_text(text, {.room = "lobby"});
}

}  // namespace

TEST_CASE("a client congested all the time is still heard, whatever control frames it sends") {
  Server server({.manager = {.outbox_high_water = 50'000}, .listen = {.stream = small_stream}});
  std::string heard;
  bool is_over = false;
  server.handler = [&](ConnectionPtr connection) -> awaitable<> {
    heard = co_await server.manager.receive_text(*connection);
    co_await server.swallow(connection);
  };
  RawClient alice = server.join("alice", small_buffer);
  std::vector<std::shared_ptr<detail::Child<void>>> publishers;
  for (int i = 0; i < 3; ++i) {
    publishers.push_back(server.start(keep_busy(server.manager, is_over)));
  }
  server.until([&] { return alice.frames().size() >= 10; });
  alice.send(repeat(client_frame(Opcode::ping, "p"), 5) + text_frame("do you hear me"));
  server.until([&] { return heard == "do you hear me"; });
  is_over = true;
  server.until([&] { return alice.count(Opcode::pong) == 5; });
  for (const auto& publisher : publishers) server.until([&] { return publisher->is_done(); });
  CHECK(server.hooks.empty());
  CHECK(alice.parser().error().empty());
}

TEST_CASE("two members that send each other the largest messages at once are both kept") {
  Server server;
  server.handler = [&](ConnectionPtr connection) -> awaitable<> {
    for (;;) {
      const std::string text = co_await server.manager.receive_text(*connection);
      co_await server.manager.broadcast_text(text, {.room = "lobby"});
    }
  };
  BeastClient alice = server.join_by_beast("alice");
  BeastClient bob = server.join_by_beast("bob");
  for (int i = 0; i < 5; ++i) {
    alice.send_text(std::string(1'048'576, 'a'));
    bob.send_text(std::string(1'048'576, 'b'));
  }
  server.until([&] { return alice.messages().size() == 10 && bob.messages().size() == 10; });
  CHECK(server.manager.total_connections() == 2);
  const auto from_alice = [](const Message& m) {
    return m.payload.size() == 1'048'576 && m.payload.front() == 'a';
  };
  CHECK(std::count_if(bob.messages().begin(), bob.messages().end(), from_alice) == 5);
  CHECK(std::count_if(alice.messages().begin(), alice.messages().end(), from_alice) == 5);
}

// --- closing badly ---

TEST_CASE("frames after a close frame are ignored") {
  Server server;
  const std::string behind =
      GENERATE(as<std::string>(), text_frame("and another thing"), close_frame(4002, "no, this"),
               client_frame(Opcode::ping, "p"), "\xFF\xFF\xFF rubbish", std::string(500'000, 'x'));
  RawClient alice = server.join("alice");
  alice.send(close_frame(4001, "this") + behind);
  server.until([&] { return alice.is_at_end(); });
  alice.close();
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::peer_closed);
  CHECK(server.outcomes.at(0).code == 4001);
  CHECK(server.outcomes.at(0).text == "this");
  REQUIRE(alice.closed_with());
  CHECK(alice.closed_with()->code() == 4001);
  CHECK(alice.frames().size() == 1);
}

TEST_CASE("a client that closes at the same time as the server is answered once") {
  Server server;
  RawClient alice = server.join("alice");
  alice.send(close_frame(4001));
  const auto closing = server.start(server.manager.close("alice", 4000));
  server.until([&] { return alice.is_at_end(); });
  alice.close();
  server.until([&] { return closing->is_done() && server.outcomes.size() == 1; });
  CHECK(alice.count(Opcode::close) == 1);
  CHECK(alice.parser().error().empty());
}

TEST_CASE("a client that closes and resets immediately is gone, for either reason") {
  Server server;
  RawClient alice = server.join("alice");
  alice.send(close_frame(4001));
  server.until([&] { return alice.unsent() == 0; });
  alice.vanish();
  server.until([&] { return server.outcomes.size() == 1; });
  const auto reason = server.outcomes.at(0).reason;
  CHECK((reason == DisconnectReason::peer_closed || reason == DisconnectReason::connection_lost));
}

TEST_CASE("a client that closes and reads nothing more is aborted in time") {
  Server server({.listen = {.stream = small_stream}});
  RawClient alice = server.join("alice", small_buffer);
  alice.stop_reading();
  CHECK(server.run(server.manager.broadcast_text(std::string(1'000'000, 'm'))) == 1);
  alice.send(close_frame(1000));
  server.until([&] { return server.outcomes.size() == 1; });
  server.let_others_work();
  server.pass(5s);
  server.settle();
  alice.resume_reading();
  server.until([&] { return alice.is_gone(); });
  CHECK(alice.is_reset());
  check_serves(server);
}
