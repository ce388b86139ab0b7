// What a manager may expect of every kind of socket, and its users of a manager over it.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <roost/heartbeat/heartbeat_monitor.hpp>

#include "catch.hpp"
#include "contract/peers.hpp"

namespace {

using namespace roost;
using namespace roost::test;
using namespace std::chrono_literals;
using asio::awaitable;

/// One peer, whose server end is in a session that records what it receives.
template <class Peer>
struct Fixture {
  using Manager = ConnectionManager<typename Peer::WebSocket>;
  using ConnectionPtr = typename Manager::ConnectionPtr;

  testing::ManualClock clock;
  asio::io_context context;
  Peer peer{context, clock};
  Manager manager{context.get_executor(), {.max_message_bytes = 1000, .clock = &clock}};
  std::vector<Message> received;
  ConnectionPtr connection;
  std::optional<SessionOutcome> outcome;
  int hooks = 0;

  Fixture() {
    manager.on_disconnect([this](ConnectionPtr, const Disconnect&) { ++hooks; });
    co_spawn(context, run(*this), asio::detached);
    until([&] { return connection != nullptr; });
  }
  ~Fixture() {
    CHECK(manager.total_connections() == 0);
    CHECK(manager.list_rooms().empty());
    CHECK(manager.stats().queued_bytes == 0);
    CHECK(hooks == 1);
    CHECK(outcome.has_value());
  }

  template <class Predicate>
  void until(Predicate predicate) {
    testing::run_until(context, predicate);
  }
  void until_ended() {
    until([&] { return outcome && hooks > 0; });
  }
  template <class T>
  T run_to_end(awaitable<T> coroutine) {
    const auto child = detail::Child<T>::start(context.get_executor(), std::move(coroutine));
    until([&] { return child->is_done(); });
    return child->take();
  }
  void close_peer() {
    peer.closes(1000, "");
    until_ended();
  }

  static awaitable<void> run(Fixture& self) {
    auto handler = [&self](ConnectionPtr connection) { return record(self, connection); };
    self.outcome =
        co_await self.manager.session(self.peer.socket(), {.rooms = "contract"}, handler);
  }
  static awaitable<void> record(Fixture& self, ConnectionPtr connection) {
    self.connection = connection;
    for (;;) self.received.push_back(co_await self.manager.receive(*connection));
  }
};

Message text(std::string payload) { return {true, std::move(payload)}; }
Message binary(std::string payload) { return {false, std::move(payload)}; }

}  // namespace

#define EVERY_KIND FakePeer, ListenedPeer<Plain>, ListenedPeer<Tls>, WrappedPeer

TEMPLATE_TEST_CASE("messages arrive as they were sent, in order", "[contract]", EVERY_KIND) {
  Fixture<TestType> f;
  for (int i = 0; i < 50; ++i) {
    f.peer.sends(i % 2 ? text("text " + std::to_string(i)) : binary(std::string(1, char(i))));
  }
  f.until([&] { return f.received.size() == 50; });
  for (int i = 0; i < 50; ++i) {
    CHECK(f.received[std::size_t(i)].is_text == (i % 2 == 1));
  }
  CHECK(f.received[49].payload == "text 49");

  const std::string zeros(300'000, '\0');
  for (int i = 0; i < 50; ++i) f.manager.post_text(std::to_string(i));
  CHECK(f.run_to_end(f.manager.broadcast_bytes(std::as_bytes(std::span(zeros)))) == 1);
  CHECK(f.run_to_end(f.connection->send_text("the end")));
  f.until([&] { return f.peer.received().size() == 52; });
  for (int i = 0; i < 50; ++i)
    CHECK(f.peer.received()[std::size_t(i)].payload == std::to_string(i));
  CHECK_FALSE(f.peer.received()[50].is_text);
  CHECK(f.peer.received()[50].payload == zeros);
  CHECK(f.peer.received()[51].is_text);
  CHECK(f.peer.received()[51].payload == "the end");
  f.close_peer();
}

TEMPLATE_TEST_CASE("a message of the largest size is received", "[contract]", EVERY_KIND) {
  Fixture<TestType> f;
  f.peer.sends(text(std::string(1000, 'x')));
  f.until([&] { return f.received.size() == 1; });
  CHECK(f.received[0].payload.size() == 1000);
  f.close_peer();
}

TEMPLATE_TEST_CASE("a larger one closes with 1009", "[contract]", EVERY_KIND) {
  Fixture<TestType> f;
  f.peer.sends(text(std::string(1001, 'x')));
  f.until_ended();
  f.until([&] { return f.peer.close_code().has_value(); });
  CHECK(f.peer.close_code() == 1009);
  CHECK(f.received.empty());
  CHECK(f.outcome->reason == DisconnectReason::message_too_big);
  CHECK(f.outcome->code == 1009);
}

TEMPLATE_TEST_CASE("a peer that closes is an outcome, with its code", "[contract]", EVERY_KIND) {
  Fixture<TestType> f;
  f.peer.sends(text("last words"));
  f.until([&] { return f.received.size() == 1; });
  f.peer.closes(4001, "enough");
  f.until_ended();
  CHECK(f.outcome->reason == DisconnectReason::peer_closed);
  CHECK(f.outcome->code == 4001);
  CHECK(f.outcome->text == "enough");
}

TEMPLATE_TEST_CASE("the server's close arrives after what was sent before", "[contract]",
                   EVERY_KIND) {
  Fixture<TestType> f;
  f.manager.post_text("goodbye");
  testing::run_ready(f.context);
  CHECK(f.run_to_end(f.manager.close(f.connection->id(), 4002, "over")));
  f.until_ended();
  f.until([&] { return f.peer.close_code().has_value(); });
  CHECK(f.peer.close_code() == 4002);
  REQUIRE(f.peer.received().size() == 1);
  CHECK(f.peer.received()[0].payload == "goodbye");
  CHECK(f.outcome->reason == DisconnectReason::disconnected);
}

TEMPLATE_TEST_CASE("an abort ends the reader and cuts the peer off", "[contract]", EVERY_KIND) {
  Fixture<TestType> f;
  f.connection->websocket()->abort();
  f.until_ended();
  f.until([&] { return f.peer.is_cut_off(); });
  CHECK(f.outcome->code != 1000);
}

TEMPLATE_TEST_CASE("a peer that vanishes is an outcome", "[contract]", EVERY_KIND) {
  Fixture<TestType> f;
  f.peer.vanishes();
  f.until_ended();
  CHECK(f.outcome->reason == DisconnectReason::connection_lost);
  CHECK(f.outcome->code == 1006);
  CHECK_FALSE(f.run_to_end(f.connection->send_text("anybody?")));
}

TEMPLATE_TEST_CASE("a peer that does not read is cut off after send_timeout", "[contract]",
                   EVERY_KIND) {
  Fixture<TestType> f;
  f.peer.stops_reading();
  f.peer.sends(text("the last that is read"));
  f.until([&] { return f.received.size() == 1; });
  // More than the kernel holds for it, less than the largest outbox.
  const std::string much(1'000'000, 'x');
  for (int i = 0; i < 3; ++i) f.manager.post_text(much);
  f.until([&] { return f.manager.stats().blocked == 1; });
  f.clock.advance(4999ms);
  testing::run_ready(f.context);
  CHECK(f.manager.total_connections() == 1);
  f.clock.advance(1ms);
  testing::run_ready(f.context);
  f.clock.advance(5s);  // its kernel may have taken a lot in the beginning
  f.until_ended();
  CHECK(f.outcome->reason == DisconnectReason::send_timeout);
}

TEMPLATE_TEST_CASE("cancelling a receive loses nothing", "[contract]", EVERY_KIND) {
  using Peer = TestType;
  testing::ManualClock clock;
  asio::io_context context;
  Peer peer(context, clock);
  ConnectionManager<typename Peer::WebSocket> manager(context.get_executor(), {.clock = &clock});
  auto connecting = detail::Child<std::shared_ptr<Connection<typename Peer::WebSocket>>>::start(
      context.get_executor(), manager.connect(peer.socket()));
  testing::run_until(context, [&] { return connecting->is_done(); });
  const auto connection = connecting->take();

  const auto first =
      detail::Child<std::string>::start(context.get_executor(), manager.receive_text(*connection));
  testing::run_ready(context);
  first->cancel();
  testing::run_ready(context);
  REQUIRE(first->is_done());
  CHECK_THROWS_AS(first->take(), boost::system::system_error);

  peer.sends(text("still here"));
  const auto second =
      detail::Child<std::string>::start(context.get_executor(), manager.receive_text(*connection));
  testing::run_until(context, [&] { return second->is_done(); });
  CHECK(second->take() == "still here");

  const auto closing =
      detail::Child<std::size_t>::start(context.get_executor(), manager.close_all(1001));
  testing::run_until(context, [&] { return closing->is_done(); });
  CHECK(closing->take() == 1);
  testing::run_until(context, [&] { return peer.close_code().has_value(); });
  CHECK(peer.close_code() == 1001);
}

TEMPLATE_TEST_CASE("a peer answers pings, which gives its round trip and keeps it", "[contract]",
                   EVERY_KIND) {
  Fixture<TestType> f;
  HeartbeatMonitor monitor(f.manager, {.interval = 128s, .timeout = 300s});
  monitor.start();
  for (int i = 0; i < 5; ++i) {
    const Clock::time_point before = f.clock.now();
    for (int tick = 0; tick < 128; ++tick) {
      f.clock.advance(1s);
      testing::run_ready(f.context);
    }
    f.until([&] { return f.connection->last_activity() > before; });
  }
  CHECK(f.run_to_end(monitor.tick()) == 1);
  f.until([&] { return f.connection->round_trip_time() == 0s; });
  CHECK(f.manager.total_connections() == 1);
  CHECK(f.peer.received().empty());
  f.close_peer();
}

TEMPLATE_TEST_CASE("a peer that does not read is not heard of, and dropped", "[contract]",
                   EVERY_KIND) {
  Fixture<TestType> f;
  HeartbeatMonitor monitor(f.manager, {.interval = 128s, .timeout = 129s});
  f.peer.stops_reading();
  if (TestType::has_network) {
    f.manager.post_text("the last that is read");
    f.until([&] { return f.peer.received().size() == 1; });
  }
  monitor.start();
  for (int tick = 0; tick < 129; ++tick) {
    f.clock.advance(1s);
    testing::run_ready(f.context);
  }
  f.until_ended();
  CHECK(f.outcome->code == 1006);
  CHECK(f.outcome->reason == DisconnectReason::heartbeat_timeout);
}

TEMPLATE_TEST_CASE("parts of a message are a sign of life", "[contract]", ListenedPeer<Plain>,
                   ListenedPeer<Tls>, WrappedPeer) {
  Fixture<TestType> f;
  for (int i = 0; i < 5; ++i) {
    f.clock.advance(1h);
    f.peer.sends_part("part");
    f.until([&] { return f.connection->last_activity() == f.clock.now(); });
  }
  f.peer.vanishes();
  f.until_ended();
}
