// SPDX-License-Identifier: MIT
// What a manager does with messages that may be dropped or replaced, and with outboxes that are too
// full together.
#include <roost/roost.hpp>

#include <algorithm>
#include <memory>
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
using FakeBench = Bench<FakeWebSocket>;
using Strings = std::vector<std::string>;

static_assert(OffersFrames<FrameFake>);

// Five messages of 20 bytes on the wire reach the mark, fifteen the maximum.
template <class Ws>
typename Bench<Ws>::Options options() {
  return {.send_timeout = 5s,
          .backpressure_wait = 250ms,
          .max_message_bytes = 100,
          .outbox_high_water = 100,
          .max_outbox_bytes = 600};
}
Strings messages(std::initializer_list<int> numbers) {
  Strings all;
  for (const int i : numbers) all.push_back(message(i));
  return all;
}

struct LossyRoom : FrameBench {
  std::shared_ptr<FrameFake> stalled = connect("stalled", {"lobby"});
  std::shared_ptr<FrameFake> healthy = connect("healthy", {"lobby"});
  SendReport report;

  LossyRoom() : FrameBench(options<FrameFake>()) {
    stalled->stall();
    CHECK(run(manager.broadcast_text(message(0))) == 2);
    stalled->start_writing();
    for (int i = 1; i < 5; ++i) CHECK(run(manager.broadcast_text(message(i))) == 2);
  }
  std::size_t broadcast(int i, Overflow overflow) {
    return run(manager.broadcast_text(message(i), {.overflow = overflow, .report = &report}));
  }
  std::size_t broadcast(int i, std::string_view key) {
    return run(manager.broadcast_text(message(i), {.key = key, .report = &report}));
  }
};

TEST_CASE("a message that may be dropped makes nobody wait, and says whom it did not reach",
          "[overflow]") {
  for (const Overflow overflow : {Overflow::drop_newest, Overflow::drop_oldest}) {
    LossyRoom room;
    CHECK(room.broadcast(5, overflow) == 1);  // what is queued must arrive
    CHECK(room.report.taken == 1);
    CHECK(room.report.dropped == 1);
    CHECK(room.report.overflowed == 0);
    CHECK(room.manager.stats().dropped == 1);
    room.stalled->drain_all();
    CHECK(room.stalled->texts == messages({0, 1, 2, 3, 4}));
    CHECK(room.healthy->texts == messages({0, 1, 2, 3, 4, 5}));
    CHECK(room.broadcast(6, overflow) == 2);
    CHECK(room.report.dropped == 0);
  }
}

TEST_CASE("the oldest that may be dropped make room, in the order of what is left", "[overflow]") {
  FrameBench bench(options<FrameFake>());
  const auto alice = bench.connect("alice");
  alice->stall();
  SendReport report;
  for (int i = 0; i < 40; ++i) {
    CHECK(bench.run(bench.manager.broadcast_text(
              message(i), {.overflow = Overflow::drop_oldest, .report = &report})) == 1);
    CHECK(report.taken == 1);
    CHECK(bench.manager.stats().queued_bytes <= 120);
  }
  CHECK(bench.manager.stats().dropped == 35);
  alice->drain_all();
  CHECK(alice->texts == messages({35, 36, 37, 38, 39}));
}

TEST_CASE("the latest of a key is what a congested connection gets", "[overflow]") {
  LossyRoom room;
  room.stalled->drain(20);
  CHECK(room.broadcast(10, "alice") == 2);
  CHECK(room.report.conflated == 0);
  CHECK(room.broadcast(11, "alice") == 2);
  CHECK(room.report.conflated == 1);
  CHECK(room.run(room.manager.broadcast_text(
            message(12), {.overflow = Overflow::drop_newest, .key = "bob"})) == 1);  // at the mark
  CHECK(room.broadcast(13, "alice") == 2);
  CHECK(room.manager.stats().conflated == 2);
  room.stalled->drain_all();
  CHECK(room.stalled->texts == messages({0, 1, 2, 3, 4, 13}));
  CHECK(room.healthy->texts == messages({0, 1, 2, 3, 4, 10, 11, 12, 13}));
}

TEST_CASE("a message that may be dropped does not overtake those that wait", "[overflow]") {
  LossyRoom room;
  const auto waiting = room.start(room.manager.broadcast_text(message(5)));
  CHECK_FALSE(waiting->is_done());
  CHECK(room.broadcast(6, Overflow::drop_oldest) == 1);
  CHECK(room.report.dropped == 1);
  room.stalled->drain_all();
  room.settle();
  CHECK(waiting->take() == 2);
  CHECK(room.stalled->texts == messages({0, 1, 2, 3, 4, 5}));
}

TEST_CASE("a recipient dropped while its broadcast waits for another is not counted",
          "[overflow]") {
  LossyRoom room;
  auto lossy = room.socket();
  room.run(room.manager.connect(lossy, {.overflow = Overflow::drop_newest}));
  lossy->stall();
  for (int i = 0; i < 6; ++i) room.manager.post_text(message(i), {.exclude = {"stalled"}});
  room.settle();
  SendReport report;
  const auto waiting = room.start(room.manager.broadcast_text(message(9), {.report = &report}));
  CHECK_FALSE(waiting->is_done());
  room.pass(250ms);
  CHECK(waiting->take() == 2);
  CHECK(report.taken == 2);
  CHECK(report.dropped == 1);
  room.stalled->drain_all();
  lossy->drain_all();
}

TEST_CASE("a connection may have a policy for all its messages", "[overflow]") {
  for (const Overflow overflow : {Overflow::drop_newest, Overflow::drop_oldest}) {
    FrameBench bench(options<FrameFake>());
    const auto alice = bench.socket();
    bench.run(bench.manager.connect(
        alice, {.connection_id = "alice", .rooms = "lobby", .overflow = overflow}));
    alice->stall();
    SendReport report;
    for (int i = 0; i < 30; ++i) {
      const bool is_taken = i < 5 || overflow == Overflow::drop_oldest;
      if (i % 3 == 0) {
        CHECK(bench.run(bench.manager.send_to("alice", message(i), {.report = &report})) ==
              is_taken);
        CHECK(report.taken == (is_taken ? 1U : 0U));
        CHECK(report.dropped == (is_taken ? 0U : 1U));
      } else if (i % 3 == 1) {
        CHECK(bench.run(bench.manager.broadcast_text(message(i), {.room = "lobby"})) ==
              (is_taken ? 1U : 0U));
      } else {
        bench.manager.post_text(message(i));
        bench.settle();
      }
    }
    CHECK(bench.manager.stats().dropped == 25);
    // One that must arrive does, up to the maximum.
    CHECK(bench.run(bench.manager.send_to("alice", message(99), {.overflow = Overflow::close})));
    alice->drain_all();
    CHECK(alice->texts == (overflow == Overflow::drop_newest ? messages({0, 1, 2, 3, 4, 99})
                                                             : messages({25, 26, 27, 28, 29, 99})));
  }
}

TEST_CASE("messages that must arrive close a connection that may lose others", "[overflow]") {
  FrameBench bench(options<FrameFake>());
  const auto alice = bench.socket();
  bench.run(
      bench.manager.connect(alice, {.connection_id = "alice", .overflow = Overflow::drop_oldest}));
  alice->stall();
  SendReport report;
  int sent = 0;
  while (sent < 100 && bench.run(bench.manager.broadcast_text(
                           message(sent), {.overflow = Overflow::close, .report = &report})) == 1) {
    ++sent;
    bench.pass(10ms);
  }
  CHECK(sent == 30);
  CHECK(report.overflowed == 1);
  CHECK(bench.manager.stats().ended_by(DisconnectReason::outbox_overflow) == 1);
}

TEST_CASE("control frames and the last flush are none of a policy's business", "[overflow]") {
  FrameBench bench(options<FrameFake>());
  const auto alice = bench.socket();
  bench.run(
      bench.manager.connect(alice, {.connection_id = "alice", .overflow = Overflow::drop_oldest}));
  alice->stall();
  for (int i = 0; i < 9; ++i) bench.run(bench.manager.broadcast_text(message(i)));
  const auto closing = bench.start(bench.manager.disconnect("alice"));
  CHECK(closing->take());
  alice->drain_all();
  CHECK(alice->texts == messages({4, 5, 6, 7, 8}));
}

TEST_CASE("sockets that take no frames follow the same policies", "[overflow]") {
  FakeBench bench(options<FakeWebSocket>());
  const auto alice = bench.connect("alice");
  alice->stall_sends();
  const auto waits = bench.start(bench.manager.send_to("alice", message(0)));
  CHECK_FALSE(waits->is_done());
  SendReport report;
  const auto send = [&](int i, const SendOptions& how) {
    SendOptions send_options = how;
    send_options.report = &report;
    return bench.run(bench.manager.send_to("alice", message(i), send_options));
  };
  for (int i = 1; i < 4; ++i) CHECK(send(i, {.overflow = Overflow::drop_oldest}));
  CHECK(send(4, {.key = "k"}));
  const auto behind = bench.start(bench.manager.send_to("alice", message(50)));
  CHECK_FALSE(behind->is_done());  // parked: 100 bytes are queued
  CHECK(send(5, {.key = "k"}));
  CHECK(report.conflated == 1);
  CHECK_FALSE(send(6, {.overflow = Overflow::drop_newest}));
  CHECK_FALSE(send(7, {.overflow = Overflow::drop_oldest}));
  alice->resume_sends();
  bench.settle();
  CHECK(waits->take());
  CHECK(behind->take());
  CHECK(alice->sent_texts() == messages({0, 1, 2, 3, 5, 50}));

  alice->forget_sent();
  alice->stall_sends();
  for (int i = 0; i < 20; ++i) CHECK(send(i, {.overflow = Overflow::drop_oldest}));
  bench.settle();
  const auto last = bench.start(bench.manager.send_to("alice", message(51)));
  alice->resume_sends();
  bench.settle();
  CHECK(last->take());
  // The first was being sent.
  CHECK(alice->sent_texts() == messages({0, 16, 17, 18, 19, 51}));
  CHECK(alice->most_sends_at_once() == 1);
}

TEST_CASE("options that contradict each other are refused at the call", "[overflow]") {
  FrameBench bench;
  SendReport report;
  const std::string long_key(256, 'k');
  const auto error = [&](const BroadcastOptions& to) {
    return message_of([&] { bench.run(bench.manager.broadcast_text("x", to)); });
  };
  CHECK(contains(error({.key = ""}), "key must have"));
  CHECK(contains(error({.key = long_key}), "key must have"));
  CHECK(contains(error({.overflow = Overflow::close, .key = "k"}), "overflow must not be close"));
  CHECK(contains(message_of([&] { bench.manager.post_text("x", {.report = &report}); }), "report"));
  report.taken = 7;
  CHECK_FALSE(bench.run(bench.manager.send_to("nobody", "x", {.report = &report})));
  CHECK(report.taken == 0);
}

// --- all outboxes together ---

FrameBench::Options small_total() {
  return {.send_timeout = 1h,
          .max_message_bytes = 100'000,
          .outbox_high_water = 300'000,
          .max_outbox_bytes = 450'000,
          .max_total_outbox_bytes = 500'000};
}

TEST_CASE("a message that many slow clients share counts once", "[overflow]") {
  FrameBench bench(small_total());
  std::vector<std::shared_ptr<FrameFake>> slow;
  for (int i = 0; i < 100; ++i) {
    slow.push_back(bench.connect(std::to_string(i)));
    slow.back()->stall();
  }
  for (int i = 0; i < 2; ++i) {
    CHECK(bench.run(bench.manager.broadcast_text(std::string(100'000, 'x'))) == 100);
  }
  CHECK(bench.manager.stats().queued_bytes > 20'000'000);
  CHECK(bench.manager.stats().outbox_memory > 200'000);
  CHECK(bench.manager.stats().outbox_memory < 250'000);
  bench.settle();
  CHECK(bench.manager.total_connections() == 100);
  for (const auto& socket : slow) socket->drain_all();
  CHECK(bench.manager.stats().outbox_memory == 0);
}

TEST_CASE("over the limit on all outboxes the fullest are dropped, and no more", "[overflow]") {
  FrameBench bench(small_total());
  std::vector<std::shared_ptr<FrameFake>> slow;
  for (int i = 0; i < 9; ++i) {
    slow.push_back(bench.connect(std::to_string(i)));
    slow.back()->stall();
  }
  const auto healthy = bench.connect("healthy");
  const auto send = [&](int i, std::size_t bytes) {
    CHECK(bench.run(bench.manager.send_to(std::to_string(i), std::string(bytes, 'x'))));
  };
  for (int i = 0; i < 8; ++i) send(i, 40'000);
  send(3, 60'000);
  send(5, 80'000);
  CHECK(bench.manager.total_connections() == 10);
  send(8, 50'000);  // over it
  bench.settle();
  CHECK(bench.manager.total_connections() == 9);
  CHECK(slow[5]->is_aborted);
  CHECK(bench.manager.stats().ended_by(DisconnectReason::outboxes_full) == 1);
  CHECK(bench.manager.stats().outbox_memory < 437'500);
  CHECK(bench.log.count(Severity::warning, "outboxes_full") == 1);
  CHECK(contains(bench.log.last("outboxes_full"), R"(limit="500000" dropped="1")"));
  CHECK(bench.run(bench.manager.send_to("healthy", "hello")));
  for (const auto& socket : slow) socket->drain_all();
  CHECK(bench.manager.stats().outbox_memory == 0);
}

TEST_CASE("over the limit on all outboxes those that take nothing go before the fullest",
          "[overflow]") {
  FrameBench bench(small_total());
  const auto stuck = bench.connect("stuck");
  const auto reads = bench.connect("reads");
  stuck->stall();
  reads->stall();
  const auto send = [&](const char* id, std::size_t bytes) {
    bench.manager.post_text(std::string(bytes, 'x'), {.exclude = id});
    bench.settle();
  };
  send("reads", 90'000);
  send("stuck", 90'000);
  bench.pass(250ms);
  reads->drain(10'000);
  for (int i = 0; i < 4; ++i) send("stuck", 90'000);
  CHECK(bench.manager.stats().outbox_memory < 500'000);
  CHECK(stuck->is_aborted);
  CHECK(bench.manager.find("reads") != nullptr);
}

TEST_CASE("many small messages count for what they cost", "[overflow]") {
  FrameBench bench(small_total());
  std::vector<std::shared_ptr<FrameFake>> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(bench.connect(std::to_string(i)));
    slow.back()->stall();
  }
  std::size_t most = 0;
  for (int i = 0; i < 2'000; ++i) {
    bench.manager.post_text("x");
    bench.settle();
    most = std::max(most, bench.manager.stats().outbox_memory);
  }
  CHECK(most < 510'000);
  CHECK(bench.manager.stats().ended_by(DisconnectReason::outboxes_full) > 5);
  CHECK(bench.log.count("outboxes_full") == 1);  // time stands still
}

TEST_CASE("without a limit on all outboxes each has only its own", "[overflow]") {
  FrameBench::Options open = small_total();
  open.max_total_outbox_bytes = std::nullopt;
  FrameBench bench(open);
  for (int i = 0; i < 9; ++i) {
    bench.connect(std::to_string(i))->stall();
    CHECK(bench.run(bench.manager.send_to(std::to_string(i), std::string(200'000, 'x'))));
  }
  bench.settle();
  CHECK(bench.manager.total_connections() == 9);
}

}  // namespace
}  // namespace roost
