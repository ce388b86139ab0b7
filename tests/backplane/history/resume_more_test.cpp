// SPDX-License-Identifier: MIT
// Clients that come back: forms of frames, answers that do not come, other managers, drop policies.
#include <roost/backplane/local_backplane.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/frame_fake.hpp"

namespace roost {
namespace {

using namespace test;
using Strings = std::vector<std::string>;

/// Wants its frames in a form of its own, and keeps what was made into one.
struct ShapedFake : FrameFake {
  using FrameFake::FrameFake;
  FrameForm form = 0;
  static inline Strings made;

  FrameForm frame_form() const { return form; }
  static Frame in_form(const Frame& frame, FrameForm form) {
    made.emplace_back(frame.payload_text());
    return Frame::text(std::string(frame.payload_text()) + " in " + std::to_string(form));
  }
};

/// A manager with a history whose backplane has a context of its own, so that answers come when the
/// test says so.
template <class Ws>
struct Apart : Bench<Ws> {
  explicit Apart(typename Bench<Ws>::Options options = {})
      : Bench<Ws>(std::move(options)), hub({.rules = {{.rooms = "*"}}}, this->clock) {
    bind();
  }
  /// Another manager of the same hub.
  explicit Apart(const LocalHub& its_hub) : hub(its_hub) { bind(); }

  void settle_all() {
    for (int i = 0; i < 4; ++i) {
      this->settle();
      run_ready(backplanes);
    }
    this->settle();
  }
  /// @returns the position after it
  std::string say(std::string_view text, BroadcastOptions options = {.room = "r"}) {
    boost::asio::io_context elsewhere;
    const Published published = testing::run(elsewhere, cluster->broadcast_text(text, options));
    settle_all();
    return published.at.value();
  }
  auto begin(const std::shared_ptr<Ws>& ws, std::string_view id, std::string_view resume = "") {
    return this->start(
        this->manager.connect(ws, {.connection_id = id, .rooms = "r", .resume = resume}));
  }
  std::shared_ptr<Ws> come(std::string_view id, std::string_view resume = "") {
    auto ws = this->socket();
    const auto connecting = begin(ws, id, resume);
    settle_all();
    CHECK(connecting->is_done());
    return ws;
  }

  LocalHub hub;
  boost::asio::io_context backplanes;
  LocalBackplane backplane{backplanes.get_executor(), hub};
  std::optional<Cluster> cluster;

 private:
  void bind() {
    boost::asio::io_context elsewhere;
    cluster.emplace(bind_manager(backplane, this->manager));
    testing::run(elsewhere, backplane.start());
    settle_all();
  }
};

std::ptrdiff_t count_of(const Strings& texts, const std::string& text) {
  return std::count(texts.begin(), texts.end(), text);
}

}  // namespace

TEST_CASE("a recorded message is made once in each form, for clients with a line and without") {
  Apart<ShapedFake> bench;
  std::vector<std::shared_ptr<ShapedFake>> sockets;
  for (std::size_t i = 0; i < 16; ++i) {
    auto ws = bench.socket();
    ws->form = static_cast<FrameForm>(i % 2);
    const std::string resume;
    ConnectOptions options{.rooms = "r"};
    if (i % 4 >= 2) options.resume = resume;
    boost::asio::co_spawn(bench.context, bench.manager.connect(ws, options), boost::asio::detached);
    sockets.push_back(std::move(ws));
  }
  bench.settle_all();
  ShapedFake::made.clear();
  const std::string lined = "r:" + bench.say("hello") + "\nhello";
  CHECK(ShapedFake::made.size() == 2);
  CHECK(count_of(ShapedFake::made, "hello") == 1);
  CHECK(count_of(ShapedFake::made, lined) == 1);
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    CHECK(sockets[i]->texts.back() ==
          (i % 4 >= 2 ? lined : "hello") + std::string(i % 2 == 1 ? " in 1" : ""));
    if (i % 4 < 2) CHECK(sockets[i]->texts.size() == 1);
  }
}

TEST_CASE("clients that come back at the same time share each form of an earlier message") {
  Apart<ShapedFake> bench;
  const std::string resume = "r:" + bench.say("first");
  const std::string lined = "r:" + bench.say("hello") + "\nhello";
  ShapedFake::made.clear();
  std::vector<std::shared_ptr<ShapedFake>> sockets;
  for (int i = 0; i < 8; ++i) {
    sockets.push_back(bench.socket());
    sockets.back()->form = 1;
    boost::asio::co_spawn(bench.context,
                          bench.manager.connect(sockets.back(), {.rooms = "r", .resume = resume}),
                          boost::asio::detached);
  }
  bench.settle_all();
  for (const auto& ws : sockets) CHECK(ws->texts.back() == lined + " in 1");
  CHECK(count_of(ShapedFake::made, lined) == 1);
}

TEST_CASE("clients that come back one after another share each form of an earlier message") {
  Apart<ShapedFake> bench;
  const std::string resume = "r:" + bench.say("first");
  const std::string lined = "r:" + bench.say("hello") + "\nhello";
  ShapedFake::made.clear();
  int clients = 0;
  const auto come_back = [&] {
    auto ws = bench.socket();
    ws->form = 1;
    const auto connecting = bench.begin(ws, "client " + std::to_string(++clients), resume);
    bench.settle_all();
    CHECK(connecting->is_done());
    return ws;
  };
  for (int i = 0; i < 8; ++i) CHECK(come_back()->texts.back() == lined + " in 1");
  CHECK(count_of(ShapedFake::made, lined) == 1);
  // The log moves on: only what is new has to be made.
  const std::string second = "r:" + bench.say("second") + "\nsecond";
  ShapedFake::made.clear();
  for (int i = 0; i < 8; ++i) {
    const Strings texts = come_back()->texts;
    REQUIRE(texts.size() == 3);
    CHECK(texts[1] == lined + " in 1");
    CHECK(texts[2] == second + " in 1");
  }
  CHECK(count_of(ShapedFake::made, lined) == 0);
  CHECK(count_of(ShapedFake::made, second) == 1);
}

TEST_CASE("earlier messages that are kept for others go before a connection does") {
  Apart<FrameFake> bench({.max_message_bytes = 100,
                          .outbox_high_water = 200,
                          .max_outbox_bytes = 80'000,
                          .max_total_outbox_bytes = 80'000});
  const std::string first = bench.say("first");
  bench.say(std::string(4'000, 'x'));
  CHECK(bench.come("alice", "r:" + first)->texts.size() == 2);
  const std::size_t kept = bench.manager.stats().outbox_memory;
  CHECK(kept > 8'000);
  CHECK(kept < 10'000);

  const auto slow = bench.connect("slow", {"s"});
  slow->stall();
  bench.manager.post_text(std::string(75'000, 'y'), {.room = "s", .record = false});
  bench.settle_all();
  CHECK(bench.manager.find("slow"));
  const std::size_t after = bench.manager.stats().outbox_memory;
  CHECK(after > 75'000);
  CHECK(after < 76'000);
}

TEST_CASE("earlier messages are kept for a minute after their last use, or until nobody is left") {
  Apart<FrameFake> bench;
  const std::string first = bench.say("first");
  bench.say(std::string(4'000, 'x'));
  const auto kept = [&bench] { return bench.manager.stats().outbox_memory; };
  const auto one_goes = [&bench](const char* id) {
    bench.run(bench.manager.disconnect(id));
    bench.settle_all();
  };
  for (const char* id : {"alice", "bob", "carol"}) {
    CHECK(bench.come(id, "r:" + first)->texts.size() == 2);
  }
  one_goes("alice");
  CHECK(kept() > 4'000);
  bench.clock.advance(61s);
  one_goes("bob");
  CHECK(kept() == 0);
  CHECK(bench.come("dave", "r:" + first)->texts.size() == 2);
  CHECK(kept() > 4'000);
  one_goes("carol");
  CHECK(kept() > 4'000);
  one_goes("dave");
  CHECK(kept() == 0);
}

TEST_CASE("a manager that is not bound to a history any more keeps nothing of it") {
  const bool is_rebound = GENERATE(false, true);
  CAPTURE(is_rebound);
  Apart<FrameFake> other;
  Bench<FrameFake> bench;
  auto hub = std::make_unique<LocalHub>(HistoryOptions{.rules = {{.rooms = "*"}}}, bench.clock);
  const std::weak_ptr<detail::LocalHubState> histories = hub->state();
  auto backplane = std::make_unique<LocalBackplane>(bench.context.get_executor(), *hub);
  auto cluster = std::make_unique<Cluster>(bind_manager(*backplane, bench.manager));
  bench.run(backplane->start());
  const std::string first =
      "r:" + bench.run(cluster->broadcast_text("first", {.room = "r"})).at.value();
  bench.run(cluster->broadcast_text("missed", {.room = "r"}));
  const auto ws = bench.socket();
  bench.run(bench.manager.connect(ws, {.rooms = "r", .resume = first}));
  bench.settle();
  CHECK(ws->texts.size() == 2);
  CHECK(bench.manager.stats().outbox_memory > 0);

  Cluster next;
  if (is_rebound) next = bind_manager(other.backplane, bench.manager);
  cluster.reset();
  bench.settle();
  CHECK(bench.manager.stats().outbox_memory == 0);
  backplane.reset();
  hub.reset();
  CHECK(histories.expired());
  bench.manager.post_text("unrecorded", {.room = "r", .record = false});
  bench.settle();
  CHECK(ws->texts.back() == "r\nunrecorded");
}

TEST_CASE("a connect whose answer does not come in hook_timeout goes on without a history") {
  Apart<FrameFake> bench({.hook_timeout = 2s});
  const std::string first = bench.say("first");
  bench.say("missed");
  const auto ws = bench.socket();
  const auto connecting = bench.begin(ws, "alice", "r:" + first);
  bench.pass(1999ms);
  CHECK_FALSE(connecting->is_done());
  CHECK(ws->texts.empty());
  bench.pass(1ms);
  CHECK(connecting->is_done());
  CHECK(ws->texts == Strings{"r joined lost=unavailable"});
  CHECK(bench.manager.find("alice")->recovery("r")->why == LossReason::unavailable);
  CHECK(bench.manager.stats().not_recovered == 1);
  // An answer that comes later is not for it.
  bench.settle_all();
  CHECK(ws->texts.size() == 1);
  const std::string next = bench.say("next");
  CHECK(ws->texts.back() == "r:" + next + "\nnext");
  CHECK(ws->texts.size() == 2);
}

TEST_CASE("a connect that is cancelled while its answer is awaited leaves nothing behind") {
  Apart<FrameFake> bench;
  const std::string first = bench.say("first");
  const auto ws = bench.socket();
  const auto connecting = bench.begin(ws, "alice", "r:" + first);
  REQUIRE(bench.manager.find("alice"));
  REQUIRE_FALSE(connecting->is_done());
  connecting->cancel();
  bench.settle();
  REQUIRE(connecting->is_done());
  CHECK_THROWS(connecting->take());
  CHECK_FALSE(bench.manager.find("alice"));
  bench.settle_all();
  CHECK(ws->texts.empty());
  CHECK(bench.manager.stats().recovered == 0);
}

TEST_CASE("a join that is cancelled while its answer is awaited is undone") {
  Apart<FrameFake> bench;
  const std::string first = bench.say("first");
  const auto ws = bench.connect("alice", {"other"});
  const auto joining = bench.start(bench.manager.join("alice", "r", {.last = 1}));
  CHECK(bench.manager.find("alice")->is_in("r"));
  REQUIRE_FALSE(joining->is_done());
  joining->cancel();
  bench.settle();
  REQUIRE(joining->is_done());
  CHECK_THROWS(joining->take());
  CHECK_FALSE(bench.manager.find("alice")->is_in("r"));
  bench.settle_all();
  CHECK(ws->texts.empty());
}

TEST_CASE("a client of a manager that drains gets the rest from another") {
  Apart<FrameFake> one;
  Apart<FrameFake> two(one.hub);
  const auto alice = one.come("alice");
  const std::string position = two.say("before");
  one.settle_all();
  CHECK(alice->texts.back() == "r:" + position + "\nbefore");
  const auto drain = one.start(one.manager.drain({.spread = 0s}));
  CHECK(drain->is_done());
  CHECK(alice->close_code.has_value());
  const std::string during = two.say("during");
  one.settle_all();
  const auto again = two.come("alice", "r:" + position);
  const std::string after = two.say("after");
  CHECK(alice->texts.size() == 2);
  CHECK(again->texts == Strings{"r:" + position + " joined recovered", "r:" + during + "\nduring",
                                "r:" + after + "\nafter"});
}

TEST_CASE("text and bytes come back in their order, as text and as bytes") {
  Apart<FakeWebSocket> bench;
  const std::string first = bench.say("first");
  const std::string bytes("\x00\n\xff", 3);
  bench.say("one");
  boost::asio::io_context elsewhere;
  testing::run(elsewhere,
               bench.cluster->broadcast_bytes(std::as_bytes(std::span(bytes)), {.room = "r"}));
  bench.say("three");
  const auto ws = bench.come("alice", "r:" + first);
  const std::vector<Message> sent = ws->sent();
  REQUIRE(sent.size() == 4);
  CHECK(sent[1].is_text);
  CHECK(sent[1].payload.ends_with("\none"));
  CHECK_FALSE(sent[2].is_text);
  CHECK(sent[2].payload.ends_with("\n" + bytes));
  CHECK(sent[3].is_text);
  CHECK(sent[3].payload.ends_with("\nthree"));
}

TEST_CASE("a client that a message excludes twice learns its position once") {
  Apart<FrameFake> bench;
  const auto alice = bench.come("alice");
  const std::string at = bench.say("from alice", {.room = "r", .exclude = {"alice", "alice"}});
  CHECK(count_of(alice->texts, "r:" + at) == 1);
  CHECK(alice->texts.size() == 2);
}

TEST_CASE("lines about rooms are not dropped with the messages of a client") {
  const Overflow overflow = GENERATE(Overflow::drop_newest, Overflow::drop_oldest);
  CAPTURE(to_string(overflow));
  Apart<FrameFake> bench({.max_message_bytes = 100, .outbox_high_water = 200});
  const std::string first = bench.say("first");
  const auto ws = bench.socket();
  const auto connecting = bench.start(bench.manager.connect(
      ws, {.connection_id = "alice", .rooms = {"s", "t"}, .overflow = overflow, .resume = ""}));
  bench.settle_all();
  REQUIRE(connecting->is_done());
  ws->stall();
  const auto congest = [&] {
    for (int i = 0; i < 30; ++i) bench.run(bench.manager.send_to("alice", message(i)));
  };
  congest();
  const auto joining = bench.start(bench.manager.join("alice", "r", {.since = first}));
  bench.settle_all();
  CHECK(joining->is_done());
  boost::asio::io_context elsewhere;
  testing::run(elsewhere, bench.cluster->forget("s"));
  bench.settle_all();
  bench.run(bench.manager.leave("alice", "t"));
  congest();
  REQUIRE(bench.manager.find("alice"));
  ws->drain_all();
  bench.settle_all();
  CHECK(ws->texts.size() < 40);
  CHECK(count_of(ws->texts, "r:" + first + " joined recovered") == 1);
  CHECK(count_of(ws->texts, "t left") == 1);
  CHECK(std::any_of(ws->texts.begin(), ws->texts.end(),
                    [](const std::string& text) { return text.ends_with(" lost=epoch"); }));
}

TEST_CASE("10,000 clients come back to a room each") {
  Apart<FrameFake> bench;
  const int rooms = 10'000;
  Strings resumes;
  boost::asio::io_context elsewhere;
  for (int i = 0; i < rooms; ++i) {
    const std::string room = "r" + std::to_string(i);
    const BroadcastOptions options{.room = room};
    resumes.push_back(
        room + ":" +
        testing::run(elsewhere, bench.cluster->broadcast_text("first", options)).at.value());
    testing::run(elsewhere, bench.cluster->broadcast_text(room, options));
  }
  bench.settle_all();
  std::vector<std::shared_ptr<FrameFake>> sockets;
  for (int i = 0; i < rooms; ++i) {
    const std::string room = "r" + std::to_string(i);
    sockets.push_back(bench.socket());
    boost::asio::co_spawn(
        bench.context,
        bench.manager.connect(sockets.back(),
                              {.rooms = room, .resume = resumes[static_cast<std::size_t>(i)]}),
        boost::asio::detached);
  }
  bench.settle_all();
  CHECK(bench.manager.stats().recovered == 10'000);
  CHECK(bench.manager.stats().replayed == 10'000);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    const Strings& texts = sockets[i]->texts;
    const bool is_right = texts.size() == 2 && texts[0] == resumes[i] + " joined recovered" &&
                          texts[1].ends_with("\nr" + std::to_string(i));
    wrong += is_right ? 0 : 1;
  }
  CHECK(wrong == 0);
}

}  // namespace roost
