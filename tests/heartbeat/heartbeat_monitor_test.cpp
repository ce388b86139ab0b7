// SPDX-License-Identifier: MIT
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <concepts>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/frame_fake.hpp"
#include "support/plain_socket.hpp"

namespace roost {
namespace {

using namespace test;
using Reason = DisconnectReason;
using Strings = std::vector<std::string>;

/// A manager and its monitor, whose ticks are seconds.
template <class Ws>
struct Beats : Bench<Ws> {
  HeartbeatMonitor<Ws> monitor;

  explicit Beats(ManagerOptions<Ws> options = {})
      : Bench<Ws>(std::move(options)),
        monitor(this->manager, {.interval = 128s, .timeout = 300s}) {}

  /// Passes as time does for a loop that is never late.
  void live(Clock::duration time) {
    for (; time >= 1s; time -= 1s) this->pass(1s);
    this->pass(time);
  }
  Reason reason(const std::shared_ptr<Connection<Ws>>& connection) {
    REQUIRE(connection->ended());
    return connection->ended()->reason;
  }
};
using FakeBeats = Beats<FakeWebSocket>;

/// Receives text, and nothing else.
struct TextSocket : PlainSocket {
  detail::WaitList changed;
  std::vector<std::string> inbound;

  awaitable<std::string> receive_text() {
    const auto executor = co_await boost::asio::this_coro::executor;
    while (inbound.empty()) co_await detail::wait(changed, executor, Clock::system());
    std::string text = inbound.front();
    inbound.erase(inbound.begin());
    co_return text;
  }
  void peer_sends(std::string text) {
    inbound.push_back(std::move(text));
    changed.notify_all();
  }
};

/// Its sends end with it only.
struct StuckSocket : PlainSocket {
  Gate gate;
  awaitable<> send_text(std::string_view) override { return gate.pass(); }
  awaitable<> close(std::uint16_t) override {
    gate.open();
    co_return;
  }
};

/// Pings, but does not tell of pongs by an observer.
struct PingingSocket : PlainSocket {
  int pings = 0;
  bool is_broken = false;
  Clock::time_point seen{};
  Clock::time_point last_activity() const { return seen; }
  void ping(std::string_view) {
    if (is_broken) throw std::runtime_error("broken");
    ++pings;
  }
};

static_assert(Pings<FakeWebSocket>);
static_assert(!Pings<PlainSocket>);
static_assert(!Pings<FrameFake>);
static_assert(Pings<PingingSocket>);

// --- pings and drops ---

TEST_CASE("heartbeat: every connection is pinged once per interval", "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  const auto alice = bench.connect("alice");
  bench.live(50s);
  const auto bob = bench.connect("bob");
  bench.live(128s);
  CHECK(alice->pings() >= 1);
  CHECK(bob->pings() == 1);
  bench.live(10 * 128s);
  CHECK(bob->pings() == 11);
  CHECK((alice->pings() == 11 || alice->pings() == 12));
  CHECK(alice->sent().empty());  // frames, no messages
}

TEST_CASE("heartbeat: a peer that answers stays for ever, without help of the application",
          "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  bench.connect("alice");
  bench.live(100 * 128s);
  CHECK(bench.manager.total_connections() == 1);
  CHECK(bench.monitor.is_alive("alice"));
}

TEST_CASE("heartbeat: a peer that never answers is aborted after the timeout", "[heartbeat]") {
  Disconnect told;
  FakeBeats bench;
  bench.manager.on_disconnect([&](const auto&, const Disconnect& how) { told = how; });
  bench.monitor.start();
  const auto socket = bench.connect("alice", "lobby");
  socket->ignore_pings();
  const auto alice = bench.manager.find("alice");
  bench.live(299s);
  CHECK(bench.monitor.is_alive("alice"));
  CHECK(bench.manager.total_connections() == 1);
  bench.live(1s);
  CHECK(bench.manager.total_connections() == 0);
  CHECK(bench.manager.list_rooms().empty());
  CHECK_FALSE(bench.monitor.is_alive("alice"));
  CHECK(bench.reason(alice) == Reason::heartbeat_timeout);
  CHECK(alice->ended()->code == 1006);
  CHECK(told.reason == Reason::heartbeat_timeout);
  CHECK(socket->is_aborted());
  CHECK_FALSE(socket->close_code());
  CHECK(bench.manager.stats().ended_by(Reason::heartbeat_timeout) == 1);
  CHECK(bench.log.count(Severity::warning, "dropped") == 1);
  CHECK(contains(bench.log.last("dropped"), "heartbeat_timeout"));
}

TEST_CASE("heartbeat: the handler of a dropped connection ends", "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  const auto socket = bench.socket();
  socket->ignore_pings();
  const bool receives = GENERATE(true, false);
  const auto handler = [&](FakeBeats::ConnectionPtr connection) -> awaitable<> {
    if (receives) co_await bench.manager.receive(*connection);
    co_await wait_for_ever();
  };
  const auto session = bench.start(bench.manager.session(socket, {}, handler));
  bench.live(299s);
  CHECK_FALSE(session->is_done());
  bench.live(1s);
  REQUIRE(session->is_done());
  CHECK(session->take().reason == Reason::heartbeat_timeout);
}

TEST_CASE("heartbeat: of 10 000 exactly those that never answer are dropped", "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  std::vector<std::shared_ptr<FakeWebSocket>> sockets;
  for (int i = 0; i < 10'000; ++i) {
    sockets.push_back(bench.connect(std::to_string(i)));
    if (i % 2 == 1) sockets.back()->ignore_pings();
  }
  const auto pings = [&] {
    std::size_t n = 0;
    for (const auto& socket : sockets) n += socket->pings();
    return n;
  };
  std::size_t most = 0;
  for (std::size_t before = 0, i = 0; i < 299; ++i) {
    bench.live(1s);
    most = std::max(most, pings() - before);
    before = pings();
  }
  CHECK(most == 79);  // 10 000 over 128 ticks
  CHECK(bench.manager.total_connections() == 10'000);
  bench.live(1s);
  CHECK(bench.manager.total_connections() == 5'000);
  bench.live(5 * 128s);
  CHECK(bench.manager.total_connections() == 5'000);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    if (bench.monitor.is_alive(std::to_string(i)) != (i % 2 == 0)) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(bench.manager.stats().ended_by(Reason::heartbeat_timeout) == 5'000);
}

TEST_CASE("heartbeat: any message received through the manager is life", "[heartbeat]") {
  Beats<TextSocket> bench;
  bench.monitor.start();
  const auto socket = bench.connect("alice");
  const auto alice = bench.manager.find("alice");
  bench.live(200s);
  socket->peer_sends("news");
  CHECK(bench.run(bench.manager.receive_text(*alice)) == "news");
  CHECK(alice->last_activity() == bench.clock.now());
  bench.live(299s);
  CHECK(bench.monitor.is_alive("alice"));
  bench.live(1s);
  CHECK(bench.reason(alice) == Reason::heartbeat_timeout);
}

TEST_CASE("heartbeat: signs of life that only the socket knows of count", "[heartbeat]") {
  Beats<PingingSocket> bench;
  bench.monitor.start();
  const auto socket = bench.connect("alice");
  const auto alice = bench.manager.find("alice");
  CHECK(alice->last_activity() == alice->connected_at());
  bench.live(200s);
  CHECK(socket->pings >= 1);
  socket->seen = bench.clock.now();
  CHECK(alice->last_activity() == bench.clock.now());
  bench.live(299s);
  CHECK(bench.manager.total_connections() == 1);
  const Clock::time_point seen = socket->seen;
  bench.live(1s);
  CHECK(bench.reason(alice) == Reason::heartbeat_timeout);
  CHECK(alice->last_activity() == seen);  // kept when the socket is let go
}

TEST_CASE("heartbeat: pongs that nobody asked for are life, but no round trip", "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  const auto socket = bench.connect("alice");
  socket->ignore_pings();
  const auto alice = bench.manager.find("alice");
  for (int i = 0; i < 20; ++i) {
    bench.live(100s);
    socket->peer_pongs("");
    CHECK(alice->last_activity() == bench.clock.now());
  }
  CHECK(bench.manager.total_connections() == 1);
  CHECK_FALSE(alice->round_trip_time());
}

TEST_CASE("heartbeat: the round trip is that of the last ping", "[heartbeat]") {
  FakeBeats bench;
  const auto socket = bench.connect("alice");
  socket->ignore_pings();
  const auto alice = bench.manager.find("alice");
  CHECK_FALSE(alice->round_trip_time());
  CHECK(bench.run(bench.monitor.tick()) == 1);
  const std::string first = socket->last_ping();
  CHECK(first.size() <= 10);
  bench.pass(70ms);
  socket->peer_pongs(first);
  CHECK(alice->round_trip_time() == 70ms);
  CHECK(alice->last_activity() == bench.clock.now());

  bench.run(bench.monitor.tick());
  const std::string second = socket->last_ping();
  bench.pass(1s);
  bench.run(bench.monitor.tick());
  bench.pass(20ms);
  socket->peer_pongs(second);  // late: RFC 6455 lets it answer the last only
  CHECK(alice->round_trip_time() == 70ms);
  socket->peer_pongs(socket->last_ping());
  CHECK(alice->round_trip_time() == 20ms);
  bench.run(bench.manager.disconnect("alice"));
  CHECK(alice->round_trip_time() == 20ms);
}

// --- sockets without ping frames ---

TEMPLATE_TEST_CASE("heartbeat: without ping frames the message is sent as text", "[heartbeat]",
                   PlainSocket, FrameFake) {
  Bench<TestType> bench;
  HeartbeatMonitor monitor(bench.manager, {.message = "\xC3\xA0 toi"});
  const auto socket = bench.connect("alice");
  const auto sent = [&] {
    if constexpr (std::same_as<TestType, FrameFake>) {
      return socket->texts;
    } else {
      return socket->sent;
    }
  };
  CHECK(bench.run(monitor.tick()) == 1);
  CHECK(sent() == Strings{"\xC3\xA0 toi"});
  CHECK_FALSE(bench.manager.find("alice")->round_trip_time());
  monitor.start();
  for (int i = 0; i < 128; ++i) bench.pass(234'375us);
  CHECK(sent().size() == 2);
}

TEST_CASE("heartbeat: a round waits for no peer", "[heartbeat]") {
  Beats<PlainSocket> bench;
  for (int i = 0; i < 1000; ++i) {
    bench.run(bench.manager.connect(std::make_shared<StuckSocket>(),
                                    {.connection_id = std::to_string(i)}));
  }
  CHECK(bench.run(bench.monitor.tick()) == 1000);
  CHECK(bench.run(bench.monitor.tick()) == 1000);
  CHECK(bench.manager.total_connections() == 1000);
  bench.pass(5s);  // send_timeout
  CHECK(bench.manager.total_connections() == 0);
  CHECK(bench.run(bench.monitor.tick()) == 0);
}

TEST_CASE("heartbeat: messages that stand for pings count against the outbox", "[heartbeat]") {
  Bench<FrameFake> bench(
      {.max_message_bytes = 100, .outbox_high_water = 10, .max_outbox_bytes = 200});
  HeartbeatMonitor monitor(bench.manager, {.message = std::string(90, 'x')});
  const auto socket = bench.connect("alice");
  const auto alice = bench.manager.find("alice");
  socket->stall();
  CHECK(bench.run(monitor.tick()) == 1);
  CHECK(bench.run(monitor.tick()) == 1);
  bench.pass(250ms);  // in which it takes nothing
  CHECK(bench.run(monitor.tick()) == 0);
  REQUIRE(alice->ended());
  CHECK(alice->ended()->reason == Reason::outbox_overflow);
}

TEST_CASE("heartbeat: a socket that fails to ping is dropped, the others are pinged",
          "[heartbeat]") {
  Beats<PingingSocket> bench;
  const auto alice = bench.connect("alice");
  const auto bob = bench.connect("bob");
  const auto carol = bench.connect("carol");
  bob->is_broken = true;
  CHECK(bench.run(bench.monitor.tick()) == 2);
  CHECK(alice->pings + carol->pings == 2);
  CHECK(bench.manager.find("bob") == nullptr);
  CHECK(bench.manager.stats().ended_by(Reason::send_failed) == 1);
}

// --- touch, is_alive, tick ---

TEST_CASE("touch: keeps alive what does not answer, and tells whether it is there", "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  bench.connect("alice")->ignore_pings();
  for (int i = 0; i < 10; ++i) {
    bench.live(290s);
    CHECK(bench.monitor.touch("alice"));
  }
  CHECK(bench.manager.find("alice")->last_activity() == bench.clock.now());
  bench.live(300s);
  CHECK_FALSE(bench.monitor.touch("alice"));
}

TEST_CASE("touch: does not bring back what is gone", "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  CHECK_FALSE(bench.monitor.touch("nobody"));
  CHECK_FALSE(bench.monitor.is_alive("nobody"));
  bench.connect("alice");
  CHECK(bench.monitor.is_alive("alice"));
  bench.run(bench.manager.disconnect("alice"));
  CHECK_FALSE(bench.monitor.touch("alice"));
  CHECK_FALSE(bench.monitor.is_alive("alice"));
}

TEST_CASE("is_alive: without start it follows the last sign of life", "[heartbeat]") {
  FakeBeats bench;
  bench.connect("alice");
  bench.pass(300s - 1ns);
  CHECK(bench.monitor.is_alive("alice"));
  bench.pass(1ns);
  CHECK_FALSE(bench.monitor.is_alive("alice"));
  CHECK(bench.run(bench.monitor.tick()) == 1);
  CHECK(bench.monitor.is_alive("alice"));  // the fake has answered
}

TEST_CASE("tick: pings all at once and returns how many, whether started or not", "[heartbeat]") {
  FakeBeats bench;
  CHECK(bench.run(bench.monitor.tick()) == 0);
  const auto alice = bench.connect("alice");
  const auto bob = bench.connect("bob");
  CHECK(bench.run(bench.monitor.tick()) == 2);
  bench.monitor.start();
  CHECK(bench.run(bench.monitor.tick()) == 2);
  CHECK(alice->pings() == 2);
  CHECK(bob->pings() == 2);
  bench.live(128s);
  CHECK(alice->pings() == 3);  // the schedule goes on as it was
  bench.run(bench.manager.disconnect("bob"));
  CHECK(bench.run(bench.monitor.tick()) == 1);
}

// --- entries come and go with their connections ---

TEST_CASE("heartbeat: an entry goes with its connection, whichever way that ends", "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  CHECK(bench.clock.armed() == 0);
  const auto socket = bench.connect("alice");
  CHECK(bench.clock.armed() == 1);
  SECTION("the peer closes") { socket->peer_closes(); }
  SECTION("the peer vanishes") { socket->peer_vanishes(); }
  SECTION("it is disconnected") { bench.run(bench.manager.disconnect("alice")); }
  SECTION("all are closed") { bench.run(bench.manager.close_all()); }
  SECTION("a send fails") {
    socket->fail_sends();
    bench.run(bench.manager.send_to("alice", "hello"));
  }
  SECTION("it is silent") {
    socket->ignore_pings();
    bench.live(300s);
  }
  SECTION("it is replaced") {
    const auto other = bench.socket();
    other->ignore_pings();
    bench.run(bench.manager.connect(
        other, {.connection_id = "alice", .on_duplicate = OnDuplicate::replace}));
    bench.live(299s);
    CHECK(bench.monitor.is_alive("alice"));
    bench.live(1s);
    CHECK(other->is_aborted());
  }
  bench.settle();
  CHECK_FALSE(bench.monitor.is_alive("alice"));
  CHECK(bench.clock.armed() == 0);  // no wake-ups for nobody
  const std::size_t pings = socket->pings();
  const auto again = bench.connect("alice");
  CHECK(bench.monitor.is_alive("alice"));
  bench.live(128s);
  CHECK(again->pings() == 1);
  CHECK(socket->pings() == pings);
}

TEST_CASE("heartbeat: a connection that leaves and comes within one turn of the loop is watched",
          "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  const auto alice = bench.connect("alice");
  bench.live(10s);
  bench.clock.advance(1s);
  alice->peer_closes();
  const auto bob = bench.connect("bob");  // before the loop has seen that nobody was left
  bob->ignore_pings();
  bench.live(128s);
  CHECK(bob->pings() == 1);
  bench.live(172s);
  CHECK(bench.manager.total_connections() == 0);
}

// --- start and stop ---

TEST_CASE("start: takes in those that are there, as seen now", "[heartbeat]") {
  FakeBeats bench;
  const auto socket = bench.connect("alice");
  socket->ignore_pings();
  bench.pass(1h);
  CHECK_FALSE(bench.monitor.is_alive("alice"));
  bench.monitor.start();
  CHECK(bench.monitor.is_alive("alice"));
  bench.live(299s);
  CHECK(socket->pings() >= 2);
  CHECK(bench.manager.total_connections() == 1);
  bench.live(1s);
  CHECK(bench.manager.total_connections() == 0);
}

TEST_CASE("start: twice is as good as once", "[heartbeat]") {
  FakeBeats bench;
  const auto socket = bench.connect("alice");
  bench.monitor.start();
  bench.live(64s);
  bench.monitor.start();
  bench.live(64s + 128s);
  CHECK(socket->pings() == 2);
  CHECK(bench.clock.armed() == 1);
}

TEST_CASE("stop: at once, in every state", "[heartbeat]") {
  FakeBeats bench;
  bench.run(bench.monitor.stop());  // not started
  bench.monitor.start();
  bench.run(bench.monitor.stop());  // without connections
  bench.run(bench.monitor.stop());
  const auto socket = bench.connect("alice");
  socket->ignore_pings();
  socket->stall_close();
  bench.monitor.start();
  bench.run(bench.monitor.stop());  // nothing has run yet
  CHECK(bench.clock.armed() == 0);
  bench.monitor.start();
  bench.live(200s);
  CHECK(socket->pings() >= 1);
  const std::size_t pings = socket->pings();
  bench.run(bench.monitor.stop());  // a ping is not answered
  CHECK(bench.clock.armed() == 0);
  bench.live(1000s);
  CHECK(socket->pings() == pings);
  CHECK(bench.manager.total_connections() == 1);
  bench.connect("bob");
  CHECK(bench.clock.armed() == 0);
}

TEST_CASE("stop: start begins anew, also before the loop has turned", "[heartbeat]") {
  FakeBeats bench;
  const auto socket = bench.connect("alice");
  socket->ignore_pings();
  bench.monitor.start();
  bench.live(250s);
  SECTION("at once") {
    auto stop = bench.monitor.stop();
    const auto task = detail::Child<void>::start(bench.context.get_executor(), std::move(stop));
    bench.context.restart();
    while (!task->is_done()) bench.context.run_one();
    bench.monitor.start();
  }
  SECTION("later") {
    bench.run(bench.monitor.stop());
    bench.pass(1h);
    bench.monitor.start();
  }
  const std::size_t pings = socket->pings();
  bench.live(299s);
  CHECK(bench.clock.armed() == 1);
  CHECK(bench.manager.total_connections() == 1);
  CHECK(socket->pings() - pings <= 3);
  bench.live(1s);
  CHECK(bench.manager.total_connections() == 0);
}

TEST_CASE("heartbeat: two monitors watch over one manager", "[heartbeat]") {
  FakeBeats bench;
  HeartbeatMonitor strict(bench.manager, {.interval = 128s, .timeout = 200s});
  bench.monitor.start();
  strict.start();
  const auto alice = bench.connect("alice");
  bench.connect("bob")->ignore_pings();
  bench.live(200s);
  CHECK(bench.manager.total_connections() == 1);
  bench.run(strict.stop());
  alice->ignore_pings();
  bench.live(1s);
  const std::size_t pings = alice->pings();
  bench.live(128s);
  CHECK(alice->pings() == pings + 1);
  bench.live(172s);
  CHECK(bench.manager.total_connections() == 0);
}

// --- stalls ---

TEST_CASE("heartbeat: a server that was stalled drops nobody when it wakes", "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  std::vector<std::shared_ptr<FakeWebSocket>> sockets;
  for (int i = 0; i < 256; ++i) sockets.push_back(bench.connect(std::to_string(i)));
  bench.live(200s);
  for (const auto& socket : sockets) socket->ignore_pings();  // their pongs are not read yet
  bench.clock.advance(1h);
  for (int i = 0; i < 256; ++i) CHECK(bench.monitor.is_alive(std::to_string(i)));
  std::size_t before = 0;
  for (const auto& socket : sockets) before += socket->pings();
  bench.settle();
  std::size_t after = 0;
  for (const auto& socket : sockets) after += socket->pings();
  CHECK(after - before == 2);  // no burst
  CHECK(bench.manager.total_connections() == 256);
  CHECK(bench.log.count(Severity::warning, "loop_late") == 1);
  CHECK(contains(bench.log.last("loop_late"), "ms=\"3599000\""));
  for (const auto& socket : sockets) socket->peer_pongs("");
  bench.live(299s);
  CHECK(bench.manager.total_connections() == 256);
  bench.live(2s);
  CHECK(bench.manager.total_connections() == 0);
}

TEST_CASE("heartbeat: a loop that is busy for less than a tick is not late", "[heartbeat]") {
  FakeBeats bench;
  bench.monitor.start();
  bench.connect("alice");
  for (int i = 0; i < 100; ++i) {
    bench.live(2s);
    bench.pass(1900ms);
    bench.pass(100ms);
  }
  CHECK(bench.log.count("loop_late") == 0);
}

}  // namespace
}  // namespace roost
