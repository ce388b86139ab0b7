// SPDX-License-Identifier: MIT
// Clients that come back to rooms with a history, over a hub in this process.
#include <roost/backplane/local_backplane.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
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

HistoryOptions all_rooms(HistoryRule rule = {.rooms = "chat/*"}) { return {.rules = {rule}}; }

/// What `line` says of a message: its first line, and the rest of it.
struct Lined {
  std::string line;
  std::optional<std::string> payload;
};
Lined split(const std::string& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string::npos) return {text, std::nullopt};
  return {text.substr(0, end), text.substr(end + 1)};
}
/// Lines and payloads without positions: `chat/a: hello`, `chat/a joined recovered`.
Strings shown(const Strings& texts) {
  Strings shown;
  for (const std::string& text : texts) {
    auto [line, payload] = split(text);
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos) line.erase(colon, line.find(' ', colon) - colon);
    shown.push_back(payload ? line + ": " + *payload : line);
  }
  return shown;
}
/// The position that the last line with one names.
std::string last_position(const Strings& texts) {
  for (auto text = texts.rbegin(); text != texts.rend(); ++text) {
    const std::string line = split(*text).line;
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos) {
      return line.substr(colon + 1, line.find(' ', colon) - colon - 1);
    }
  }
  return {};
}
const Strings& texts_of(const FrameFake& ws) { return ws.texts; }
Strings texts_of(const FakeWebSocket& ws) { return ws.sent_texts(); }

/// A manager that shares the histories of a hub.
template <class Ws>
struct Replica : Bench<Ws> {
  using Options = typename Bench<Ws>::Options;

  explicit Replica(HistoryOptions history = all_rooms(), Options options = {},
                   LocalBackplaneOptions backplane_options = {})
      : Bench<Ws>(std::move(options)),
        hub(std::move(history), this->clock),
        backplane(this->context.get_executor(), hub, std::move(backplane_options)),
        cluster(bind_manager(backplane, this->manager, {.allow_global = true})) {
    this->run(backplane.start());
  }

  std::shared_ptr<Ws> come(std::string_view id, std::string_view room,
                           std::optional<std::string> resume = "", std::size_t last = 0) {
    auto ws = this->socket();
    ConnectOptions options{.connection_id = id, .rooms = room, .last = last};
    if (resume) options.resume = *resume;
    this->run(this->manager.connect(ws, options));
    this->settle();
    return ws;
  }
  /// A client that has seen `texts`, and comes back.
  std::shared_ptr<Ws> come_back(std::string_view id, std::string_view room,
                                const std::string& position) {
    return come(id, room, detail::encode_room(room) + ":" + position);
  }
  /// A client `slow` that comes back, and reads nothing.
  std::shared_ptr<Ws> come_back_stalled(std::string_view room, const std::string& position) {
    const auto slow = this->socket();
    slow->stall();
    const std::string token = detail::encode_room(room) + ":" + position;
    this->run(
        this->manager.connect(slow, {.connection_id = "slow", .rooms = room, .resume = token}));
    this->settle();
    return slow;
  }
  Published say(std::string_view text, std::string_view room, BroadcastOptions options = {}) {
    options.room = room;
    Published published = this->run(cluster.broadcast_text(text, options));
    this->settle();
    return published;
  }
  Strings shown(const std::shared_ptr<Ws>& ws) const { return roost::shown(texts_of(*ws)); }
  Recovery recovery(std::string_view id, std::string_view room) const {
    return this->manager.find(id)->recovery(room).value();
  }

  LocalHub hub;
  LocalBackplane backplane;
  Cluster cluster;
};

}  // namespace

TEMPLATE_TEST_CASE("a client that comes back gets what it missed, then what comes", "",
                   FakeWebSocket, FrameFake) {
  Replica<TestType> replica;
  const auto alice = replica.come("alice", "chat/a");
  replica.say("one", "chat/a");
  const std::string position = last_position(texts_of(*alice));
  replica.run(replica.manager.disconnect("alice"));
  replica.say("two", "chat/a");
  const Published three = replica.say("three", "chat/a");
  REQUIRE(three.at.has_value());

  const auto again = replica.come_back("alice", "chat/a", position);
  replica.say("four", "chat/a");
  CHECK(replica.shown(alice) == Strings{"chat/a joined", "chat/a: one"});
  CHECK(replica.shown(again) ==
        Strings{"chat/a joined recovered", "chat/a: two", "chat/a: three", "chat/a: four"});
  CHECK(texts_of(*again)[0] == "chat/a:" + position + " joined recovered");
  CHECK(texts_of(*again)[2] == "chat/a:" + *three.at + "\nthree");
  const Recovery recovery = replica.recovery("alice", "chat/a");
  CHECK(recovery.is_recovered);
  CHECK(recovery.replayed == 2);
  CHECK_FALSE(recovery.why.has_value());
  CHECK(replica.manager.stats().recovered == 1);
  CHECK(replica.manager.stats().replayed == 2);
}

TEST_CASE("only clients that ask for positions get lines; the bytes of others stay as they are") {
  Replica<FrameFake> replica;
  const auto plain = replica.come("plain", "chat/a", std::nullopt);
  const auto lined = replica.come("lined", "chat/a");
  replica.say("recorded", "chat/a");
  replica.say("not recorded", "chat/a", {.record = false});
  replica.run(replica.manager.broadcast_text("everyone"));
  replica.run(replica.manager.send_to("plain", "alone"));
  replica.run(replica.manager.send_to("lined", "alone"));
  replica.run(replica.manager.find("lined")->send_text("you"));
  CHECK(plain->texts == Strings{"recorded", "not recorded", "everyone", "alone"});
  CHECK(replica.shown(lined) == Strings{"chat/a joined", "chat/a: recorded", "chat/a: not recorded",
                                        ": everyone", ": alone", ": you"});
  CHECK(lined->texts[2] == "chat/a\nnot recorded");
  CHECK_FALSE(replica.manager.find("plain")->recovery("chat/a").has_value());
}

TEST_CASE("a client that a message excludes learns its position all the same") {
  Replica<FrameFake> replica;
  const auto alice = replica.come("alice", "chat/a");
  const auto bob = replica.come("bob", "chat/a");
  const Published published = replica.say("from alice", "chat/a", {.exclude = {"alice", "nobody"}});
  CHECK(alice->texts.back() == "chat/a:" + published.at.value());
  CHECK(replica.shown(bob).back() == "chat/a: from alice");

  // Also where it comes back: it is not told what it said itself.
  replica.run(replica.manager.disconnect("alice"));
  replica.say("more from alice", "chat/a", {.exclude = "alice"});
  const auto again = replica.come_back("alice", "chat/a", *published.at);
  CHECK(replica.shown(again) == Strings{"chat/a joined recovered", "chat/a"});
}

TEST_CASE("a client whose messages are not kept any more is told where it has everything again") {
  Replica<FrameFake> replica(all_rooms({.rooms = "*", .max_messages = 2}));
  const std::string first = replica.say("one", "chat/a").at.value();
  for (const char* text : {"two", "three", "four"}) replica.say(text, "chat/a");
  const auto alice = replica.come_back("alice", "chat/a", first);
  CHECK(replica.shown(alice) == Strings{"chat/a joined lost=gone"});
  CHECK(replica.recovery("alice", "chat/a").why == LossReason::gone);
  CHECK(replica.manager.stats().not_recovered == 1);
  // From there on it has everything.
  const std::string position = last_position(alice->texts);
  replica.say("five", "chat/a");
  const auto bob = replica.come_back("bob", "chat/a", position);
  CHECK(replica.shown(bob) == Strings{"chat/a joined recovered", "chat/a: five"});
}

TEST_CASE("a malformed or foreign position is not recovered, and the answer says why") {
  Replica<FrameFake> replica;
  replica.say("one", "chat/a");
  const std::string two = replica.say("two", "chat/a").at.value();
  const std::string tail = two.substr(8);
  std::string other_mark = two;
  other_mark.back() = other_mark.back() == 'x' ? 'y' : 'x';
  const auto answer = [&](const std::string& position) {
    const auto ws = replica.come_back("x", "chat/a", position);
    const Strings shown = replica.shown(ws);
    replica.run(replica.manager.disconnect("x"));
    return shown;
  };
  CHECK(answer("malformed") == Strings{"chat/a joined lost=malformed"});
  CHECK(answer("") == Strings{"chat/a joined lost=malformed"});
  CHECK(answer("AAAAAAAA" + tail) == Strings{"chat/a joined lost=epoch"});
  CHECK(answer(two.substr(0, 9) + "9" + two.substr(10)) == Strings{"chat/a joined lost=epoch"});
  CHECK(answer(other_mark) == Strings{"chat/a joined lost=epoch"});
  CHECK(answer(two) == Strings{"chat/a joined recovered"});
}

TEST_CASE("a room without a rule has no positions") {
  Replica<FrameFake> replica;
  const auto alice = replica.come("alice", "plain");
  const auto bob = replica.come_back("bob", "plain", "AAAAAAAA.1.AAAAAA");
  CHECK(replica.say("hello", "plain").at == std::nullopt);
  CHECK(alice->texts == Strings{"plain joined", "plain\nhello"});
  CHECK(bob->texts == Strings{"plain joined lost=unavailable", "plain\nhello"});
}

TEST_CASE("a new client may have the last messages, with lines or without") {
  Replica<FrameFake> replica;
  const std::string one = replica.say("one", "chat/a").at.value();
  for (const char* text : {"two", "three"}) replica.say(text, "chat/a");
  const auto plain = replica.come("plain", "chat/a", std::nullopt, 2);
  const auto lined = replica.come("lined", "chat/a", "", 2);
  const auto all = replica.come("all", "chat/a", "", 9);
  replica.say("four", "chat/a");
  CHECK(plain->texts == Strings{"two", "three", "four"});
  CHECK(replica.shown(lined) ==
        Strings{"chat/a joined", "chat/a: two", "chat/a: three", "chat/a: four"});
  CHECK(lined->texts[0] == "chat/a:" + one + " joined");
  CHECK(replica.shown(all).size() == 5);
  CHECK(replica.recovery("plain", "chat/a").replayed == 2);
  CHECK_FALSE(replica.recovery("plain", "chat/a").is_recovered);
}

TEST_CASE("joining later takes a position too, and leaving is told") {
  Replica<FrameFake> replica;
  const std::string one = replica.say("one", "chat/a").at.value();
  replica.say("two", "chat/a");
  const auto alice = replica.come("alice", "chat/other");
  CHECK(replica.run(replica.manager.join("alice", "chat/a", {.since = one})));
  replica.run(replica.manager.leave("alice", "chat/a"));
  CHECK(replica.run(replica.manager.join(*replica.manager.find("alice"), "chat/a", {.last = 1})));
  CHECK(replica.shown(alice) == Strings{"chat/other joined", "chat/a joined recovered",
                                        "chat/a: two", "chat/a left", "chat/a joined",
                                        "chat/a: two"});
}

TEST_CASE("a manager refuses what would not be recorded, and a cluster what cannot be") {
  Replica<FrameFake> replica;
  auto& manager = replica.manager;
  auto& cluster = replica.cluster;
  const auto send = [&](BroadcastOptions options) {
    return error_of([&] { (void)manager.broadcast_text("x", options); });
  };
  CHECK(send({.room = "chat/a"}) == errc::recorded_room);
  CHECK(send({.rooms = {"plain", "chat/a"}}) == errc::recorded_room);
  CHECK(send({.room = "plain", .record = true}) == errc::invalid_option);
  CHECK(error_of([&] { manager.post_text("x", {.room = "chat/a"}); }) == errc::recorded_room);
  CHECK(contains(message_of([&] { manager.post_text("x", {.room = "chat/a"}); }), "chat/a"));
  manager.post_text("x", {.room = "chat/a", .record = false});

  const auto publish = [&](BroadcastOptions options) {
    return error_of([&] { (void)cluster.broadcast_text("x", options); });
  };
  CHECK(publish({.rooms = {"plain", "chat/a"}}) == errc::one_room_only);
  CHECK(publish({.room = "plain", .record = true}) == errc::invalid_option);
  CHECK(publish({.room = "chat/a", .key = "k", .record = true}) == errc::invalid_option);
  CHECK(replica.run(cluster.broadcast_text("x", {.room = "chat/a", .key = "k"})).at ==
        std::nullopt);
  CHECK(replica.run(cluster.broadcast_text("x", {.rooms = {"plain", "chat/a"}, .record = false}))
            .at == std::nullopt);
  CHECK(replica.run(cluster.broadcast_text("x", {.rooms = "chat/a", .record = true})).at);
}

TEST_CASE("a message that its rule does not hold is refused at the call") {
  Replica<FrameFake> replica(all_rooms({.rooms = "*", .max_bytes = 4096}));
  const std::string text(4096, 'x');
  CHECK(error_of([&] { (void)replica.cluster.broadcast_text(text, {.room = "r"}); }) ==
        errc::message_too_big);
  CHECK(contains(message_of([&] { (void)replica.cluster.broadcast_text(text, {.room = "r"}); }),
                 "max_bytes of the room's HistoryRule is 4096"));
}

TEST_CASE("forgetting a room tells its members and those that come back") {
  Replica<FrameFake> replica;
  const auto alice = replica.come("alice", "chat/a");
  const std::string before = replica.say("secret", "chat/a").at.value();
  std::vector<std::string> lost;
  replica.cluster.on_lost([&](std::string_view room) { lost.emplace_back(room); });
  replica.run(replica.cluster.forget("chat/a"));
  replica.settle();
  CHECK(replica.shown(alice).back() == "chat/a lost=epoch");
  CHECK(lost == Strings{"chat/a"});
  const auto bob = replica.come_back("bob", "chat/a", before);
  CHECK(replica.shown(bob) == Strings{"chat/a joined lost=epoch"});
  const std::string position = last_position(alice->texts);
  replica.say("new", "chat/a");
  const auto carol = replica.come_back("carol", "chat/a", position);
  CHECK(replica.shown(carol) == Strings{"chat/a joined recovered", "chat/a: new"});

  CHECK(error_of([&] { (void)replica.cluster.forget("plain"); }) == errc::invalid_option);
  CHECK(error_of([&] { (void)replica.cluster.forget(""); }) == errc::invalid_room_name);
  CHECK(error_of([&] { replica.cluster.on_lost({}); }) == errc::invalid_option);
}

TEST_CASE("a replay goes as fast as its client takes it, and nobody waits for it") {
  Replica<FrameFake> replica(all_rooms({.rooms = "*", .max_messages = 1000}),
                             {.max_message_bytes = 100, .outbox_high_water = 200});
  const std::string first = replica.say("first", "r").at.value();
  for (int i = 0; i < 100; ++i) replica.say(message(i), "r");

  const auto slow = replica.come_back_stalled("r", first);
  CHECK(slow->queued_bytes() >= 200);
  CHECK(slow->queued_bytes() < 400);  // the rest waits elsewhere
  // Live messages stand behind the replay; those that are not recorded pass it.
  replica.say("live", "r");
  const auto broadcast = replica.start(replica.manager.broadcast_text("now"));
  CHECK(broadcast->is_done());  // it does not wait for the slow one
  while (slow->queued_bytes() > 0) {
    slow->drain(100);
    replica.settle();
  }
  Strings payloads;
  for (const std::string& text : slow->texts) {
    if (const auto payload = split(text).payload) payloads.push_back(*payload);
  }
  REQUIRE(payloads.size() == 102);
  std::erase(payloads, "now");
  for (int i = 0; i < 100; ++i) CHECK(payloads[static_cast<std::size_t>(i)] == message(i));
  CHECK(payloads.back() == "live");
  // Then it gets live messages like any other.
  replica.say("later", "r");
  slow->drain_all();
  CHECK(replica.shown(slow).back() == "r: later");
}

TEST_CASE("a client that stops reading in a replay is dropped after send_timeout") {
  Replica<FrameFake> replica(all_rooms({.rooms = "*", .max_messages = 1000}),
                             {.max_message_bytes = 100, .outbox_high_water = 200});
  const std::string first = replica.say("first", "r").at.value();
  for (int i = 0; i < 100; ++i) replica.say(message(i), "r");
  const auto slow = replica.come_back_stalled("r", first);
  replica.pass(5s);
  CHECK(replica.manager.find("slow") == nullptr);
  CHECK(replica.manager.stats().ended_by(DisconnectReason::send_timeout) == 1);
}

TEST_CASE("the queue behind a replay is bounded by max_outbox_bytes") {
  Replica<FrameFake> replica(
      all_rooms({.rooms = "*", .max_messages = 1000}),
      {.max_message_bytes = 100, .outbox_high_water = 200, .max_outbox_bytes = 400});
  const std::string first = replica.say("first", "r").at.value();
  for (int i = 0; i < 100; ++i) replica.say(message(i), "r");
  const auto slow = replica.come_back_stalled("r", first);
  for (int i = 0; i < 20; ++i) replica.say(message(i), "r");
  CHECK(replica.manager.find("slow") != nullptr);
  replica.say(message(20), "r");
  CHECK(replica.manager.find("slow") == nullptr);
  CHECK(replica.manager.stats().ended_by(DisconnectReason::outbox_overflow) == 1);
}

TEST_CASE("a replay counts as memory of the outboxes, once for clients that come together") {
  Replica<FrameFake> replica(all_rooms({.rooms = "*", .max_messages = 1000}),
                             {.max_message_bytes = 100, .outbox_high_water = 20'000});
  const std::string first = replica.say("first", "r").at.value();
  for (int i = 0; i < 100; ++i) replica.say(std::string(100, 'x'), "r");
  CHECK(replica.manager.stats().outbox_memory == 0);
  const auto come_back = [&](std::size_t clients) {
    std::vector<std::shared_ptr<FrameFake>> sockets;
    for (std::size_t i = 0; i < clients; ++i) {
      const auto& socket = sockets.emplace_back(replica.socket());
      socket->stall();
      const std::string resume = "r:" + first;
      boost::asio::co_spawn(replica.context,
                            replica.manager.connect(socket, {.rooms = "r", .resume = resume}),
                            boost::asio::detached);
    }
    replica.settle();
    const Stats stats = replica.manager.stats();
    for (const auto& socket : sockets) socket->drain_all();
    CHECK(stats.queued_bytes >= clients * 100 * 100);
    CHECK(replica.manager.stats().queued_bytes == 0);
    return stats.outbox_memory;
  };
  const std::size_t of_one = come_back(1);
  CHECK(of_one >= 100 * 100);
  CHECK(come_back(4) < 2 * of_one);
}

TEST_CASE("members are told where a manager does not keep up with its room") {
  Replica<FrameFake> replica(all_rooms({.rooms = "*"}), {},
                             {.max_message_bytes = 1'000'000'0, .max_queued_messages = 4});
  const auto alice = replica.come("alice", "r");
  const auto bob = replica.come("bob", "other");
  // From another thread's executor, so that the queue is bounded at four times as many.
  boost::asio::io_context elsewhere;
  std::string last;
  for (int i = 0; i < 40; ++i) {
    Published published =
        testing::run(elsewhere, replica.cluster.broadcast_text(std::to_string(i), {.room = "r"}));
    last = published.at.value();
  }
  replica.settle();
  const Strings shown = replica.shown(alice);
  CHECK(shown.back() == "r lost=gone");
  CHECK(last_position(alice->texts) == last);
  CHECK(replica.shown(bob) == Strings{"other joined"});
  replica.say("next", "r");
  CHECK(replica.shown(alice).back() == "r: next");
  // The messages are kept: who comes back gets them.
  const auto carol = replica.come_back("carol", "r", split(alice->texts[1]).line.substr(2));
  CHECK(replica.shown(carol).size() == 1 + 40);
}

TEST_CASE("a backplane that was stopped and started tells its members that they missed something") {
  Replica<FrameFake> replica;
  const auto alice = replica.come("alice", "chat/a");
  replica.run(replica.backplane.stop());
  replica.run(replica.backplane.start());
  replica.settle();
  CHECK(replica.shown(alice).back() == "chat/a lost=gone");
}

TEST_CASE("without a start the members of this manager get recorded messages, and recover") {
  FakeWebSocket unused;
  Bench<FrameFake> bench;
  const LocalHub hub(all_rooms(), bench.clock);
  LocalBackplane backplane(bench.context.get_executor(), hub);
  const Cluster cluster = bind_manager(backplane, bench.manager);
  auto ws = bench.socket();
  bench.run(bench.manager.connect(ws, {.connection_id = "a", .rooms = "chat/a", .resume = ""}));
  const Published published = bench.run(cluster.broadcast_text("x", {.room = "chat/a"}));
  bench.settle();
  CHECK(published.local == 1);
  CHECK(shown(ws->texts) == Strings{"chat/a joined", "chat/a: x"});
}

TEST_CASE("a manager that is not bound any more records nothing, and refuses nothing") {
  Replica<FrameFake> replica;
  replica.cluster.unbind();
  const auto alice = replica.come("alice", "chat/a");
  replica.run(replica.manager.broadcast_text("x", {.room = "chat/a"}));
  CHECK(alice->texts == Strings{"chat/a joined", "chat/a\nx"});
}

TEST_CASE("no history is read for a connection that the validator does not let in") {
  Replica<FrameFake> replica(all_rooms(), {.room_validator = [](std::string_view room, auto&) {
                               return room != "chat/secret";
                             }});
  const std::string at = replica.say("secret", "chat/secret").at.value();
  auto ws = replica.socket();
  CHECK(error_of([&] {
          replica.run(
              replica.manager.connect(ws, {.rooms = "chat/secret", .resume = "chat/secret:" + at}));
        }) == errc::join_denied);
  replica.settle();
  CHECK(ws->texts.empty());
  CHECK(replica.manager.stats().recovered + replica.manager.stats().not_recovered == 0);
}

TEST_CASE("messages grow old, positions live longer, and then the epoch is another") {
  Replica<FrameFake> replica({.rules = {{.rooms = "*", .max_age = 60s}}, .position_age = 1h});
  replica.say("one", "r");
  const std::string two = replica.say("two", "r").at.value();
  replica.clock.advance(59min);
  const auto alice = replica.come_back("alice", "r", two);
  CHECK(replica.shown(alice) == Strings{"r joined recovered"});
  replica.run(replica.manager.disconnect("alice"));
  replica.clock.advance(61min);
  const auto bob = replica.come_back("bob", "r", two);
  CHECK(replica.shown(bob) == Strings{"r joined lost=epoch"});
}

TEST_CASE("a room with members keeps its position, however quiet it is") {
  Replica<FrameFake> replica({.rules = {{.rooms = "*", .max_age = 60s}}, .position_age = 1h});
  const bool is_empty = GENERATE(false, true);  // nothing was ever said there
  CAPTURE(is_empty);
  const auto alice = replica.come("alice", "r");
  if (!is_empty) replica.say("one", "r");
  const std::string at = last_position(alice->texts);
  for (int i = 0; i < 3; ++i) {
    replica.clock.advance(1h);
    CHECK(replica.hub.stats().rooms == 1);
    const auto bob = replica.come_back("bob", "r", at);
    CHECK(replica.shown(bob) == Strings{"r joined recovered"});
    replica.run(replica.manager.disconnect("bob"));
  }
  replica.run(replica.manager.disconnect("alice"));
  replica.clock.advance(is_empty ? 59s : 59min);
  CHECK(replica.hub.stats().rooms == 1);
  replica.clock.advance(is_empty ? 1s : 1min);
  CHECK(replica.hub.stats().rooms == 0);
  CHECK(replica.shown(replica.come_back("carol", "r", at)) == Strings{"r joined lost=epoch"});
}

TEST_CASE("a hub keeps max_rooms histories; of rooms with members as long as there are others") {
  Replica<FrameFake> replica({.rules = {{.rooms = "*"}}, .max_rooms = 3});
  const auto alice = replica.come("alice", "a");
  const std::string a = replica.say("one", "a").at.value();
  const std::string b = replica.say("one", "b").at.value();
  const std::string c = replica.say("one", "c").at.value();
  CHECK(replica.shown(replica.come_back("bob", "b", b)) == Strings{"b joined recovered"});
  replica.run(replica.manager.disconnect("bob"));
  replica.say("one", "d");
  CHECK(replica.hub.stats().rooms == 3);
  CHECK(replica.shown(replica.come_back("carol", "a", a)) == Strings{"a joined recovered"});
  CHECK(replica.shown(replica.come_back("carl", "b", b)) == Strings{"b joined recovered"});
  CHECK(replica.shown(replica.come_back("cora", "c", c)) == Strings{"c joined lost=epoch"});
  CHECK(replica.hub.stats().rooms == 3);
  // Now all have members. The members of the room that was quiet for the longest time miss nothing.
  replica.say("one", "e");
  CHECK(replica.hub.stats().rooms == 3);
  replica.say("two", "a");
  CHECK(replica.shown(alice) == Strings{"a joined", "a: one", "a: two"});
  CHECK(replica.shown(replica.come_back("dave", "a", a)) == Strings{"a joined lost=epoch"});
}

TEST_CASE("a hub tells how much it keeps, of all its channels, until it is too old") {
  Replica<FrameFake> replica(
      {.rules = {{.rooms = "*", .max_messages = 2, .max_age = 60s}}, .position_age = 1h});
  LocalBackplane other(replica.context.get_executor(), replica.hub, {.channel = "other"});
  Bench<FrameFake> bench;
  const Cluster elsewhere = bind_manager(other, bench.manager);
  CHECK(replica.hub.stats().rooms == 0);

  replica.say("one", "a");
  const std::size_t bytes = replica.hub.stats().bytes;
  CHECK(bytes > 3);
  replica.say("two", "a");
  CHECK(replica.hub.stats().bytes == 2 * bytes);
  replica.say("six", "a");  // takes the place of the first
  replica.run(elsewhere.broadcast_text("one", {.room = "a"}));
  replica.come("alice", "quiet");
  LocalHubStats stats = replica.hub.stats();
  CHECK(stats.rooms == 3);
  CHECK(stats.messages == 3);
  CHECK(stats.bytes == 3 * bytes);
  CHECK(stats.recorded == 4);

  replica.run(replica.cluster.forget("a"));
  CHECK(replica.hub.stats().messages == 1);
  CHECK(replica.hub.stats().bytes == bytes);
  replica.run(replica.manager.disconnect("alice"));
  replica.clock.advance(61s);  // the messages go, and the room where nobody said anything
  stats = replica.hub.stats();
  CHECK(stats.rooms == 2);
  CHECK(stats.messages == 0);
  CHECK(stats.bytes == 0);
  replica.clock.advance(1h);  // positions in the others are not valid any more
  CHECK(replica.hub.stats().rooms == 0);
  CHECK(replica.hub.stats().recorded == 4);

  CHECK(LocalHub().stats().rooms == 0);
}

TEST_CASE("bytes travel in binary messages with a line, and keep every byte") {
  Replica<FakeWebSocket> replica;
  const auto alice = replica.come("alice", "chat/a");
  const std::string bytes("\x00\n\xff", 3);
  replica.run(replica.cluster.broadcast_bytes(std::as_bytes(std::span(bytes)), {.room = "chat/a"}));
  replica.settle();
  const Message& message = alice->sent().back();
  CHECK_FALSE(message.is_text);
  CHECK(message.payload.ends_with("\n" + bytes));
  CHECK(message.payload.starts_with("chat/a:"));
}

TEST_CASE("options of a history that are out of range are refused, naming the field") {
  const auto why = [](HistoryOptions options) {
    return message_of([&] { LocalHub hub(std::move(options)); });
  };
  CHECK(contains(why({.rules = {{.rooms = ""}}}), "rules[0].rooms"));
  CHECK(contains(why({.rules = {{.rooms = "*"}, {.rooms = "*", .max_messages = 0}}}),
                 "rules[1].max_messages"));
  CHECK(contains(why({.rules = {{.rooms = "*"}}, .max_rooms = 0}), "max_rooms"));
}

}  // namespace roost
