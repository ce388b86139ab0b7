// SPDX-License-Identifier: MIT
// A manager bound to a backplane: what goes out, what comes in, and what is refused.
#include <roost/backplane/delivery/handler_queues.hpp>
#include <roost/backplane/local_backplane.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using FakeBench = Bench<FakeWebSocket>;
using Strings = std::vector<std::string>;

// All that a backplane of one's own has to be: it keeps what is published, and brings what the test
// gives it.
class TestBackplane {
 public:
  explicit TestBackplane(boost::asio::io_context& context)
      : executor_(context.get_executor()),
        queues_(std::make_shared<detail::HandlerQueues>(
            executor_, detail::QueueLimits{1000, 1'000'000}, Logger())) {}
  ~TestBackplane() { queues_->close(); }

  boost::asio::any_io_executor get_executor() const { return executor_; }
  awaitable<> start() { co_return; }
  awaitable<> stop() { co_return; }
  awaitable<Published> publish(const json& message) {
    published.push_back(message);
    return taken();
  }
  Subscription on(BackplaneHandler handler) {
    return queues_->on(
        BackplaneHandler([brought = brought_, handler = std::move(handler)](const json& which) {
          handler.call(brought->at(which["n"].get<std::size_t>()));
        }));
  }

  // Any value, also one that no text says: what goes through the queues is its number.
  void bring(json message) {
    const json which = {{"n", brought_->size()}};
    brought_->push_back(std::move(message));
    queues_->deliver(std::make_shared<const detail::Parcel>(which.dump()));
  }

  std::vector<json> published;

 private:
  static awaitable<Published> taken() {
    co_return Published{.receivers = {}, .error = make_error_code(errc::backplane_unavailable)};
  }

  boost::asio::any_io_executor executor_;
  std::shared_ptr<detail::HandlerQueues> queues_;
  std::shared_ptr<std::deque<json>> brought_ = std::make_shared<std::deque<json>>();
};
static_assert(Backplane<TestBackplane>);
static_assert(!Backplane<FakeWebSocket>);
static_assert(!std::is_copy_constructible_v<Cluster> &&
              std::is_nothrow_move_constructible_v<Cluster>);

struct Bound : FakeBench {
  TestBackplane backplane{context};
  Cluster cluster;

  explicit Bound(Options options = {}, BindOptions bind_options = {})
      : FakeBench(std::move(options)), cluster(bind_manager(backplane, manager, bind_options)) {}

  void bring(json message) {
    backplane.bring(std::move(message));
    settle();
  }
  json publish(awaitable<Published> sending) {
    run(std::move(sending));
    return backplane.published.back();
  }
};

TEST_CASE("a cluster publishes its messages in the wire format", "[cluster]") {
  Bound bound({}, {.allow_global = true});
  const json value = {{"n", 1}};
  const std::array<std::byte, 3> bytes{std::byte{0}, std::byte{0xFF}, std::byte{7}};
  auto& cluster = bound.cluster;
  CHECK(bound.publish(cluster.broadcast_text("hi", {.room = "a"})) ==
        json::parse(R"({"kind":"text","room":"a","payload":"hi","exclude":[]})"));
  CHECK(bound.publish(cluster.broadcast_json(value, {.room = "a", .exclude = {"x", "y"}})) ==
        json::parse(R"({"kind":"json","room":"a","payload":{"n":1},"exclude":["x","y"]})"));
  CHECK(bound.publish(cluster.broadcast_bytes(bytes, {.room = "a"})) ==
        json::parse(R"({"kind":"bytes","room":"a","payload":"AP8H","exclude":[]})"));
  CHECK(bound.publish(cluster.broadcast_text("hi")) ==
        json::parse(R"({"kind":"text","room":null,"payload":"hi","exclude":[]})"));
  CHECK(bound.publish(cluster.broadcast_text("hi", {.room = "a", .rooms = {"b", "a", "b"}})) ==
        json::parse(R"({"kind":"text","room":"a","rooms":["b"],"payload":"hi","exclude":[]})"));
  // An id that no connection can have excludes nobody.
  CHECK(bound.publish(cluster.broadcast_text("hi", {.room = "a", .exclude = {"\xFF", "x"}})) ==
        json::parse(R"({"kind":"text","room":"a","payload":"hi","exclude":["x"]})"));
}

TEST_CASE("policy and key of a message go with it to every replica", "[cluster]") {
  Bound bound({.outbox_high_water = 20});
  auto& cluster = bound.cluster;
  CHECK(bound.publish(cluster.broadcast_text(
            "hi", {.room = "a", .overflow = Overflow::drop_newest, .key = "k"})) ==
        json::parse(R"({"kind":"text","room":"a","payload":"hi","exclude":[],
                        "overflow":"drop_newest","key":"k"})"));
  const auto alice = bound.connect("alice", {"a"});
  alice->stall_sends();
  const auto bring = [&](const char* payload, json how) {
    how.update({{"kind", "text"}, {"room", "a"}, {"payload", payload}});
    bound.bring(how);
    bound.settle();
  };
  bring("first, being sent", {});
  bring("k1", {{"key", "k"}, {"overflow", "drop_newest"}});
  bring("no more", {{"overflow", "drop_newest"}});
  bring("k2", {{"key", "k"}});
  bring("must arrive", {{"overflow", "nonsense"}, {"key", 7}});
  alice->resume_sends();
  bound.settle();
  CHECK(alice->sent_texts() == Strings{"first, being sent", "k2", "must arrive"});

  SendReport report;
  const auto error = [&](BroadcastOptions options) {
    options.room = "a";
    return error_of([&] { auto unused = cluster.broadcast_text("x", options); });
  };
  CHECK(error({.report = &report}) == errc::invalid_option);
  CHECK(error({.key = ""}) == errc::invalid_option);
  CHECK(error({.key = "\xFF"}) == errc::invalid_option);
}

TEST_CASE("an empty list of rooms is nobody: nothing is published", "[cluster]") {
  Bound bound({}, {.allow_global = true});
  const Strings none;
  const Published published = bound.run(bound.cluster.broadcast_text("x", {.rooms = none}));
  CHECK(published);
  CHECK(published.receivers == 0U);
  CHECK(bound.backplane.published.empty());
}

TEST_CASE("a cluster returns what the backplane knows", "[cluster]") {
  Bound bound;
  const Published published = bound.run(bound.cluster.broadcast_text("x", {.room = "a"}));
  CHECK_FALSE(published);
  CHECK(published.error == make_error_code(errc::backplane_unavailable));
  CHECK_FALSE(published.receivers);
}

TEST_CASE("a caller's mistake is an error at the call, and nothing is published", "[cluster]") {
  Bound bound({.max_room_name_bytes = 5});
  auto& cluster = bound.cluster;
  const json value = 1;
  const auto error = [&](std::string_view text, BroadcastOptions options) {
    return error_of([&] { auto unused = cluster.broadcast_text(text, options); });
  };
  CHECK(error("x", {}) == errc::room_required);
  CHECK(error("x", {.exclude = "a"}) == errc::room_required);
  CHECK(error_of([&] { auto unused = cluster.broadcast_json(value); }) == errc::room_required);
  CHECK(error_of([&] { auto unused = cluster.broadcast_bytes({}); }) == errc::room_required);
  CHECK(error("x", {.room = ""}) == errc::invalid_room_name);
  CHECK(error("x", {.room = "123456"}) == errc::invalid_room_name);
  CHECK(error("x", {.rooms = {"a", "\xFF"}}) == errc::invalid_room_name);
  CHECK(error("\xFF", {.room = "a"}) == errc::invalid_utf8);
  CHECK(bound.backplane.published.empty());
}

TEST_CASE("JSON that no replica could read is an error at the call", "[cluster]") {
  boost::asio::io_context context;
  ConnectionManager<FakeWebSocket> manager(context.get_executor(),
                                           {.max_message_bytes = std::nullopt});
  LocalBackplane backplane(context.get_executor(), {}, {.max_message_bytes = 1000});
  const Cluster cluster = bind_manager(backplane, manager);
  const auto nested = [](int depth) {
    json value = 1;
    for (int i = 0; i < depth; ++i) {
      json outer = json::array();
      outer.push_back(std::move(value));
      value = std::move(outer);
    }
    return value;
  };
  const auto send = [&](const json& value) {
    auto unused = cluster.broadcast_json(value, {.room = "a"});
  };
  CHECK_NOTHROW(send(nested(63)));
  CHECK(error_of([&] { send(nested(64)); }) == errc::invalid_json);
  CHECK(error_of([&] { send("\xFF"); }) == errc::invalid_json);
  CHECK(error_of([&] { send(std::string(1000, 'x')); }) == errc::message_too_big);
}

TEST_CASE("an incoming message is delivered in its own kind, to its own rooms", "[cluster]") {
  Bound bound({}, {.allow_global = true});
  const auto alice = bound.connect("alice", {"a", "b"});
  const auto bob = bound.connect("bob", {"b"});
  bound.bring({{"kind", "text"}, {"room", "a"}, {"payload", "t\xC3\xA9xt"}});
  bound.bring({{"kind", "text"}, {"room", "a"}, {"payload", {{"n", 1}}}});
  bound.bring({{"room", "a"}, {"payload", "json"}});
  bound.bring({{"kind", "bytes"}, {"room", "a"}, {"payload", "AP8H"}});
  bound.bring({{"kind", "text"}, {"room", "b"}, {"payload", "not alice"}, {"exclude", {"alice"}}});
  bound.bring({{"kind", "text"}, {"room", "a"}, {"rooms", {"b"}}, {"payload", "union"}});
  bound.bring({{"kind", "text"}, {"rooms", json::array()}, {"payload", "nobody"}});
  bound.bring({{"kind", "text"}, {"payload", "all"}});
  bound.bring({{"kind", "text"}, {"room", nullptr}, {"payload", "all"}, {"exclude", {"bob"}}});
  std::vector<std::pair<bool, std::string>> sent;
  for (const Message& message : alice->sent()) sent.emplace_back(message.is_text, message.payload);
  CHECK(sent == std::vector<std::pair<bool, std::string>>{{true, "t\xC3\xA9xt"},
                                                          {true, R"({"n":1})"},
                                                          {true, R"("json")"},
                                                          {false, std::string("\0\xFF\x07", 3)},
                                                          {true, "union"},
                                                          {true, "all"},
                                                          {true, "all"}});
  CHECK(bob->sent_texts() == Strings{"not alice", "union", "all"});
  CHECK(bound.log.count(Severity::warning, "backplane_message_skipped") == 0);
}

TEST_CASE("a message without a room is dropped with a warning unless all may be reached",
          "[cluster]") {
  const bool allow_global = GENERATE(false, true);
  Bound bound({}, {.allow_global = allow_global});
  const auto alice = bound.connect("alice", {"a"});
  bound.bring({{"kind", "text"}, {"payload", "all"}});
  bound.bring({{"kind", "text"}, {"room", nullptr}, {"payload", "all"}});
  bound.bring({{"kind", "text"}, {"room", "a"}, {"payload", "room"}});
  CHECK(alice->sent_texts() == (allow_global ? Strings{"all", "all", "room"} : Strings{"room"}));
  CHECK(bound.log.count(Severity::warning, "backplane_message_dropped") ==
        (allow_global ? 0U : 2U));
}

TEST_CASE("a message that cannot be delivered is skipped with a warning, and the next one arrives",
          "[cluster]") {
  Bound bound({.max_room_name_bytes = 5}, {.allow_global = true});
  const auto alice = bound.connect("alice", {"a"});
  const std::vector<std::pair<json, std::string>> table{
      {{{"room", ""}}, "is empty"},
      {{{"room", "123456"}}, "6 bytes, 5 are allowed"},
      {{{"rooms", {"a", ""}}}, "is empty"},
      {{{"room", "\xFF"}}, "is not UTF-8"},
      {{{"room", 5}}, "its room is not a string"},
      {{{"exclude", "alice"}}, "its exclude is not a list of strings"},
      {{{"kind", "text"}, {"payload", "\xFF"}}, "invalid UTF-8"},
      {{{"payload", "\xFF"}}, "invalid JSON"},
      {{{"kind", "bytes"}, {"payload", "!"}}, "its payload is not base64"},
      {json::array(), "it is not a JSON object"},
  };
  std::size_t count = 0;
  for (const auto& [message, why] : table) {
    CAPTURE(why);
    bound.bring(message);
    CHECK(bound.log.count(Severity::warning, "backplane_message_skipped") == ++count);
    CHECK(contains(bound.log.last("backplane_message_skipped"), why));
  }
  bound.bring({{"kind", "text"}, {"room", "a"}, {"payload", "after"}});
  CHECK(alice->sent_texts() == Strings{"after"});
}

TEST_CASE("the backplane never waits for a socket", "[cluster]") {
  Bound bound({.send_timeout = 5s, .backpressure_wait = 250ms, .outbox_high_water = 10});
  const auto stalled = bound.connect("stalled", {"a", "b"});
  const auto healthy = bound.connect("healthy", {"b"});
  stalled->stall_sends();
  for (int i = 0; i < 5; ++i) {
    bound.bring({{"kind", "text"}, {"room", "a"}, {"payload", "a text over the mark"}});
  }
  bound.bring({{"kind", "text"}, {"room", "b"}, {"payload", "next"}});
  CHECK(healthy->sent_texts() == Strings{"next"});  // no time has passed
  bound.pass(5s);
  CHECK(bound.manager.total_connections() == 1);
}

TEST_CASE("a cluster is bound once", "[cluster]") {
  FakeBench bench;
  FakeBench other;
  TestBackplane first(bench.context);
  TestBackplane second(bench.context);
  auto& manager = bench.manager;
  const auto alice = bench.connect("alice", {"a"});
  Cluster cluster = bind_manager(first, manager);
  const auto binds = [&] { auto unused = bind_manager(first, manager); };
  CHECK(error_of(binds) == errc::already_bound);
  CHECK_NOTHROW(bind_manager(second, manager));
  CHECK_NOTHROW(bind_manager(first, other.manager));
  Cluster moved = std::move(cluster);
  CHECK(moved);
  CHECK_FALSE(cluster);  // NOLINT: that is the point
  CHECK(error_of(binds) == errc::already_bound);
  const auto owner = std::shared_ptr<TestBackplane>(std::shared_ptr<void>(), &first);
  CHECK(error_of([&] { auto unused = bind_manager(owner, manager); }) == errc::already_bound);

  SECTION("again once it was unbound") {
    moved.unbind();
    moved.unbind();
    CHECK_FALSE(moved);
    cluster = bind_manager(first, manager);
  }
  SECTION("again once the handle is gone") {
    moved = {};
    cluster = bind_manager(first, manager);
  }
  first.bring({{"kind", "text"}, {"room", "a"}, {"payload", "once"}});
  bench.settle();
  CHECK(alice->sent_texts() == Strings{"once"});
}

TEST_CASE("another backplane at the same address is another one", "[cluster]") {
  FakeBench bench;
  std::optional<TestBackplane> backplane(std::in_place, bench.context);
  const Cluster old = bind_manager(*backplane, bench.manager);
  backplane.emplace(bench.context);
  const Cluster cluster = bind_manager(*backplane, bench.manager);
  CHECK(cluster);
}

TEST_CASE("an unbound manager gets nothing, an unbound handle sends nothing", "[cluster]") {
  Bound bound;
  const auto alice = bound.connect("alice", {"a"});
  const json message = {{"kind", "text"}, {"room", "a"}, {"payload", "x"}};
  bound.bring(message);
  bound.backplane.bring(message);  // is on its way
  SECTION("unbound") { bound.cluster.unbind(); }
  SECTION("destroyed") { const Cluster gone = std::move(bound.cluster); }
  SECTION("overwritten") { bound.cluster = {}; }
  bound.settle();
  bound.bring(message);
  CHECK(alice->sent_texts() == Strings{"x"});
  CHECK(error_of([&] { auto unused = bound.cluster.broadcast_text("x", {.room = "a"}); }) ==
        errc::not_bound);
  CHECK(bound.backplane.published.empty());
}

TEST_CASE("a handle can be assigned to itself, and over another", "[cluster]") {
  Bound bound;
  const auto alice = bound.connect("alice", {"a"});
  Cluster& same = bound.cluster;
  bound.cluster = std::move(same);
  bound.bring({{"kind", "text"}, {"room", "a"}, {"payload", "still"}});
  TestBackplane second(bound.context);
  bound.cluster = bind_manager(second, bound.manager);
  bound.bring({{"kind", "text"}, {"room", "a"}, {"payload", "the first"}});
  second.bring({{"kind", "text"}, {"room", "a"}, {"payload", "the second"}});
  bound.settle();
  CHECK(alice->sent_texts() == Strings{"still", "the second"});
  bound.cluster.unbind();
}

TEST_CASE("a binding that cannot work is refused", "[cluster]") {
  FakeBench bench({.require_room = true});
  TestBackplane backplane(bench.context);
  CHECK(error_of([&] {
          auto unused = bind_manager(backplane, bench.manager, {.allow_global = true});
        }) == errc::invalid_option);
  CHECK_NOTHROW(bind_manager(backplane, bench.manager));
  CHECK(error_of([&] { auto unused = bind_manager(BackplaneRef(), bench.manager); }) ==
        errc::backplane_unavailable);
  const BackplaneRef empty;
  CHECK_FALSE(empty);
  CHECK(error_of([&] { auto unused = empty.start(); }) == errc::backplane_unavailable);
  CHECK(error_of([&] { auto unused = empty.publish(json::object()); }) ==
        errc::backplane_unavailable);
  const std::shared_ptr<TestBackplane> null;
  CHECK_FALSE(BackplaneRef(null));
}

TEST_CASE("the log of a manager is written on its executor", "[cluster]") {
  std::vector<bool> is_here;
  boost::asio::io_context mine;
  boost::asio::io_context theirs;
  ConnectionManager<FakeWebSocket> manager(
      mine.get_executor(), {.logger = [&](const LogEvent&) {
        is_here.push_back(mine.get_executor().running_in_this_thread());
      }});
  TestBackplane backplane(theirs);
  const Cluster cluster = bind_manager(backplane, manager);
  const auto socket = std::make_shared<FakeWebSocket>();
  run(mine, manager.connect(socket, {.rooms = "a"}));
  is_here.clear();
  backplane.bring({{"payload", "no room"}});
  backplane.bring({{"room", 5}});
  backplane.bring({{"room", ""}});
  backplane.bring({{"kind", "text"}, {"room", "a"}, {"payload", "x"}});
  run_ready(theirs);
  CHECK(is_here.empty());
  CHECK(socket->sent().empty());
  run_ready(mine);
  CHECK(is_here == std::vector<bool>{true, true, true});
  CHECK(socket->sent_texts() == Strings{"x"});
}

TEST_CASE("nothing is logged once the manager is gone", "[cluster]") {
  boost::asio::io_context context;
  TestBackplane backplane(context);
  Log log;
  auto manager = std::make_unique<ConnectionManager<FakeWebSocket>>(
      context.get_executor(), ManagerOptions<FakeWebSocket>{.logger = log.logger()});
  const Cluster cluster = bind_manager(backplane, *manager);
  backplane.bring({{"room", 5}});
  context.run_one();  // the handler, not yet its warning
  manager.reset();
  backplane.bring({{"room", 5}});
  run_ready(context);
  CHECK(log.lines().empty());
}

TEST_CASE("members of the sender get a message at the call; from elsewhere it is posted to them",
          "[cluster]") {
  FakeBench bench;
  boost::asio::io_context elsewhere;
  LocalBackplane backplane(bench.context.get_executor());
  const Cluster cluster = bind_manager(backplane, bench.manager);
  const auto alice = bench.connect("alice", {"a"});
  std::size_t sent_at_the_call = 0;
  const auto send = [&]() -> awaitable<> {
    auto one = cluster.broadcast_text("one", {.room = "a"});
    auto two = cluster.broadcast_text("two", {.room = "a", .exclude = {"nobody"}});
    co_await std::move(two);
    co_await std::move(one);
    sent_at_the_call = bench.manager.stats().deliveries;
  };
  bench.run(send());
  CHECK(sent_at_the_call == 2);
  run(elsewhere, cluster.broadcast_text("three", {.room = "a"}));
  run(elsewhere, cluster.broadcast_text("nobody", {.room = "a", .exclude = {"alice"}}));
  run(elsewhere, cluster.broadcast_text("four", {.room = "a"}));
  CHECK(bench.manager.stats().deliveries == 2);
  bench.settle();
  CHECK(alice->sent_texts() == Strings{"two", "one", "three", "four"});
}

TEST_CASE("a manager that two backplanes of a hub serve gets its own messages once", "[cluster]") {
  FakeBench bench;
  LocalHub hub;
  LocalBackplane first(bench.context.get_executor(), hub);
  LocalBackplane second(bench.context.get_executor(), hub);
  const Cluster cluster = bind_manager(first, bench.manager);
  const Cluster also = bind_manager(second, bench.manager);
  bench.run(first.start());
  bench.run(second.start());
  const auto alice = bench.connect("alice", {"a"});
  CHECK(bench.run(cluster.broadcast_text("one", {.room = "a"})).local == 1);
  CHECK(bench.run(also.broadcast_text("two", {.room = "a"})).local == 1);
  CHECK(alice->sent_texts() == Strings{"one", "two"});
}

TEST_CASE("a message over the limit of a backplane ends its sender with 1009 if nobody catches it",
          "[cluster]") {
  FakeBench bench({.max_message_bytes = std::nullopt});
  LocalBackplane backplane(bench.context.get_executor(), {}, {.max_message_bytes = 1000});
  const Cluster cluster = bind_manager(backplane, bench.manager);
  const auto bob = bench.connect("bob", {"a"});
  const auto alice = std::make_shared<FakeWebSocket>();
  const auto relay = [&](const std::shared_ptr<Connection<FakeWebSocket>>& self) -> awaitable<> {
    for (;;) {
      const std::string text = co_await bench.manager.receive_text(*self);
      co_await cluster.broadcast_text(text, {.room = "a"});
    }
  };
  const auto session = bench.start(bench.manager.session(alice, {.rooms = "a"}, relay));
  alice->peer_sends("hello");
  alice->peer_sends(std::string(200, '\x01'));
  bench.settle();
  CHECK(session->is_done());
  CHECK_THROWS_AS(session->take(), Error);
  CHECK(alice->close_code() == 1009);
  CHECK(bob->sent_texts() == Strings{"hello"});
  CHECK(bench.log.count(Severity::error, "handler_failed") == 1);
}

// Longer than any small buffer, so that ASan sees what is destroyed too early.
const std::string long_lobby = "the lobby, where everyone is who is nowhere else";
const std::string long_attic = "the attic, where nobody goes at night or by day";
const std::string long_id = "alice, whose name is long enough for the heap";

awaitable<> broadcasts(const Cluster& cluster) {
  const Strings rooms{long_lobby, long_attic};
  const std::string text = "text";
  const json value = {{"n", 1}};
  const std::vector<std::byte> bytes(3);
  co_await cluster.broadcast_text("literal");
  co_await cluster.broadcast_text("a temporary text, long enough, and " + text);
  co_await cluster.broadcast_text(text, {.room = long_lobby + "", .exclude = {long_id + ""}});
  co_await cluster.broadcast_text(text, {.rooms = {long_lobby + "", long_attic}, .exclude = rooms});
  co_await cluster.broadcast_text(text, {.rooms = Strings(2, long_lobby)});
  co_await cluster.broadcast_json(value, {.room = long_lobby, .exclude = {long_id + "!"}});
  co_await cluster.broadcast_bytes(bytes, {.rooms = rooms});
  const Published published = co_await cluster.broadcast_bytes(std::as_bytes(std::span(text)));
  CHECK_FALSE(published);
}

TEST_CASE("a cluster's calls in every spelling", "[cluster]") {
  Bound bound({}, {.allow_global = true});
  bound.run(broadcasts(bound.cluster));
  CHECK(bound.backplane.published.size() == 8);
}

TEST_CASE("a cluster's arguments are consumed before a call returns", "[cluster]") {
  FakeBench bench;
  LocalBackplane backplane(bench.context.get_executor());
  Cluster cluster = bind_manager(backplane, bench.manager);
  bench.run(backplane.start());
  const auto alice = bench.connect("alice", {long_lobby});
  auto scratch =
      std::make_unique<Strings>(Strings{long_lobby, long_id, "text of some length, and more"});
  auto value = std::make_unique<json>(Strings{"a string of some length in JSON"});
  auto& s = *scratch;
  std::optional<awaitable<Published>> one =
      cluster.broadcast_text(s[2], {.room = s[0], .exclude = {s[1]}});
  std::optional<awaitable<Published>> two = cluster.broadcast_json(*value, {.rooms = s});
  scratch.reset();
  value.reset();
  bench.run(*std::move(one));
  cluster.unbind();
  cluster = bind_manager(backplane, bench.manager);
  bench.run(*std::move(two));
  CHECK(alice->sent_texts() ==
        Strings{"text of some length, and more", R"(["a string of some length in JSON"])"});
}

// --- lifetime ---

struct TwoLoops {
  std::unique_ptr<boost::asio::io_context> mine = std::make_unique<boost::asio::io_context>();
  std::unique_ptr<boost::asio::io_context> theirs;
  std::unique_ptr<ConnectionManager<FakeWebSocket>> manager;
  LocalHub hub;
  std::unique_ptr<LocalBackplane> backplane;
  std::unique_ptr<LocalBackplane> elsewhere;
  std::unique_ptr<Cluster> cluster;
  Subscription subscription;
  std::weak_ptr<FakeWebSocket> socket;
  std::shared_ptr<int> held = std::make_shared<int>();

  explicit TwoLoops(bool is_apart) {
    if (is_apart) theirs = std::make_unique<boost::asio::io_context>();
    boost::asio::io_context& its = is_apart ? *theirs : *mine;
    manager = std::make_unique<ConnectionManager<FakeWebSocket>>(mine->get_executor());
    backplane = std::make_unique<LocalBackplane>(boost::asio::make_strand(its), hub);
    elsewhere = std::make_unique<LocalBackplane>(its.get_executor(), hub);
    cluster = std::make_unique<Cluster>(bind_manager(*backplane, *manager));
    const auto waits = [token = held](const json&) -> awaitable<> { co_await wait_for_ever(); };
    subscription = backplane->on(waits);
    backplane->on([token = held](const json&) {});
    const auto connected = std::make_shared<FakeWebSocket>();
    socket = connected;
    run(*mine, manager->connect(connected, {.rooms = {"a"}}));
    run(its, backplane->start());
    run(its, elsewhere->start());
    run(its, cluster->broadcast_text("delivered", {.room = "a"}));
    // A handler under way, messages that wait, and what has not run yet.
    run(its, elsewhere->publish({{"room", 5}}));
    boost::asio::co_spawn(its, cluster->broadcast_text("not run", {.room = "a"}), [](auto&&...) {});
    boost::asio::co_spawn(*mine, cluster->broadcast_text("not run", {.room = "a"}),
                          [](auto&&...) {});
    boost::asio::co_spawn(*mine, backplane->stop(), [](auto&&...) {});
    boost::asio::co_spawn(its, backplane->start(), [](auto&&...) {});
    const auto spread = hub_publish();
    CHECK(spread.receivers == 2U);
  }

  // Fills the queues without running their handlers.
  Published hub_publish() {
    boost::asio::io_context third;
    LocalBackplane publisher(third.get_executor(), hub);
    return run(third, publisher.publish({{"kind", "text"}, {"room", "a"}, {"payload", "queued"}}));
  }

  void destroy(char what) {
    if (what == 'c') mine.reset();
    if (what == 'd') theirs.reset();
    if (what == 'm') manager.reset();
    if (what == 'b') backplane.reset();
    if (what == 'h') cluster.reset();
    if (what == 'r') {
      if (theirs) run_ready(*theirs);
      if (mine) run_ready(*mine);
      hub_publish();
    }
  }
};

TEST_CASE("handle, manager, backplane and contexts may go in any order", "[cluster]") {
  const bool is_apart = GENERATE(false, true);
  std::string order = is_apart ? "bcdhmr" : "bchmr";
  do {
    CAPTURE(order);
    TwoLoops world(is_apart);
    for (const char what : order) world.destroy(what);
    CHECK(world.hub_publish().receivers == 0U);  // nobody is called where nobody can run
    CHECK_FALSE(world.subscription.is_active());
    world.subscription.cancel();
    CHECK(world.socket.expired());
    CHECK(world.held.use_count() == 1);
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace
}  // namespace roost
