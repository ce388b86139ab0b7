// SPDX-License-Identifier: MIT
// What goes wrong while a connection waits for its history, or gets it.
#include <roost/backplane/local_backplane.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/frame_fake.hpp"
#include "support/ledger.hpp"

namespace roost {
namespace {

using namespace test;
using Strings = std::vector<std::string>;
using Frames = Bench<FrameFake>;

/// A replica whose store keeps much.
struct Asked : Frames {
  explicit Asked(Options options = {}) : Frames(std::move(options)) {
    testing::run(context, backplane.start());
  }
  LocalHub hub{
      HistoryOptions{.rules = {{.rooms = "*", .max_messages = 10'000, .max_bytes = 8'388'608}}},
      clock};
  LocalBackplane backplane{context.get_executor(), hub};
  Cluster cluster = bind_manager(backplane, manager, {.allow_global = true});

  std::string say(const std::string& text, const std::string& room = "r") {
    const Published published = run(cluster.broadcast_text(text, {.room = room}));
    settle();
    return published.at.value();
  }
  std::shared_ptr<FrameFake> come(std::string_view id, Names rooms,
                                  std::optional<std::string_view> resume = "") {
    auto ws = socket();
    run(manager.connect(ws, {.connection_id = id, .rooms = rooms, .resume = resume}));
    settle();
    return ws;
  }
};

}  // namespace

TEST_CASE("a broadcast that waits for a connection goes on when that begins to get its history") {
  Asked bench({.backpressure_wait = 1h, .max_message_bytes = 100, .outbox_high_water = 200});
  const std::string first = bench.say("first");
  for (int i = 0; i < 100; ++i) bench.say(message(i));
  const auto slow = bench.come("slow", {"other"});
  slow->stall();
  for (int i = 0; i < 12; ++i) bench.manager.post_text(message(i), {});
  bench.settle();
  const auto waits = bench.start(bench.manager.broadcast_text("now"));
  CHECK_FALSE(waits->is_done());
  bench.run(bench.manager.join("slow", "r", {.since = first}));
  bench.settle();
  CHECK(waits->is_done());
  slow->drain_all();
  bench.settle();
  Ledger ledger;
  for (const std::string& text : slow->texts) ledger.feed(text);
  CHECK(ledger.room("r").payloads.size() == 100);
}

TEST_CASE("10,000 clients that come back to one room at the same time are one question") {
  Asked bench;
  const std::string first = bench.say("first");
  for (int i = 0; i < 50; ++i) bench.say(message(i));
  const std::size_t before = bench.backplane.stats().received;
  std::vector<std::shared_ptr<FrameFake>> sockets;
  const std::string token = "r:" + first;
  for (int i = 0; i < 10'000; ++i) {
    sockets.push_back(bench.socket());
    boost::asio::co_spawn(bench.context,
                          bench.manager.connect(sockets.back(), {.rooms = "r", .resume = token}),
                          [](std::exception_ptr error, auto) { CHECK_FALSE(error); });
  }
  bench.settle();
  CHECK(bench.backplane.stats().received == before);
  CHECK(bench.manager.stats().recovered == 10'000);
  CHECK(bench.manager.stats().replayed == 500'000);
  std::size_t wrong = 0;
  for (const auto& ws : sockets) wrong += ws->texts.size() == 51 ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("replays that their clients do not read count in max_total_outbox_bytes") {
  Asked bench({.max_message_bytes = 2'000,
               .outbox_high_water = 2'000,
               .max_outbox_bytes = 100'000,
               .max_total_outbox_bytes = 1'000'000});
  std::vector<std::string> firsts;
  const int rooms = 200;
  for (int room = 0; room < rooms; ++room) {
    const std::string name = "r" + std::to_string(room);
    firsts.push_back(bench.say("first", name));
    for (int i = 0; i < 20; ++i) bench.say(std::string(1'500, 'x'), name);
  }
  std::vector<std::shared_ptr<FrameFake>> sockets;
  for (int room = 0; room < rooms; ++room) {
    const std::string name = "r" + std::to_string(room);
    sockets.push_back(bench.socket());
    sockets.back()->stall();
    const std::string token = name + ":" + firsts[static_cast<std::size_t>(room)];
    bench.run(bench.manager.connect(sockets.back(), {.rooms = name, .resume = token}));
    bench.settle();
    CHECK(bench.manager.stats().outbox_memory <= 1'100'000);
  }
  CHECK(bench.manager.stats().ended_by(DisconnectReason::outboxes_full) > 0);
  CHECK(bench.manager.total_connections() > 10);
}

TEST_CASE("a client that reads slowly gets all of its replay, and what comes meanwhile") {
  Asked bench({.send_timeout = 5s, .max_message_bytes = 100, .outbox_high_water = 200});
  const std::string first = bench.say("first");
  for (int i = 0; i < 500; ++i) bench.say(message(i));
  const auto slow = bench.socket();
  slow->stall();
  bench.run(
      bench.manager.connect(slow, {.connection_id = "slow", .rooms = "r", .resume = "r:" + first}));
  Ledger ledger;
  for (int seconds = 0; seconds < 60; ++seconds) {
    for (int i = 0; i < 20; ++i) bench.say(message(500 + 20 * seconds + i));
    slow->drain(1'000);
    bench.pass(1s);
  }
  REQUIRE(bench.manager.find("slow"));
  slow->drain_all();
  bench.settle();
  ledger.token();
  ledger.feed(slow->texts.front());
  for (std::size_t i = 1; i < slow->texts.size(); ++i) ledger.feed(slow->texts[i]);
  Strings problems = ledger.problems();
  std::erase_if(problems, [](const std::string& problem) {
    return contains(problem, "recovered at a position");  // which this ledger did not send
  });
  CHECK(problems == Strings());
  CHECK(ledger.room("r").payloads.size() == 500 + 60 * 20);
}

TEST_CASE("a connection that replaces its own comes back to its place") {
  Asked bench;
  const std::string first = bench.say("first");
  bench.say("second");
  const auto old = bench.come("alice", {"r"});
  const auto ws = bench.socket();
  bench.run(bench.manager.connect(ws, {.connection_id = "alice",
                                       .rooms = "r",
                                       .on_duplicate = OnDuplicate::replace,
                                       .resume = "r:" + first}));
  bench.settle();
  bench.say("third");
  REQUIRE(ws->texts.size() == 3);
  CHECK(ws->texts[2].ends_with("\nthird"));
  CHECK(old->texts.size() == 1);
}

TEST_CASE("on_lost is called for the rooms of a backplane that was away") {
  Asked bench;
  bench.come("alice", {"r", "s"});
  Strings lost;
  bench.cluster.on_lost([&](std::string_view room) { lost.emplace_back(room); });
  bench.run(bench.backplane.stop());
  bench.run(bench.backplane.start());
  bench.settle();
  std::sort(lost.begin(), lost.end());
  CHECK(lost == Strings{"r", "s"});
}

TEST_CASE("all may go in any order while questions are under way and replays run") {
  for (std::size_t order = 0; order < 24; ++order) {
    for (std::size_t steps = 0; steps < 12; ++steps) {
      CAPTURE(order, steps);
      ManualClock clock;
      auto context = std::make_unique<boost::asio::io_context>();
      auto hub = std::make_unique<LocalHub>(HistoryOptions{.rules = {{.rooms = "*"}}}, clock);
      auto backplane = std::make_unique<LocalBackplane>(context->get_executor(), *hub);
      auto manager = std::make_unique<ConnectionManager<FrameFake>>(
          context->get_executor(),
          ManagerOptions<FrameFake>{
              .max_message_bytes = 100, .outbox_high_water = 200, .clock = &clock});
      auto cluster = std::make_unique<Cluster>(bind_manager(*backplane, *manager));
      testing::run(*context, backplane->start());
      const std::string first =
          testing::run(*context, cluster->broadcast_text("first", {.room = "r"})).at.value();
      for (int i = 0; i < 50; ++i) {
        testing::run(*context, cluster->broadcast_text(message(i), {.room = "r"}));
      }
      const auto ws = std::make_shared<FrameFake>(clock);
      ws->stall();
      const std::string token = "r:" + first;
      boost::asio::co_spawn(*context, manager->connect(ws, {.rooms = "r", .resume = token}),
                            [](std::exception_ptr, auto) {});
      context->restart();
      for (std::size_t i = 0; i < steps; ++i) context->poll_one();
      // All orders of four things.
      std::vector<int> things{0, 1, 2, 3};
      std::size_t rest = order;
      while (!things.empty()) {
        const std::size_t next = rest % things.size();
        rest /= things.size();
        switch (things[next]) {
          case 0: cluster.reset(); break;
          case 1: backplane.reset(); break;
          case 2: manager.reset(); break;
          default: hub.reset();
        }
        things.erase(things.begin() + static_cast<std::ptrdiff_t>(next));
        if (order % 2 == 0 && steps % 2 == 0) context->poll_one();
      }
      context.reset();
    }
  }
}

TEST_CASE("the context may go first while questions are under way and replays run") {
  for (std::size_t steps = 0; steps < 12; ++steps) {
    ManualClock clock;
    auto context = std::make_unique<boost::asio::io_context>();
    const LocalHub hub(HistoryOptions{.rules = {{.rooms = "*"}}}, clock);
    LocalBackplane backplane(context->get_executor(), hub);
    ConnectionManager<FrameFake> manager(context->get_executor(), {.clock = &clock});
    const Cluster cluster = bind_manager(backplane, manager);
    testing::run(*context, cluster.broadcast_text("first", {.room = "r"}));
    const auto ws = std::make_shared<FrameFake>(clock);
    boost::asio::co_spawn(*context, manager.connect(ws, {.rooms = "r", .resume = "", .last = 1}),
                          [](std::exception_ptr, auto) {});
    context->restart();
    for (std::size_t i = 0; i < steps; ++i) context->poll_one();
    context.reset();
  }
}

}  // namespace roost
