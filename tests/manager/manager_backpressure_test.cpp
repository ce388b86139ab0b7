// SPDX-License-Identifier: MIT
// Sending to sockets that take frames: in which form, who waits for whom, how long, and who is
// dropped.
#include <roost/roost.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/frame_fake.hpp"
#include "support/members.hpp"

namespace roost {
namespace {

using namespace test;
using FrameBench = Bench<FrameFake>;
using Strings = std::vector<std::string>;

static_assert(HasOutbox<FrameFake> && Aborts<FrameFake> && KnowsItsEnd<FrameFake>);

Strings messages(int from, int to) {
  Strings all;
  for (int i = from; i < to; ++i) all.push_back(message(i));
  return all;
}

// Five messages reach the mark, fifteen the maximum.
FrameBench::Options options() {
  return {.send_timeout = 5s,
          .min_progress_bytes = 1'000,
          .backpressure_wait = 250ms,
          .max_message_bytes = 100,
          .outbox_high_water = 100,
          .max_outbox_bytes = 300};
}

struct StalledRoom : FrameBench {
  std::shared_ptr<FrameFake> stalled = connect("stalled", {"lobby"});
  std::shared_ptr<FrameFake> healthy = connect("healthy", {"lobby"});
  int sent = 0;

  StalledRoom() : FrameBench(options()) { stalled->stall(); }

  // Broadcasts that must not wait.
  void broadcast_at_once(int n) {
    for (int i = 0; i < n; ++i) CHECK(run(manager.broadcast_text(message(sent++))) == 2);
  }
  Task<std::size_t> broadcast() { return start(manager.broadcast_text(message(sent++))); }
  void post() {
    manager.post_text(message(sent++));
    settle();
  }
  bool is_there() const { return manager.find("stalled") != nullptr; }
};

// Wants its frames in a form of its own, and counts how often one is made.
struct FormsFake : FrameFake {
  using FrameFake::FrameFake;
  FrameForm form = 0;
  static inline int made = 0;

  FrameForm frame_form() const { return form; }
  static Frame in_form(const Frame& frame, FrameForm form) {
    ++made;
    return Frame::text(std::string(frame.payload_text()) + " in " + std::to_string(form));
  }
};
static_assert(FormsFrames<FormsFake> && !FormsFrames<FrameFake>);

TEST_CASE("a broadcast is made once in each form, whoever many want it", "[sending]") {
  Bench<FormsFake> bench;
  std::vector<std::shared_ptr<FormsFake>> sockets;
  const auto connect = [&](FrameForm form) {
    auto socket = bench.socket();
    socket->form = form;
    bench.run(bench.manager.connect(socket, {.rooms = "lobby"}));
    sockets.push_back(std::move(socket));
  };
  for (int i = 0; i < 30; ++i) connect(static_cast<FrameForm>(i % 3));
  FormsFake::made = 0;
  CHECK(bench.run(bench.manager.broadcast_text("hello", {.room = "lobby"})) == 30);
  CHECK(FormsFake::made == 2);  // form 0 is the frame as it is
  CHECK(bench.run(bench.manager.broadcast_text("all")) == 30);
  CHECK(FormsFake::made == 4);
  for (const auto& socket : sockets) {
    const std::string suffix = socket->form == 0 ? "" : " in " + std::to_string(socket->form);
    CHECK(socket->texts == Strings{"hello" + suffix, "all" + suffix});
  }
}

TEST_CASE("healthy peers never make a sender wait", "[backpressure]") {
  FrameBench bench(options());
  const auto alice = bench.connect("alice", {"lobby"});
  for (int i = 0; i < 50; ++i) {
    CHECK(bench.run(bench.manager.broadcast_text(message(i), {.room = "lobby"})) == 1);
  }
  CHECK(alice->texts == messages(0, 50));
  CHECK(bench.manager.stats().queued_bytes == 0);
}

TEST_CASE("below the mark a frame of any size that fits is taken at once", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(4);
  CHECK(room.manager.stats().queued_bytes == 80);
  CHECK(room.run(room.manager.broadcast_text(std::string(296, 'x'))) == 2);
  CHECK(room.manager.stats().queued_bytes == 80 + 300);
  CHECK(room.manager.stats().blocked == 1);
  room.stalled->drain_all();
  CHECK(room.manager.stats().queued_bytes == 0);
  CHECK(room.manager.stats().blocked == 0);
  CHECK(room.is_there());
}

TEST_CASE("above the mark a sender waits until the recipient is below it", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  const auto waiting = room.broadcast();
  CHECK_FALSE(waiting->is_done());
  CHECK(room.healthy->texts == messages(0, 6));  // the others do not wait
  CHECK(room.stalled->frames == 5);

  room.stalled->drain(1);
  room.settle();
  REQUIRE(waiting->is_done());
  CHECK(waiting->take() == 2);
  CHECK(room.stalled->frames == 6);
  room.stalled->drain_all();
  CHECK(room.stalled->texts == messages(0, 6));
}

TEST_CASE("a sender waits no longer than until the wait since the mark was crossed is over",
          "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  room.pass(200ms);
  const auto waiting = room.broadcast();
  room.pass(49ms);
  CHECK_FALSE(waiting->is_done());
  room.pass(1ms);
  REQUIRE(waiting->is_done());
  CHECK(waiting->take() == 2);
  CHECK(room.stalled->frames == 6);  // it has the frame, above its mark
}

TEST_CASE("nobody waits for a slow recipient", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  room.pass(250ms);
  room.broadcast_at_once(3);
  CHECK(room.stalled->frames == 8);

  // Not even if it goes below the mark, and above again.
  room.stalled->drain(80);
  room.broadcast_at_once(2);
  CHECK(room.manager.stats().queued_bytes == 120);
}

TEST_CASE("a slow recipient that went below half the mark is waited for again", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  room.pass(250ms);
  room.broadcast_at_once(1);
  room.stalled->drain(70);  // 50 left: half
  room.broadcast_at_once(3);
  CHECK(room.manager.stats().queued_bytes == 110);
  const auto waiting = room.broadcast();
  CHECK_FALSE(waiting->is_done());
  room.pass(249ms);
  CHECK_FALSE(waiting->is_done());
  room.pass(1ms);
  CHECK(waiting->take() == 2);
}

TEST_CASE("a slow recipient that is above half the mark is not", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  room.pass(250ms);
  room.broadcast_at_once(1);
  room.stalled->drain(69);  // 51 left
  room.broadcast_at_once(4);
  CHECK(room.manager.stats().queued_bytes == 131);
}

TEST_CASE("without a wait nobody waits", "[backpressure]") {
  auto impatient = options();
  impatient.backpressure_wait = 0s;
  FrameBench bench(impatient);
  const auto alice = bench.connect("alice");
  alice->stall();
  for (int i = 0; i < 15; ++i) CHECK(bench.run(bench.manager.send_to("alice", message(i))));
  CHECK_FALSE(bench.run(bench.manager.send_to("alice", "")));
  CHECK(bench.manager.stats().ended_by(DisconnectReason::outbox_overflow) == 1);
}

TEST_CASE("a stalled peer delays a room once, then is dropped, and nobody else waits for it",
          "[backpressure]") {
  StalledRoom room;
  const auto stalled = room.manager.find("stalled");
  Clock::duration waited{};
  while (room.is_there()) {
    const auto broadcast = room.broadcast();
    while (!broadcast->is_done()) {
      room.pass(10ms);
      waited += 10ms;
    }
    broadcast->take();
  }
  CHECK(waited == 250ms);
  CHECK(room.sent == 16);
  CHECK(room.healthy->texts == messages(0, 16));
  CHECK(stalled->ended()->reason == DisconnectReason::outbox_overflow);
  CHECK(room.stalled->is_aborted);
  CHECK(room.manager.stats().queued_bytes == 0);
}

TEST_CASE("a recipient over its maximum is dropped, and not counted", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  room.pass(250ms);
  room.broadcast_at_once(10);
  CHECK(room.manager.stats().queued_bytes == 300);  // exactly the maximum
  CHECK(room.run(room.manager.broadcast_text("")) == 1);
  CHECK_FALSE(room.is_there());
  room.settle();
  CHECK(room.stalled->is_aborted);
}

TEST_CASE("posting never waits: over the maximum a peer that takes nothing is dropped",
          "[backpressure]") {
  StalledRoom room;
  for (int i = 0; i < 15; ++i) room.post();
  CHECK(room.stalled->frames == 15);
  room.post();
  room.pass(249ms);
  CHECK(room.is_there());
  room.pass(1ms);
  CHECK_FALSE(room.is_there());
  CHECK(room.healthy->texts == messages(0, 16));
  CHECK(room.manager.stats().ended_by(DisconnectReason::outbox_overflow) == 1);
}

TEST_CASE("posts behind a waiting sender count to the maximum too", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  const auto waiting = room.broadcast();
  for (int i = 0; i < 10; ++i) room.post();
  CHECK_FALSE(waiting->is_done());
  room.post();
  CHECK(room.is_there());
  room.pass(250ms);
  CHECK_FALSE(room.is_there());
  REQUIRE(waiting->is_done());
  CHECK(waiting->take() == 1);  // it did not get the frame
}

TEST_CASE("waiting senders and posts keep their order", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  const auto first = room.broadcast();   // 5
  room.post();                           // 6
  const auto second = room.broadcast();  // 7
  room.post();                           // 8
  CHECK(room.stalled->frames == 5);
  SECTION("when the peer takes bytes again") {
    room.stalled->drain(1);
    room.settle();
    CHECK(first->is_done());
    CHECK_FALSE(second->is_done());  // the first frame was enough to reach the mark again
    CHECK(room.stalled->frames == 6);
    room.stalled->drain(21);
    room.settle();
    CHECK(second->is_done() == (room.stalled->frames >= 8));
    room.stalled->drain_all();
  }
  SECTION("when it turned slow") {
    room.pass(250ms);
    CHECK(first->is_done());
    CHECK(second->is_done());
    room.broadcast_at_once(1);
    room.stalled->drain_all();
  }
  room.settle();
  CHECK(first->take() == 2);
  CHECK(second->take() == 2);
  room.post();
  CHECK(room.stalled->texts == messages(0, room.sent));
  CHECK(room.healthy->texts == messages(0, room.sent));
}

TEST_CASE("a sender waits for one recipient only as long as for its own frame", "[backpressure]") {
  FrameBench bench(options());
  const auto slow = bench.connect("slow", {"lobby"});
  const auto other = bench.connect("other", {"attic"});
  slow->stall();
  for (int i = 0; i < 5; ++i) bench.run(bench.manager.broadcast_text(message(i)));
  const auto waiting = bench.start(bench.manager.broadcast_text("w", {.room = "lobby"}));
  CHECK_FALSE(waiting->is_done());
  CHECK(bench.run(bench.manager.broadcast_text("x", {.room = "attic"})) == 1);
  CHECK(bench.run(bench.manager.send_to("other", "y")));
  CHECK(bench.run(bench.manager.broadcast_text("z", {.exclude = "slow"})) == 1);
  CHECK_FALSE(waiting->is_done());
}

TEST_CASE("a peer that takes nothing is dropped when its oldest byte is too old",
          "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(1);
  room.pass(3s);
  room.broadcast_at_once(1);
  room.pass(1999ms);
  CHECK(room.is_there());
  room.pass(1ms);
  CHECK_FALSE(room.is_there());
  CHECK(room.stalled->is_aborted);
  CHECK(room.manager.stats().ended_by(DisconnectReason::send_timeout) == 1);
  CHECK(room.manager.stats().queued_bytes == 0);
  CHECK(contains(room.log.last("dropped"), R"(id="stalled" reason="send_timeout")"));
}

TEST_CASE("a peer that trickles does not escape", "[backpressure]") {
  StalledRoom room;
  CHECK(room.run(room.manager.broadcast_text(std::string(90, 'x'))) == 2);
  for (int i = 0; i < 49; ++i) {
    room.pass(100ms);
    room.stalled->drain(1);
    CHECK(room.is_there());
  }
  room.pass(100ms);
  CHECK_FALSE(room.is_there());
}

TEST_CASE("a peer that keeps up, however late, is not dropped", "[backpressure]") {
  StalledRoom room;
  for (int i = 0; i < 30; ++i) {
    room.broadcast_at_once(1);
    if (i >= 3) room.stalled->drain(20);  // always three behind
    room.pass(1s);
    CHECK(room.is_there());
  }
  room.stalled->drain_all();
  room.pass(24h);
  CHECK(room.is_there());  // and an idle one even less
  CHECK(room.manager.stats().blocked == 0);
}

TEST_CASE("each peer has its own deadline", "[backpressure]") {
  FrameBench bench(options());
  std::vector<std::shared_ptr<FrameFake>> sockets;
  for (int i = 0; i < 6; ++i) {
    sockets.push_back(bench.connect(std::to_string(i)));
    sockets.back()->stall();
  }
  // In an order that is neither that of connecting nor its reverse.
  const std::vector<std::string> order{"3", "0", "5", "1", "4", "2"};
  for (const std::string& id : order) {
    bench.run(bench.manager.send_to(id, "x"));
    bench.pass(100ms);
  }
  CHECK(bench.manager.stats().blocked == 6);
  bench.pass(5s - 601ms);
  CHECK(bench.manager.total_connections() == 6);
  bench.pass(1ms);
  for (std::size_t gone = 1; gone <= order.size(); ++gone) {
    CHECK(bench.manager.total_connections() == 6 - gone);
    CHECK(bench.manager.find(order[gone - 1]) == nullptr);
    CHECK(bench.manager.stats().blocked == 6 - gone);
    bench.pass(100ms);
  }
}

TEST_CASE("a socket that was congested before it was connected is treated as such",
          "[backpressure]") {
  FrameBench bench(options());
  const auto socket = bench.socket();
  socket->stall();
  for (int i = 0; i < 5; ++i) socket->try_send(Frame::text(message(i)));
  bench.run(bench.manager.connect(socket, {.connection_id = "alice"}));
  CHECK(bench.manager.stats().queued_bytes == 100);
  CHECK(bench.manager.stats().blocked == 1);
  const auto waiting = bench.start(bench.manager.send_to("alice", "x"));
  CHECK_FALSE(waiting->is_done());
  bench.pass(250ms);
  CHECK(waiting->take());
  bench.pass(5s);
  CHECK(bench.manager.total_connections() == 0);
}

TEST_CASE("a recipient that goes ends the wait of all who wait for it", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  const auto all = room.broadcast();
  const auto one = room.start(room.manager.send_to("stalled", "x"));
  bool is_closed_by_peer = false;
  SECTION("by disconnect") { room.run(room.manager.disconnect("stalled")); }
  SECTION("by its peer") {
    is_closed_by_peer = true;
    room.stalled->peer_closes(1001);
    room.settle();
  }
  SECTION("by close_all") {
    room.run(room.manager.close_all());
    CHECK(all->take() == 0);
    return;
  }
  REQUIRE(all->is_done());
  CHECK(all->take() == 1);
  CHECK_FALSE(one->take());
  CHECK(room.manager.stats().queued_bytes == 0);
  CHECK(room.manager.stats().ended_by(DisconnectReason::peer_closed) ==
        (is_closed_by_peer ? 1 : 0));
}

TEST_CASE("a sender that is cancelled while it waits has sent nevertheless", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  const auto waiting = room.broadcast();
  waiting->cancel();
  room.settle();
  CHECK_THROWS_AS(waiting->take(), boost::system::system_error);
  room.stalled->drain_all();
  room.settle();
  CHECK(room.stalled->texts == messages(0, 6));
}

TEST_CASE("a socket that takes no frame any more is dropped", "[backpressure]") {
  FrameBench bench(options());
  const auto alice = bench.connect("alice");
  const auto bob = bench.connect("bob");
  bench.run(alice->close(1000));  // behind the manager's back
  CHECK(bench.run(bench.manager.broadcast_text("x")) == 1);
  CHECK(bench.manager.find("alice") == nullptr);
  CHECK(bench.manager.stats().ended_by(DisconnectReason::send_failed) == 1);
  CHECK_FALSE(bench.run(bench.manager.send_to("alice", "x")));
}

TEST_CASE("many senders that wait for one peer are let go at once, though it overflows",
          "[backpressure]") {
  StalledRoom room;
  const auto third = room.connect("third", {"lobby"});
  for (int i = 0; i < 5; ++i) CHECK(room.run(room.manager.broadcast_text(message(i))) == 3);
  std::vector<StalledRoom::Task<std::size_t>> waiting;
  for (int i = 5; i < 30; ++i)
    waiting.push_back(room.start(room.manager.broadcast_text(message(i))));
  CHECK(room.is_there());
  SECTION("when the wait is over") { room.pass(250ms); }
  SECTION("in the middle of another broadcast") {
    room.manager.post_text(message(30), {.room = "lobby"});
    room.pass(250ms);  // the post is ahead of the timer
    CHECK(room.healthy->texts == messages(0, 31));
  }
  SECTION("when the mark was crossed downwards before") {
    room.stalled->drain(50);
    room.settle();
    room.pass(250ms);
    CHECK(room.is_there());  // it took something
    room.post();
    for (int i = 0; i < 20 && room.is_there(); ++i) room.post();
    room.pass(250ms);
  }
  CHECK_FALSE(room.is_there());
  CHECK(room.manager.stats().ended_by(DisconnectReason::outbox_overflow) == 1);
  for (const auto& task : waiting) {
    REQUIRE(task->is_done());
    CHECK(task->take() >= 2);
  }
  CHECK(third->texts.size() == room.healthy->texts.size());
}

TEST_CASE("a message that fits into no outbox is refused at the call, and drops nobody",
          "[backpressure]") {
  StalledRoom room;
  const std::string text(297, 'x');  // 301 bytes on the wire
  const std::vector<std::byte> bytes(297);
  const nlohmann::json value = std::string(295, 'x');
  FrameBench::Manager& manager = room.manager;
  const auto connection = manager.find("healthy");
  const auto is_refused = [](auto call) { return error_of(call) == errc::message_too_big; };
  CHECK(is_refused([&] { auto unused = manager.broadcast_text(text); }));
  CHECK(is_refused([&] { auto unused = manager.broadcast_bytes(bytes); }));
  CHECK(is_refused([&] { auto unused = manager.broadcast_json(value); }));
  CHECK(is_refused([&] { manager.post_text(text); }));
  CHECK(is_refused([&] { manager.post_bytes(bytes); }));
  CHECK(is_refused([&] { manager.post_json(value); }));
  CHECK(is_refused([&] { auto unused = manager.send_to("healthy", text); }));
  CHECK(is_refused([&] { auto unused = manager.send_to("healthy", bytes); }));
  CHECK(is_refused([&] { auto unused = manager.send_to("healthy", value); }));
  CHECK(is_refused([&] { auto unused = connection->send_text(text); }));
  CHECK(is_refused([&] { auto unused = connection->send_bytes(bytes); }));
  CHECK(is_refused([&] { auto unused = connection->send_json(value); }));
  CHECK(contains(message_of([&] { manager.post_text(text); }),
                 "a message of 301 bytes; max_outbox_bytes is 300"));
  CHECK(is_refused([&] { auto unused = manager.broadcast_text(text, {.key = "k"}); }));
  room.settle();
  CHECK(manager.total_connections() == 2);
  CHECK(room.healthy->texts.empty());
}

TEST_CASE("a burst of any size is kept for a peer that takes some of it", "[backpressure]") {
  StalledRoom room;
  for (int i = 0; i < 500; ++i) room.manager.post_text(message(room.sent++));
  room.settle();
  for (int i = 0; i < 100; ++i) {
    room.pass(100ms);
    room.stalled->drain(100);
    REQUIRE(room.is_there());
  }
  room.stalled->drain_all();
  CHECK(room.stalled->texts == messages(0, 500));
  CHECK(room.manager.stats().blocked == 0);
}

TEST_CASE("messages queued behind a burst are bounded for a peer that trickles", "[backpressure]") {
  StalledRoom room;
  for (int i = 0; i < 100; ++i) room.manager.post_text(message(room.sent++));
  room.settle();
  CHECK(room.manager.stats().queued_bytes == 2'000);
  std::size_t most = 0;
  for (int i = 0; i < 100 && room.is_there(); ++i) {
    room.pass(50ms);
    room.stalled->drain(1);
    for (int n = 0; n < 2; ++n) room.post();
    most = std::max(most, room.manager.stats().queued_bytes);
  }
  CHECK_FALSE(room.is_there());
  CHECK(room.manager.stats().ended_by(DisconnectReason::outbox_overflow) == 1);
  CHECK(most < 2'000 + 2 * 300 + 500);
}

TEST_CASE("a flood that a peer keeps up with loses nobody, however much is behind",
          "[backpressure]") {
  StalledRoom room;
  for (int i = 0; i < 100; ++i) {
    for (int n = 0; n < 20; ++n) room.manager.post_text(message(room.sent++));
    room.pass(50ms);
    room.stalled->drain(200);  // half of it
    REQUIRE(room.is_there());
  }
  room.stalled->drain_all();
  CHECK(room.stalled->texts == messages(0, 2'000));
}

TEST_CASE("a large message goes through a slow peer, if it takes enough within each send_timeout",
          "[backpressure]") {
  auto slow = options();
  slow.min_progress_bytes = 40;
  slow.outbox_high_water = 1'000;
  slow.max_outbox_bytes = 5'000;
  FrameBench bench(slow);
  const auto alice = bench.connect("alice");
  alice->stall();
  CHECK(bench.run(bench.manager.send_to("alice", std::string(796, 'x'))));
  SECTION("it does") {
    for (int i = 0; i < 20; ++i) {
      bench.pass(4999ms);
      alice->drain(40);
      bench.pass(1ms);
      REQUIRE(bench.manager.total_connections() == 1);
    }
    CHECK(alice->texts.size() == 1);
  }
  SECTION("it does not") {
    bench.pass(4999ms);
    alice->drain(39);
    CHECK(bench.manager.total_connections() == 1);
    bench.pass(1ms);
    CHECK(bench.manager.stats().ended_by(DisconnectReason::send_timeout) == 1);
  }
  SECTION("once, and never again") {
    alice->drain(40);
    bench.pass(5s);
    CHECK(bench.manager.total_connections() == 1);
    bench.pass(5s);
    CHECK(bench.manager.total_connections() == 0);
  }
}

TEST_CASE("a hundred messages through a narrow peer arrive in order, and are waited for",
          "[backpressure]") {
  StalledRoom room;
  int done = 0;
  const auto flood = [](StalledRoom& r, int& n) -> awaitable<> {
    for (; n < 100; ++n) co_await r.manager.broadcast_text(message(n));
  };
  const auto flooding = room.start(flood(room, done));
  std::size_t most_queued = 0;
  while (!flooding->is_done()) {
    CHECK(done <= static_cast<int>(room.stalled->texts.size()) + 6);  // held back
    most_queued = std::max(most_queued, room.manager.stats().queued_bytes);
    room.stalled->drain(33);  // never below half the mark, yet it keeps up
    room.pass(20ms);
  }
  CHECK(most_queued >= 100);
  CHECK(most_queued <= 120);
  room.stalled->drain_all();
  CHECK(room.stalled->texts == messages(0, 100));
  CHECK(room.healthy->texts == messages(0, 100));
}

TEST_CASE("a peer that trickles across the mark is waited for once, not each time",
          "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  Clock::duration waited{};
  while (room.is_there()) {
    const auto broadcast = room.broadcast();
    while (!broadcast->is_done()) {
      room.pass(50ms);
      waited += 50ms;
      room.stalled->drain(2);
    }
    broadcast->take();
    REQUIRE(waited <= 250ms);
    if (waited == 250ms) room.pass(50ms);
  }
  CHECK(waited == 250ms);
  CHECK(room.manager.stats().ended_by(DisconnectReason::outbox_overflow) == 1);
}

TEST_CASE("a close sends what senders still waited to send, an abort does not", "[backpressure]") {
  StalledRoom room;
  room.broadcast_at_once(5);
  const auto waiting = room.broadcast();
  room.post();
  CHECK(room.stalled->frames == 5);
  SECTION("close") {
    room.run(room.manager.disconnect("stalled"));
    CHECK(room.stalled->frames == 7);
    room.stalled->drain_all();
    CHECK(room.stalled->texts == messages(0, 7));
  }
  SECTION("abort") {
    room.pass(5s);
    CHECK(room.stalled->is_aborted);
    room.stalled->drain_all();
    CHECK(room.stalled->texts.empty());
  }
  CHECK(waiting->is_done());
}

// Takes frames, and shows nothing of its outbox.
class Opaque {
 public:
  bool try_send(const Frame& frame) {
    if (is_closed) return false;
    texts.emplace_back(frame.payload_text());
    return true;
  }
  awaitable<> send_text(std::string_view) { co_return; }
  awaitable<> send_bytes(std::span<const std::byte>) { co_return; }
  awaitable<> close(std::uint16_t) {
    is_closed = true;
    co_return;
  }
  Strings texts;
  bool is_closed = false;
};
static_assert(TakesFrames<Opaque> && !HasOutbox<Opaque>);

TEST_CASE("a socket may take frames without showing its outbox", "[backpressure]") {
  Bench<Opaque> bench;
  const auto alice = bench.connect("alice");
  const auto bob = bench.connect("bob");
  CHECK(bench.run(bench.manager.broadcast_text("1")) == 2);
  bob->is_closed = true;
  CHECK(bench.run(bench.manager.broadcast_text("2")) == 1);
  CHECK(alice->texts == Strings{"1", "2"});
  CHECK(bench.manager.total_connections() == 1);
}

}  // namespace
}  // namespace roost
