// SPDX-License-Identifier: MIT
#include <array>
#include <boost/asio/post.hpp>
#include <functional>

#include "beast/support/server.hpp"

using namespace roost;
using namespace roost::test;

namespace {

/// A client that does not take much before the server has to wait.
constexpr RawClientOptions small_buffer{.receive_buffer_bytes = 16'384};

std::string small_number(std::size_t i) { return std::to_string(i); }

}  // namespace

// --- messages ---

TEST_CASE("session: text and binary of every length come through both ways") {
  Server server;
  BeastClient alice = server.join_by_beast("alice");
  const std::array<std::size_t, 9> sizes{0, 1, 125, 126, 127, 65'535, 65'536, 300'000, 1'048'576};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::string text(sizes[i], static_cast<char>('a' + i));
    const std::string bytes(sizes[i], static_cast<char>(0xF0 + i));
    alice.send_text(text);
    alice.send_bytes(bytes);
    server.until([&] { return alice.messages().size() == 2 * (i + 1); });
    const Message& first = alice.messages()[2 * i];
    const Message& second = alice.messages()[2 * i + 1];
    CHECK(first.is_text);
    CHECK((first.payload == text));
    CHECK(!second.is_text);
    CHECK((second.payload == bytes));
  }
  alice.close(1000);
  server.until([&] { return alice.is_over() && server.outcomes.size() == 1; });
}

TEST_CASE("receive: fragments become one message, also with control frames between them") {
  Server server;
  RawClient alice = server.join("alice");
  alice.send(client_frame(Opcode::text, "one ", {.is_final = false}) +
             client_frame(Opcode::ping, "p") +
             client_frame(0, "two \xE2\x82", {.is_final = false}) + client_frame(0, "\xAC"));
  server.until([&] { return alice.count(Opcode::text) == 1; });
  CHECK(alice.texts() == std::vector<std::string>{"one two \xE2\x82\xAC"});
  CHECK(alice.payloads(Opcode::pong) == std::vector<std::string>{"p"});
}

TEST_CASE("receive: all that a peer sends before it closes arrives") {
  Server server;
  std::vector<std::string> received;
  server.handler = [&](ConnectionPtr connection) -> awaitable<> {
    while (const auto text = co_await server.manager.next_text(*connection)) {
      received.push_back(*text);
    }
  };
  RawClient alice = server.join("alice");
  std::string all;
  for (std::size_t i = 0; i < 100; ++i) all += text_frame(small_number(i));
  alice.send(all + close_frame(1000));
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(received.size() == 100);
  CHECK(received.back() == "99");
  CHECK(server.outcomes.at(0).reason == DisconnectReason::peer_closed);
}

TEST_CASE("receive: cancelled, it harms nothing, and the next one gets the message") {
  Server server({.manager = {.handler_grace = 0s}});
  server.handler = pushing_only();
  RawClient alice = server.join("alice");
  const ConnectionPtr connection = server.manager.find("alice");
  const auto cancelled = server.start(server.manager.receive_text(*connection));
  server.settle();
  cancelled->cancel();
  SECTION("that comes later") {
    server.settle();
    alice.send(text_frame("hello"));
    server.let_others_work();
  }
  SECTION("that has come meanwhile") { alice.send(text_frame("hello")); }
  server.until([&] { return cancelled->is_done(); });
  CHECK_THROWS_AS(cancelled->take(), boost::system::system_error);
  CHECK(server.run(server.manager.receive_text(*connection)) == "hello");
  CHECK(server.manager.total_connections() == 1);
}

TEST_CASE("receive: cancelled as its message has come, that one and the next are still there") {
  Server server({.manager = {.handler_grace = 0s}});
  server.handler = pushing_only();
  RawClient alice = server.join("alice");
  const auto socket = server.manager.find("alice")->websocket();
  const auto cancelled = server.start(socket->receive());
  server.settle();
  alice.send(text_frame("first") + text_frame("second"));
  // Between the message and the coroutine that it wakes.
  const std::function<void()> watch = [&] {
    server.clock.advance(1us);
    const bool has_come = socket->last_activity() == server.clock.now();
    if (has_come) return cancelled->cancel();
    if (!cancelled->is_done()) boost::asio::post(server.context, watch);
  };
  watch();
  server.until([&] { return cancelled->is_done(); });
  server.let_others_work();  // the second one is read meanwhile
  std::vector<std::string> texts;
  try {
    texts.push_back(cancelled->take().payload);  // it was faster
  } catch (const boost::system::system_error&) {
  }
  while (texts.size() < 2) texts.push_back(server.run(socket->receive()).payload);
  CHECK(texts == std::vector<std::string>{"first", "second"});
}

TEST_CASE("receive: two at once are an error, and the first still gets its message") {
  Server server;
  server.handler = pushing_only();
  RawClient alice = server.join("alice");
  const ConnectionPtr connection = server.manager.find("alice");
  const auto socket = connection->websocket();
  const auto first = server.start(socket->receive());
  server.settle();
  const auto second = server.start(socket->receive());
  server.settle();
  REQUIRE(second->is_done());
  CHECK(error_of([&] { second->take(); }) == errc::already_receiving);
  alice.send(text_frame("hello"));
  server.until([&] { return first->is_done(); });
  CHECK(first->take().text() == "hello");
}

TEST_CASE("receive: with one message waiting the reader stops until it is taken") {
  Server server({.manager = {.handler_grace = 0s}});
  server.handler = pushing_only();
  RawClient alice = server.join("alice");
  alice.send(client_frame(Opcode::ping, "before") + text_frame("first") +
             client_frame(Opcode::ping, "behind") + text_frame("second"));
  server.until([&] { return alice.count(Opcode::pong) == 1; });
  for (int i = 0; i < 5; ++i) server.let_others_work();
  CHECK(alice.payloads(Opcode::pong) == std::vector<std::string>{"before"});
  const ConnectionPtr connection = server.manager.find("alice");
  CHECK(server.run(server.manager.receive_text(*connection)) == "first");
  server.until([&] { return alice.count(Opcode::pong) == 2; });
  CHECK(server.run(server.manager.receive_text(*connection)) == "second");
}

TEST_CASE("receive_text: binary where text is asked for closes with 1003, which arrives") {
  Server server;
  server.handler = [&](ConnectionPtr connection) -> awaitable<> {
    co_await server.manager.receive_text(*connection);
  };
  RawClient alice = server.join("alice");
  alice.stop_reading();
  for (int i = 0; i < 20; ++i) {
    alice.send(client_frame(Opcode::binary, std::string(100'000, 'b')));
  }
  server.until([&] { return alice.unsent() == 0; });
  alice.resume_reading();
  server.until([&] { return alice.closed_with().has_value(); });
  CHECK(alice.closed_with()->code() == 1003);
  alice.send(close_frame(1003));
  server.until([&] { return alice.is_at_end(); });
  alice.close();
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::unsupported_data);
}

// --- control frames ---

TEST_CASE("a ping is answered while the handler only pushes") {
  Server server;
  server.handler = pushing_only();
  RawClient alice = server.join("alice");
  const std::string longest(125, 'p');
  alice.send(client_frame(Opcode::ping, "are you there") + client_frame(Opcode::ping, "") +
             client_frame(Opcode::ping, longest));
  server.until([&] { return alice.count(Opcode::pong) == 3; });
  CHECK(alice.payloads(Opcode::pong) == std::vector<std::string>{"are you there", "", longest});
}

TEST_CASE("ping: reaches the peer, cut to what a control frame holds; what comes is activity") {
  Server server;
  server.handler = pushing_only();
  RawClient alice = server.join("alice");
  const auto socket = server.manager.find("alice")->websocket();
  socket->ping("beat");
  socket->ping(std::string(500, 'p'));
  server.until([&] { return alice.count(Opcode::ping) == 2; });
  CHECK(alice.payloads(Opcode::ping) == std::vector<std::string>{"beat", std::string(125, 'p')});
  const auto before = socket->last_activity();
  server.pass(1min);
  CHECK(socket->last_activity() == before);
  SECTION("by a pong") { alice.send(client_frame(Opcode::pong, "beat")); }
  SECTION("by a message") { alice.send(text_frame("news")); }
  server.until([&] { return socket->last_activity() != before; });
  CHECK(socket->last_activity() == server.clock.now());
}

// --- closing ---

TEST_CASE("a close by the client, with code and reason, is the outcome and what hooks are told") {
  Server server;
  const bool receives = GENERATE(true, false);
  if (!receives) server.handler = pushing_only();  // then it is cancelled
  BeastClient alice = server.join_by_beast("alice");
  alice.close(4001, "gone fishing");
  server.until([&] { return alice.is_answered() && server.outcomes.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::peer_closed);
  CHECK(server.outcomes.at(0).code == 4001);
  CHECK(server.outcomes.at(0).text == "gone fishing");
  REQUIRE(server.hooks.size() == 1);
  CHECK(server.hooks.at(0).id == "alice");
  CHECK(server.hooks.at(0).how.code == 4001);
  CHECK(server.hooks.at(0).how.text == "gone fishing");
}

TEST_CASE("a close without a code is 1005, and answered") {
  Server server;
  RawClient alice = server.join("alice");
  alice.send(client_frame(Opcode::close, ""));
  server.until([&] { return alice.is_gone() && server.outcomes.size() == 1; });
  CHECK(alice.is_at_end());
  REQUIRE(alice.closed_with());
  CHECK(server.outcomes.at(0).reason == DisconnectReason::peer_closed);
  CHECK(server.outcomes.at(0).code == 1005);
}

TEST_CASE("close: arrives with code and reason after what is queued, and waits for the answer") {
  Server server;
  RawClient alice = server.join("alice", small_buffer);
  alice.stop_reading();
  const auto socket = server.manager.find("alice")->websocket();
  for (int i = 0; i < 50; ++i) socket->try_send(Frame::text(std::string(20'000, 'x')));
  const auto closing = server.start(server.manager.close("alice", 4000, "enough"));
  server.settle();
  CHECK(server.manager.total_connections() == 0);  // at once
  CHECK(!socket->try_send(Frame::text("after the end")));
  alice.resume_reading();
  server.until([&] { return alice.closed_with().has_value(); });
  CHECK(alice.count(Opcode::text) == 50);
  CHECK(alice.closed_with()->code() == 4000);
  CHECK(alice.closed_with()->reason() == "enough");
  server.let_others_work();
  CHECK(!closing->is_done());
  CHECK(!alice.is_gone());
  alice.send(text_frame("too late") + client_frame(Opcode::ping, "too") + close_frame(4000));
  server.until([&] { return alice.is_at_end(); });
  CHECK(alice.parser().error().empty());  // nothing behind the close frame
  alice.close();
  server.until([&] { return closing->is_done(); });
  CHECK(closing->take());
  CHECK(server.outcomes.at(0).reason == DisconnectReason::disconnected);
}

TEST_CASE("close: a peer that never answers is aborted at close_timeout") {
  Server server({.manager = {.close_timeout = 3s}, .listen = {.stream = {.close_timeout = 3s}}});
  RawClient alice = server.join("alice");
  const auto closing = server.start(server.manager.close("alice", 1000));
  server.until([&] { return alice.closed_with().has_value(); });
  server.pass(2999ms);
  server.let_others_work();
  CHECK(!closing->is_done());
  CHECK(!alice.is_gone());
  server.pass(1ms);
  server.until([&] { return closing->is_done() && alice.is_gone(); });
  CHECK(alice.is_reset());
}

TEST_CASE("close: a socket that no manager knows has a deadline of its own") {
  Server server({.listen = {.stream = {.close_timeout = 3s}}});
  bool is_closed = false;
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    const auto socket = co_await upgrade.accept();
    co_await socket->close(4000, "not today");
    is_closed = true;
  };
  RawClient client = server.request("/");
  server.until([&] { return client.closed_with().has_value(); });
  CHECK(client.closed_with()->reason() == "not today");
  SECTION("which it does not need") {
    client.send(close_frame(4000));
    server.until([&] { return client.is_at_end(); });
    client.close();
  }
  SECTION("which comes") {
    server.pass(2999ms);
    CHECK(!is_closed);
    server.pass(1ms);
  }
  server.until([&] { return is_closed; });
}

TEST_CASE("close: needs no message to be taken") {
  Server server;
  server.handler = pushing_only();
  RawClient alice = server.join("alice");
  alice.send(text_frame("first") + text_frame("second"));
  server.let_others_work();
  const auto closing = server.start(server.manager.disconnect("alice"));
  server.until([&] { return alice.closed_with().has_value(); });
  alice.send(close_frame(1000));
  server.until([&] { return alice.is_at_end(); });
  alice.close();
  server.until([&] { return closing->is_done(); });
}

TEST_CASE("close: a peer that answers and keeps its side open is closed after linger_timeout") {
  Server server;
  RawClient alice = server.join("alice");
  const auto closing = server.start(server.manager.close("alice", 1000));
  server.until([&] { return alice.closed_with().has_value(); });
  alice.send(close_frame(1000));
  server.until([&] { return alice.is_at_end(); });
  CHECK(!closing->is_done());
  server.pass(2s);
  server.until([&] { return closing->is_done(); });
}

TEST_CASE("close_all: everybody gets the code, and stragglers are aborted at the deadline") {
  Server server;
  BeastClient alice = server.join_by_beast("alice");
  RawClient mute = server.join("mute");
  const auto closing = server.start(server.manager.close_all(1001, {.deadline = 1s}));
  server.until([&] { return alice.is_over() && mute.closed_with(); });
  CHECK(alice.close_code() == 1001);
  CHECK(mute.closed_with()->code() == 1001);
  CHECK(!closing->is_done());
  server.pass(1s);
  server.until([&] { return closing->is_done() && mute.is_gone(); });
  CHECK(closing->take() == 2);
  CHECK(mute.is_reset());
}

TEST_CASE("session: the handler's end closes with 1000, its failure with 1011, a refusal by 1008") {
  Server server(
      {.manager = {.room_validator = [](std::string_view room, Connection<BeastWebSocket>&) {
         return room != "vault";
       }}});
  SECTION("its end") {
    server.handler = [](ConnectionPtr) -> awaitable<> { co_return; };
    RawClient alice = server.request("/?id=alice");
    server.until([&] { return alice.closed_with().has_value(); });
    CHECK(alice.closed_with()->code() == 1000);
  }
  SECTION("its failure") {
    server.handler = [](ConnectionPtr) -> awaitable<> {
      throw std::runtime_error("a bug");
      co_return;
    };
    RawClient alice = server.request("/?id=alice");
    server.until([&] { return alice.closed_with().has_value(); });
    CHECK(alice.closed_with()->code() == 1011);
    CHECK(alice.closed_with()->reason().empty());  // not the peer's business
    CHECK(server.failures == std::vector<std::string>{"a bug"});
  }
  SECTION("a refusal") {
    RawClient alice = server.request("/?id=alice&room=vault");
    server.until([&] { return alice.closed_with().has_value(); });
    CHECK(alice.closed_with()->code() == 1008);
    CHECK(server.failures.size() == 1);
    CHECK(server.hooks.empty());
  }
}

TEST_CASE("abort: the peer gets a reset, and what was queued is lost") {
  Server server;
  RawClient alice = server.join("alice");
  const auto socket = server.manager.find("alice")->websocket();
  socket->try_send(Frame::text("never sent"));
  socket->abort();
  server.until([&] { return alice.is_gone() && server.outcomes.size() == 1; });
  CHECK(alice.is_reset());
  CHECK(alice.frames().empty());
  CHECK(server.outcomes.at(0).reason == DisconnectReason::connection_lost);
  CHECK(server.outcomes.at(0).code == 1006);
  CHECK(!socket->try_send(Frame::text("too late")));
}

TEST_CASE("a socket that is accepted and dropped without connect is aborted") {
  Server server;
  server.on_upgrade = [](Upgrade upgrade) -> awaitable<> {
    const auto socket = co_await upgrade.accept();
    socket->try_send(Frame::text("hello"));
  };
  RawClient client = server.request("/");
  server.until([&] { return client.is_gone(); });
}

TEST_CASE("a peer that goes without a close frame is connection_lost, 1006") {
  Server server;
  if (GENERATE(true, false)) server.handler = pushing_only();
  RawClient alice = server.join("alice");
  SECTION("by a reset") { alice.vanish(); }
  SECTION("in an orderly way") { alice.close(); }
  SECTION("half") {
    alice.shutdown_send();
    server.until([&] { return alice.is_gone(); });
    CHECK(alice.is_at_end());
  }
  SECTION("in the middle of a frame") {
    alice.send(client_frame(Opcode::text, "half", {.length = 10}));
    server.until([&] { return alice.unsent() == 0; });
    alice.close();
  }
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::connection_lost);
  CHECK(server.outcomes.at(0).code == 1006);
}

// --- limits and rules ---

TEST_CASE("max_message_bytes: 1009 arrives though the client keeps sending, whoever receives") {
  Server server({.manager = {.max_message_bytes = 1'000}});
  if (GENERATE(true, false)) server.handler = pushing_only();
  RawClient alice = server.join("alice");
  alice.stop_reading();
  SECTION("in one frame, seen from its header") {
    const std::uint64_t length =
        GENERATE(as<std::uint64_t>(), 1'001, std::uint64_t{1} << 62, (std::uint64_t{1} << 63) - 1);
    alice.send(client_frame(Opcode::binary, "", {.length = length}) + std::string(3'000'000, 'x'));
  }
  SECTION("in the sum of many fragments") {
    alice.send(client_frame(Opcode::text, std::string(400, 'x'), {.is_final = false}));
    for (int i = 0; i < 3'000; ++i) {
      alice.send(client_frame(0, std::string(400, 'x'), {.is_final = false}));
    }
  }
  server.until([&] { return alice.unsent() == 0; });
  alice.resume_reading();
  server.until([&] { return alice.is_gone(); });
  CHECK(alice.is_at_end());
  REQUIRE(alice.closed_with());
  CHECK(alice.closed_with()->code() == 1009);
  alice.close();
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::message_too_big);
  CHECK(server.outcomes.at(0).code == 1009);
  CHECK(server.log.count(Severity::warning, "message_too_big") == 1);
}

TEST_CASE("max_message_bytes: a message of just that size is taken") {
  Server server({.manager = {.max_message_bytes = 1'000}});
  RawClient alice = server.join("alice");
  alice.send(text_frame(std::string(1'000, 'x')));
  server.until([&] { return alice.count(Opcode::text) == 1; });
  alice.send(text_frame(std::string(1'001, 'x')));
  server.until([&] { return alice.closed_with().has_value(); });
  CHECK(alice.closed_with()->code() == 1009);
}

TEST_CASE("max_message_bytes: nullopt lifts the limit") {
  Server server({.manager = {.max_message_bytes = std::nullopt}});
  BeastClient alice = server.join_by_beast("alice");
  const std::string big(3'000'000, 'b');
  alice.send_text(big);
  server.until([&] { return alice.messages().size() == 1; });
  CHECK((alice.messages()[0].payload == big));
}

TEST_CASE("receive: a limit of one call closes with 1009 too") {
  Server server;
  server.handler = [&](ConnectionPtr connection) -> awaitable<> {
    co_await server.manager.receive_text(*connection, 10);
    co_await server.manager.receive_text(*connection, 10);
  };
  RawClient alice = server.join("alice");
  alice.send(text_frame("0123456789") + text_frame("0123456789A"));
  server.until([&] { return alice.closed_with().has_value(); });
  CHECK(alice.closed_with()->code() == 1009);
  alice.close();
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::message_too_big);
  CHECK(server.log.count(Severity::warning, "message_too_big") == 1);
}

TEST_CASE("text that is not UTF-8 is closed with 1007") {
  Server server;
  const std::string bytes = GENERATE(
      as<std::string>(), client_frame(Opcode::text, "\xFF"), client_frame(Opcode::text, "\xC0\xAF"),
      client_frame(Opcode::text, "\xED\xA0\x80"), client_frame(Opcode::text, "cut \xE2\x82"),
      client_frame(Opcode::text, "cut \xE2\x82", {.is_final = false}) + client_frame(0, "off"));
  RawClient alice = server.join("alice");
  alice.send(bytes);
  server.until([&] { return alice.is_gone(); });
  REQUIRE(alice.closed_with());
  CHECK(alice.closed_with()->code() == 1007);
  CHECK(alice.is_at_end());
  alice.close();
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::protocol_error);
  CHECK(server.outcomes.at(0).code == 1007);
}

TEST_CASE("binary may be anything") {
  Server server;
  RawClient alice = server.join("alice");
  alice.send(client_frame(Opcode::binary, "\xFF\xC0\xAF"));
  server.until([&] { return alice.count(Opcode::binary) == 1; });
}

TEST_CASE("a peer that breaks RFC 6455 is closed with 1002") {
  Server server;
  const auto [what, bytes] = GENERATE(table<std::string, std::string>({
      {"no mask", client_frame(Opcode::text, "x", {.is_masked = false})},
      {"a reserved bit", client_frame(Opcode::text, "x", {.reserved_bits = 4})},
      {"a reserved bit in a ping", client_frame(Opcode::ping, "x", {.reserved_bits = 1})},
      {"a reserved opcode", client_frame(3, "x")},
      {"a reserved control opcode", client_frame(11, "x")},
      {"a fragmented ping", client_frame(Opcode::ping, "x", {.is_final = false})},
      {"a ping of 126 bytes", client_frame(Opcode::ping, std::string(126, 'p'))},
      {"a continuation of nothing", client_frame(0, "x")},
      {"a message within a message",
       client_frame(Opcode::text, "x", {.is_final = false}) + client_frame(Opcode::text, "x")},
      {"a length that is not the shortest", std::string("\x81\xFE\x00\x01\x00\x00\x00\x00x", 9)},
      {"a close frame of one byte", client_frame(Opcode::close, "x")},
      {"a close code below 1000", close_frame(999)},
      {"a close code that must not be sent", close_frame(1005)},
      {"another", close_frame(1006)},
      {"a reserved close code", close_frame(1016)},
      {"a close reason that is no UTF-8", close_frame(1000, "\xFF")},
  }));
  CAPTURE(what);
  RawClient alice = server.join("alice");
  alice.send(bytes + text_frame("and on"));
  server.until([&] { return alice.is_gone(); });
  REQUIRE(alice.closed_with());
  CHECK(alice.closed_with()->code() == 1002);
  CHECK(alice.is_at_end());
  CHECK(alice.count(Opcode::text) == 0);
  alice.close();
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes.at(0).reason == DisconnectReason::protocol_error);
  CHECK(server.outcomes.at(0).code == 1002);
}

// --- lifetime ---

TEST_CASE("handles may outlive the io_context") {
  std::shared_ptr<BeastWebSocket> socket;
  ConnectionPtr connection;
  SECTION("of a connection that was closed") {
    Server server;
    const RawClient alice = server.join("alice");
    connection = server.manager.find("alice");
    socket = connection->websocket();
  }
  SECTION("of one that was open") {
    boost::asio::io_context peers;
    boost::asio::io_context context;
    Manager manager(context.get_executor());
    const auto serve = [&](Upgrade upgrade) -> awaitable<> {
      socket = co_await upgrade.accept();
      connection = co_await manager.connect(socket, {.connection_id = "alice"});
    };
    const Listener listener = listen(manager, any_port(), {}, serve);
    RawClient alice(peers, listener.local_endpoint());
    alice.send(upgrade_request("/"));
    run_ready(peers);
    run_until(context, [&] { return connection != nullptr; });
    CHECK(socket->try_send(Frame::text("hello")));
    CHECK(connection->is_connected());
  }
  CHECK(!connection->is_connected());
  CHECK(connection->ended());
  CHECK(connection->websocket() == nullptr);
  CHECK(socket->ended());
  CHECK(!socket->try_send(Frame::text("too late")));
  CHECK(socket->queued_bytes() == 0);
  CHECK(!socket->oldest_queued());
  CHECK(socket->last_activity() > Clock::time_point());
  socket->ping();
  socket->abort();
  socket->set_max_message_bytes(1);
  socket->observe({});
  boost::asio::io_context later;
  CHECK(!testing::run(later, connection->send_text("too late")));
  CHECK(error_of([&] { testing::run(later, socket->send_text("too late")); }) ==
        errc::connection_closed);
  CHECK(error_of([&] { testing::run(later, socket->receive()); }) == errc::connection_closed);
}

namespace {

/// One connection in every state that a session can be suspended in.
struct EveryState {
  ManualClock clock;
  Gate never_opened;
  std::vector<std::shared_ptr<BeastWebSocket>> sockets;
  std::vector<ConnectionPtr> connections;
  std::optional<boost::asio::io_context> peers{std::in_place};
  std::optional<boost::asio::io_context> context{std::in_place};
  std::optional<Manager> manager;
  std::optional<Listener> listener;
  std::vector<RawClient> clients;
  std::vector<std::shared_ptr<detail::Child<void>>> tasks;
  std::size_t hooks = 0;

  EveryState() {
    manager.emplace(context->get_executor(),
                    Manager::Options{.on_connect =
                                         [this](BeastWebSocket& socket, nlohmann::json&) {
                                           return admit(socket.header("X-Wait").has_value());
                                         },
                                     .outbox_high_water = 1'000,
                                     .clock = &clock});
    manager->on_disconnect([this](ConnectionPtr, const Disconnect&) -> awaitable<> {
      ++hooks;
      co_await never_opened.pass();
    });
    listener =
        listen(*manager, any_port(), {.stream = {.send_buffer_bytes = 8'192, .clock = &clock}},
               [this](Upgrade upgrade) { return serve(std::move(upgrade)); });
    for (const std::string what : {"receiving", "waiting", "stuck", "closing", "leaving"}) {
      join(what);
    }
    clients.push_back(client("/?id=admission", "X-Wait: yes\r\n"));
    clients.push_back(client("/?reject=yes", ""));
    clients.emplace_back(*peers, listener->local_endpoint());
    clients.back().send("GET /half HTTP");
    clients[4].vanish();
    start(close("closing"));
    for (int i = 0; i < 3; ++i) start(broadcast());
    until([&] {
      return clients[3].closed_with() && never_opened.arrived() >= 3 && clients[6].is_at_end() &&
             manager->stats().blocked == 1;
    });
    // The first broadcast was taken at once; the two behind it wait, and so does the close.
    REQUIRE(std::count_if(tasks.begin(), tasks.end(),
                          [](const auto& task) { return task->is_done(); }) == 1);
  }

  awaitable<bool> admit(bool waits) {
    if (waits) co_await never_opened.pass();
    co_return true;
  }
  awaitable<> serve(Upgrade upgrade) {
    if (upgrade.query("reject")) {
      co_await upgrade.reject(403);
      co_return;
    }
    const auto id = upgrade.query("id");
    auto socket = co_await upgrade.accept();
    sockets.push_back(socket);
    const auto body = [this](ConnectionPtr connection) { return handle(std::move(connection)); };
    try {
      co_await manager->session(socket, {.connection_id = *id}, body);
    } catch (const std::exception&) {  // cancelled
    }
  }
  awaitable<> handle(ConnectionPtr connection) {
    connections.push_back(connection);
    if (connection->id() != "receiving") co_await wait_for_ever();
    co_await manager->receive(*connection);
  }
  awaitable<> close(std::string id) { co_await manager->close(id, 1000); }
  awaitable<> broadcast() {
    try {
      co_await manager->broadcast_text(std::string(1'000'000, 'x'));
    } catch (const std::exception&) {
    }
  }

  void start(awaitable<> task) {
    tasks.push_back(detail::Child<void>::start(context->get_executor(), std::move(task)));
    run_ready(*context);
  }
  RawClient client(const std::string& target, const std::string& headers) {
    RawClient c(*peers, listener->local_endpoint(), small_buffer);
    c.send(upgrade_request(target, headers));
    return c;
  }
  void join(const std::string& id) {
    clients.push_back(client("/?id=" + id, ""));
    until([&] { return clients.back().is_upgraded() && manager->find(id); });
    if (id == "stuck") clients.back().stop_reading();
  }
  template <class Predicate>
  void until(Predicate predicate) {
    run_until(*peers, [&] {
      run_ready(*context);
      return predicate();
    });
  }
};

}  // namespace

TEST_CASE("manager, listener, context and clients may be destroyed in every order") {
  const bool runs_between = GENERATE(false, true);
  std::string order = "cmlp";  // context, manager, listener, peers
  std::sort(order.begin(), order.end());
  do {
    CAPTURE(order, runs_between);
    EveryState world;
    const auto run_what_is_left = [&] {
      if (!runs_between) return;
      if (world.peers) run_ready(*world.peers);
      if (world.context) run_ready(*world.context);
    };
    for (const char what : order) {
      if (what == 'c') world.context.reset();
      if (what == 'm') world.manager.reset();
      if (what == 'l') world.listener.reset();
      if (what == 'p') {
        world.clients.clear();
        world.peers.reset();
      }
      run_what_is_left();
    }
    CHECK(world.hooks <= 5);
    for (const auto& connection : world.connections) CHECK(!connection->is_connected());
    for (const auto& socket : world.sockets) CHECK(!socket->try_send(Frame::text("too late")));
  } while (std::next_permutation(order.begin(), order.end()));
}
