// SPDX-License-Identifier: MIT
// Who may come in, under which id, and into which rooms.
#include <roost/roost.hpp>

#include <boost/asio/this_coro.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using FakeBench = Bench<FakeWebSocket>;
using Socket = FakeWebSocket;
using FakeConnection = Connection<FakeWebSocket>;
using Strings = std::vector<std::string>;

// What every refusal leaves behind.
void check_nothing_is_left(FakeBench& bench, const std::shared_ptr<Socket>& socket) {
  CHECK(bench.manager.total_connections() == 0);
  CHECK(bench.manager.list_rooms().empty());
  CHECK(bench.manager.find("alice") == nullptr);
  CHECK_FALSE(socket->close_code());  // connect does not close what it refuses
  CHECK_FALSE(socket->is_aborted());
  CHECK(socket.use_count() == 1);
  CHECK(bench.manager.stats().accepted == 0);
}

// --- on_connect ---

TEST_CASE("on_connect is asked before the connection is known, and may change the metadata",
          "[admission]") {
  FakeBench* current = nullptr;
  std::size_t known_meanwhile = 99;
  FakeBench bench({.on_connect = [&](Socket& socket, json& metadata) {
    known_meanwhile = current->manager.total_connections();
    metadata["agent"] = std::string(socket.header("User-Agent").value_or("none"));
    return true;
  }});
  current = &bench;
  const auto socket = bench.socket();
  socket->set_header("user-agent", "test");
  json metadata;
  metadata["user"] = "ann";
  const auto alice = bench.run(bench.manager.connect(socket, {.metadata = metadata}));
  CHECK(known_meanwhile == 0);
  CHECK(alice->metadata()["agent"] == "test");
  CHECK(alice->metadata()["user"] == "ann");
  CHECK_FALSE(metadata.contains("agent"));
}

TEST_CASE("on_connect refuses by false, by an exception, plain or as a coroutine", "[admission]") {
  using Hook = decltype(FakeBench::Options::on_connect);
  const auto [hook, why] = GENERATE(table<Hook, std::string>({
      {[](Socket&, json&) { return false; }, "refused"},
      {[](Socket&, json&) -> bool { throw std::runtime_error("bad token"); }, "bad token"},
      {[](Socket&, json&) -> bool { throw 42; }, "unknown type"},
      {[](Socket&, json&) -> awaitable<bool> { co_return false; }, "refused"},
      {[](Socket&, json&) -> awaitable<bool> {
         throw std::runtime_error("bad token");
         co_return true;
       },
       "bad token"},
  }));
  FakeBench bench({.on_connect = hook});
  const auto socket = bench.socket();
  const auto connecting = [&] {
    bench.run(bench.manager.connect(socket, {.connection_id = "alice", .rooms = {"lobby"}}));
  };
  CHECK(error_of(connecting) == errc::connection_denied);
  CHECK(contains(message_of(connecting), why));
  CHECK(bench.log.count(Severity::warning, "connection_denied") == 1);  // of two within a second
  CHECK(contains(bench.log.last("connection_denied"), "id=\"alice\" why=\""));
  CHECK(bench.manager.stats().refused == 2);
  check_nothing_is_left(bench, socket);
}

TEST_CASE("on_connect may be a coroutine that waits", "[admission]") {
  Gate gate;
  FakeBench bench({.on_connect = [&](Socket&, json& metadata) -> awaitable<bool> {
    co_await gate.pass();
    metadata["checked"] = true;
    co_return true;
  }});
  const auto connecting = bench.start(bench.manager.connect(bench.socket()));
  CHECK(gate.arrived() == 1);
  CHECK(bench.manager.total_connections() == 0);
  gate.open();
  bench.settle();
  CHECK(connecting->take()->metadata()["checked"] == true);
  CHECK(bench.manager.total_connections() == 1);
}

TEST_CASE("a hook that does not answer denies at the deadline, and its late answer is discarded",
          "[admission]") {
  Gate gate;
  bool answered = false;
  FakeBench bench({.hook_timeout = 2s, .on_connect = [&](Socket&, json&) -> awaitable<bool> {
                     // It ignores that it is cancelled.
                     const auto executor = co_await boost::asio::this_coro::executor;
                     co_await boost::asio::co_spawn(
                         executor, gate.pass(),
                         boost::asio::bind_cancellation_slot(boost::asio::cancellation_slot(),
                                                             boost::asio::use_awaitable));
                     answered = true;
                     co_return true;
                   }});
  const auto socket = bench.socket();
  const auto connecting = bench.start(bench.manager.connect(socket, {.connection_id = "alice"}));
  bench.pass(1999ms);
  CHECK_FALSE(connecting->is_done());
  bench.pass(1ms);
  REQUIRE(connecting->is_done());
  CHECK(error_of([&] { connecting->take(); }) == errc::connection_denied);
  CHECK(contains(bench.log.last("connection_denied"), "timed out"));
  gate.open();
  bench.settle();
  CHECK(answered);
  check_nothing_is_left(bench, socket);
}

TEST_CASE("a hook that does not answer is cancelled at the deadline", "[admission]") {
  FakeBench bench({.hook_timeout = 2s, .on_connect = [](Socket&, json&) -> awaitable<bool> {
                     co_await wait_for_ever();
                     co_return true;
                   }});
  const auto connecting = bench.start(bench.manager.connect(bench.socket()));
  bench.pass(2s);
  CHECK(error_of([&] { connecting->take(); }) == errc::connection_denied);
}  // the bench sees that no coroutine is left

// --- max_connections ---

TEST_CASE("one more connection than the limit is refused, by a message that names it",
          "[admission]") {
  FakeBench bench({.max_connections = 2});
  bench.connect("a");
  bench.connect("b");
  const auto socket = bench.socket();
  const auto connecting = [&] { bench.run(bench.manager.connect(socket)); };
  CHECK(error_of(connecting) == errc::too_many_connections);
  CHECK(contains(message_of(connecting), "max_connections of 2"));
  CHECK(bench.log.count(Severity::warning, "too_many_connections") == 1);  // of two within a second
  CHECK(contains(bench.log.last("too_many_connections"), "limit=\"2\""));
  CHECK(bench.manager.total_connections() == 2);
  CHECK_FALSE(socket->close_code());

  bench.run(bench.manager.disconnect("a"));
  bench.run(bench.manager.connect(socket));
  CHECK(bench.manager.total_connections() == 2);
}

TEST_CASE("without a limit everybody comes in, and with a limit of zero nobody", "[admission]") {
  FakeBench open({.max_connections = std::nullopt});
  for (int i = 0; i < 50; ++i) open.connect(std::to_string(i));
  CHECK(open.manager.total_connections() == 50);
  FakeBench shut({.max_connections = 0});
  CHECK(error_of([&] { shut.connect("a"); }) == errc::too_many_connections);
}

TEST_CASE("a full manager asks no hook", "[admission]") {
  int asked = 0;
  FakeBench bench(
      {.max_connections = 1, .on_connect = [&](Socket&, json&) { return ++asked > 0; }});
  bench.connect("a");
  CHECK(error_of([&] { bench.connect("b"); }) == errc::too_many_connections);
  CHECK(asked == 1);
}

TEST_CASE("connections that are being admitted count, and give their place back if refused",
          "[admission]") {
  Gate gate;
  bool answer = false;
  FakeBench bench({.max_connections = 2, .on_connect = [&](Socket&, json&) -> awaitable<bool> {
                     co_await gate.pass();
                     co_return answer;
                   }});
  const auto first = bench.start(bench.manager.connect(bench.socket()));
  const auto second = bench.start(bench.manager.connect(bench.socket()));
  CHECK(error_of([&] { bench.connect("c"); }) == errc::too_many_connections);
  CHECK(gate.arrived() == 2);
  gate.open();
  bench.settle();
  CHECK(error_of([&] { first->take(); }) == errc::connection_denied);
  CHECK(error_of([&] { second->take(); }) == errc::connection_denied);
  answer = true;
  bench.connect("d");
  bench.connect("e");
  CHECK(error_of([&] { bench.connect("f"); }) == errc::too_many_connections);
}

// --- ids ---

TEST_CASE("an id in use is refused, and its owner is left alone", "[admission]") {
  int asked = 0;
  FakeBench bench({.on_connect = [&](Socket&, json&) { return ++asked > 0; }});
  const auto old = bench.connect("alice", {"lobby"});
  const auto socket = bench.socket();
  const auto connecting = [&] {
    bench.run(bench.manager.connect(socket, {.connection_id = "alice", .rooms = {"attic"}}));
  };
  CHECK(error_of(connecting) == errc::duplicate_connection_id);
  CHECK(contains(message_of(connecting), "\"alice\" is in use"));
  CHECK(bench.log.count(Severity::warning, "duplicate_connection_id") ==
        1);  // of two within a second
  CHECK(asked == 1);
  CHECK_FALSE(old->close_code());
  CHECK(bench.manager.list_rooms() == Strings{"lobby"});
  CHECK(bench.manager.find("alice")->websocket() == old);
  CHECK_FALSE(socket->close_code());
}

TEST_CASE("of two that connect with one id at once, one comes in", "[admission]") {
  Gate gate;
  FakeBench bench({.on_connect = [&](Socket&, json&) -> awaitable<bool> {
    co_await gate.pass();
    co_return true;
  }});
  const auto one = bench.socket();
  const auto two = bench.socket();
  const auto first =
      bench.start(bench.manager.connect(one, {.connection_id = "alice", .rooms = {"lobby"}}));
  const auto second =
      bench.start(bench.manager.connect(two, {.connection_id = "alice", .rooms = {"lobby"}}));
  gate.open();
  bench.settle();
  REQUIRE((first->is_done() && second->is_done()));
  const bool first_is_in = bench.manager.find("alice")->websocket() == one;
  const auto& refused = first_is_in ? second : first;
  CHECK(error_of([&] { refused->take(); }) == errc::duplicate_connection_id);
  CHECK((first_is_in ? two : one).use_count() == 1);
  CHECK(bench.manager.total_connections() == 1);
  CHECK(bench.manager.room_size("lobby") == 1);
}

TEST_CASE("an id in use can be taken over: the old connection goes at once, rooms and all",
          "[admission]") {
  FakeBench bench;
  const auto old = bench.socket();
  old->stall_close();
  bench.run(bench.manager.connect(old, {.connection_id = "alice", .rooms = {"attic", "lobby"}}));
  const auto former = bench.manager.find("alice");
  const auto socket = bench.socket();
  const auto alice = bench.run(bench.manager.connect(
      socket,
      {.connection_id = "alice", .rooms = {"lobby"}, .on_duplicate = OnDuplicate::replace}));
  CHECK(bench.manager.find("alice") == alice);
  CHECK(bench.manager.total_connections() == 1);
  CHECK(bench.manager.list_rooms() == Strings{"lobby"});  // it does not inherit the attic
  CHECK(former->ended()->reason == DisconnectReason::replaced);
  CHECK(former->rooms() == Strings{"attic", "lobby"});
  CHECK(old->close_code() == 1008);

  // The end of the old one does not touch the new one.
  bench.pass(5s);
  CHECK(old->is_aborted());
  CHECK(bench.run(bench.manager.broadcast_text("hi", {.room = "lobby"})) == 1);
  CHECK(socket->sent_texts() == Strings{"hi"});
  CHECK(old->sent_texts().empty());
  CHECK_FALSE(bench.run(former->send_text("to the old one")));
  CHECK(socket->sent_texts() == Strings{"hi"});
}

TEST_CASE("taking over a free id is connecting", "[admission]") {
  FakeBench bench;
  const auto socket = bench.socket();
  bench.run(bench.manager.connect(
      socket, {.connection_id = "alice", .on_duplicate = OnDuplicate::replace}));
  CHECK(bench.manager.total_connections() == 1);
  CHECK(bench.log.count("disconnect") == 0);
}

TEST_CASE("an id must be 1 to 255 bytes of UTF-8, and is refused at the call", "[admission]") {
  FakeBench bench;
  const auto refused = [&](std::string_view id) {
    return error_of(
        [&] { auto unused = bench.manager.connect(bench.socket(), {.connection_id = id}); });
  };
  CHECK(refused("") == errc::invalid_connection_id);
  CHECK(refused(std::string(256, 'i')) == errc::invalid_connection_id);
  CHECK(refused("\xFF") == errc::invalid_connection_id);
  bench.connect(std::string(255, 'i'));
  CHECK(bench.manager.total_connections() == 1);
}

// --- rooms ---

TEST_CASE("the room validator is asked for every initial room, before any is joined",
          "[admission]") {
  Strings asked;
  FakeBench* current = nullptr;
  FakeBench bench({.room_validator = [&](std::string_view room, FakeConnection& connection) {
    asked.push_back(connection.id() + "@" + std::string(room));
    CHECK(current->manager.total_connections() == 0);
    return room != "secret";
  }});
  current = &bench;
  const auto socket = bench.socket();
  const auto connecting = [&] {
    bench.run(bench.manager.connect(
        socket, {.connection_id = "alice", .rooms = {"lobby", "secret", "attic"}}));
  };
  CHECK(error_of(connecting) == errc::join_denied);
  CHECK(asked == Strings{"alice@lobby", "alice@secret"});
  CHECK(bench.log.count(Severity::warning, "join_denied") == 1);
  CHECK(contains(bench.log.last("join_denied"), R"(id="alice" room="secret")"));
  CHECK(bench.manager.stats().refused == 1);
  check_nothing_is_left(bench, socket);
}

TEST_CASE("the room validator is asked for every join, and may look at the connection",
          "[admission]") {
  int asked = 0;
  FakeBench bench(
      {.room_validator = [&](std::string_view room, FakeConnection& connection) -> awaitable<bool> {
        ++asked;
        co_return connection.metadata().contains("admin") || room == "lobby";
      }});
  bench.connect("alice", {"lobby"});
  CHECK(error_of([&] { bench.run(bench.manager.join("alice", "secret")); }) == errc::join_denied);
  CHECK(contains(message_of([&] { bench.run(bench.manager.join("alice", "secret")); }),
                 "\"secret\""));
  CHECK(bench.log.count(Severity::warning, "join_denied") == 1);  // of two within a second
  CHECK(bench.manager.list_rooms() == Strings{"lobby"});
  CHECK(bench.manager.total_connections() == 1);  // a denied join costs nobody the connection
  bench.manager.find("alice")->metadata()["admin"] = true;
  CHECK(bench.run(bench.manager.join("alice", "secret")));
  CHECK(asked == 4);
  CHECK(bench.run(bench.manager.join("alice", "secret")));  // it is there already
  CHECK_FALSE(bench.run(bench.manager.join("nobody", "secret")));
  CHECK(asked == 4);
}

TEST_CASE("a room validator that throws or does not answer denies", "[admission]") {
  bool throws = true;
  FakeBench bench({.hook_timeout = 1s,
                   .room_validator = [&](std::string_view, FakeConnection&) -> awaitable<bool> {
                     if (throws) throw std::runtime_error("no database");
                     co_await wait_for_ever();
                     co_return true;
                   }});
  bench.connect("alice");
  CHECK(contains(message_of([&] { bench.run(bench.manager.join("alice", "lobby")); }),
                 "no database"));
  throws = false;
  const auto joining = bench.start(bench.manager.join("alice", "lobby"));
  bench.pass(1s);
  CHECK(error_of([&] { joining->take(); }) == errc::join_denied);
  CHECK(bench.manager.list_rooms().empty());
}

TEST_CASE("a join is for the connection that was asked about, not for who has its id afterwards",
          "[admission]") {
  Gate gate;
  FakeBench bench({.room_validator = [&](std::string_view, FakeConnection&) -> awaitable<bool> {
    co_await gate.pass();
    co_return true;
  }});
  bench.connect("alice");
  const auto joining = bench.start(bench.manager.join("alice", "secret"));
  bench.run(bench.manager.disconnect("alice"));
  bench.connect("alice");
  gate.open();
  bench.settle();
  CHECK_FALSE(joining->take());
  CHECK(bench.manager.list_rooms().empty());
  CHECK(bench.manager.find("alice")->rooms().empty());
}

TEST_CASE("of joins that are asked about at once, those of one room count as one", "[admission]") {
  Gate lobby;
  Gate attic;
  FakeBench bench(
      {.room_validator = [&](std::string_view room, FakeConnection&) -> awaitable<bool> {
         co_await (room == "lobby" ? lobby : attic).pass();
         co_return true;
       },
       .max_rooms_per_connection = 1});
  bench.connect("alice");
  const auto first = bench.start(bench.manager.join("alice", "lobby"));
  const auto second = bench.start(bench.manager.join("alice", "lobby"));
  const auto third = bench.start(bench.manager.join("alice", "attic"));
  lobby.open();
  bench.settle();
  attic.open();
  bench.settle();
  CHECK(first->take());
  CHECK(second->take());  // it is in the room, whoever brought it there
  CHECK(error_of([&] { third->take(); }) == errc::too_many_rooms);
  CHECK(bench.manager.list_rooms() == Strings{"lobby"});
}

TEST_CASE("a connection may be in so many rooms and no more", "[admission]") {
  int asked = 0;
  FakeBench bench({.room_validator = [&](std::string_view, FakeConnection&) { return ++asked > 0; },
                   .max_rooms_per_connection = 2});
  const auto socket = bench.socket();
  CHECK(error_of([&] {
          bench.run(
              bench.manager.connect(socket, {.connection_id = "alice", .rooms = {"a", "b", "c"}}));
        }) == errc::too_many_rooms);
  CHECK(asked == 0);
  CHECK(bench.manager.stats().refused == 1);
  CHECK(bench.manager.stats().rooms_refused == 1);
  CHECK(bench.log.count(Severity::warning, "too_many_rooms") == 1);
  check_nothing_is_left(bench, socket);
  bench.connect("alice", {"a", "a", "a", "b"});  // named twice is one
  asked = 0;
  CHECK(error_of([&] { bench.run(bench.manager.join("alice", "c")); }) == errc::too_many_rooms);
  CHECK(asked == 0);
  CHECK(bench.manager.stats().rooms_refused == 2);
  CHECK(bench.run(bench.manager.join("alice", "b")));
  CHECK(bench.run(bench.manager.leave("alice", "a")));
  CHECK(bench.run(bench.manager.join("alice", "c")));
  CHECK(bench.manager.list_rooms() == Strings{"b", "c"});
}

TEST_CASE("a room name must be 1 to so many bytes of UTF-8, and is refused at the call",
          "[admission]") {
  FakeBench bench({.max_room_name_bytes = 5});
  bench.connect("alice", {"12345"});
  for (const std::string& room : {std::string(), std::string("123456"), std::string("\xFF")}) {
    CAPTURE(room);
    CHECK(error_of([&] { auto unused = bench.manager.join("alice", room); }) ==
          errc::invalid_room_name);
    CHECK(error_of([&] { auto unused = bench.manager.connect(bench.socket(), {.rooms = room}); }) ==
          errc::invalid_room_name);
    CHECK(error_of([&] { auto unused = bench.manager.broadcast_text("t", {.room = room}); }) ==
          errc::invalid_room_name);
    CHECK(error_of([&] {
            bench.manager.post_text("t", {.rooms = {"ok", room}});
          }) == errc::invalid_room_name);
  }
  CHECK(contains(message_of([&] { auto unused = bench.manager.join("alice", "1\n3456"); }),
                 R"(room "1\x0a3456" has 6 bytes, 5 are allowed)"));
  CHECK(bench.manager.list_rooms() == Strings{"12345"});
}

// --- what may happen meanwhile ---

TEST_CASE("a peer that leaves while it is admitted is not registered", "[admission]") {
  Gate gate;
  FakeBench bench({.on_connect = [&](Socket&, json&) -> awaitable<bool> {
    co_await gate.pass();
    co_return true;
  }});
  const auto socket = bench.socket();
  const auto connecting = bench.start(bench.manager.connect(socket, {.rooms = {"lobby"}}));
  socket->peer_closes(1001);
  gate.open();
  bench.settle();
  CHECK(error_of([&] { connecting->take(); }) == errc::connection_closed);
  CHECK(bench.manager.total_connections() == 0);
  CHECK(bench.manager.list_rooms().empty());
}

TEST_CASE("cancelling a connect or a join leaves nothing behind", "[admission]") {
  int asked = 0;
  FakeBench bench(
      {.max_connections = 1,
       .room_validator = [&](std::string_view room, FakeConnection&) -> awaitable<bool> {
         ++asked;
         if (room == "slow") co_await wait_for_ever();
         co_return true;
       },
       .on_connect = [&](Socket&, json& metadata) -> awaitable<bool> {
         ++asked;
         if (metadata.contains("slow")) co_await wait_for_ever();
         co_return true;
       }});
  json slow;
  slow["slow"] = true;
  const auto socket = bench.socket();
  const auto in_on_connect = bench.start(bench.manager.connect(socket, {.metadata = slow}));
  in_on_connect->cancel();
  bench.settle();
  CHECK_THROWS_AS(in_on_connect->take(), boost::system::system_error);

  const auto in_validator = bench.start(
      bench.manager.connect(socket, {.connection_id = "alice", .rooms = {"a", "slow"}}));
  in_validator->cancel();
  bench.settle();
  CHECK_THROWS_AS(in_validator->take(), boost::system::system_error);
  check_nothing_is_left(bench, socket);
  CHECK(bench.log.count("connection_denied") + bench.log.count("join_denied") == 0);
  CHECK(bench.manager.stats().refused == 0);

  bench.connect("alice", {"a"});  // the place is free again
  const auto joining = bench.start(bench.manager.join("alice", "slow"));
  joining->cancel();
  bench.settle();
  CHECK_THROWS_AS(joining->take(), boost::system::system_error);
  CHECK(bench.manager.list_rooms() == Strings{"a"});
  CHECK(asked == 7);
}

// --- users ---

TEST_CASE("a connection belongs to the user that it names, or else to its id", "[admission]") {
  FakeBench bench;
  const auto phone =
      bench.run(bench.manager.connect(bench.socket(), {.connection_id = "1", .user = "ann"}));
  const auto laptop =
      bench.run(bench.manager.connect(bench.socket(), {.connection_id = "2", .user = "ann"}));
  const auto other = bench.run(bench.manager.connect(bench.socket(), {.connection_id = "bob"}));
  CHECK(phone->user() == "ann");
  CHECK(other->user() == "bob");
  const auto ids = [&](std::string_view user) {
    std::set<std::string> found;
    for (const auto& connection : bench.manager.connections_of(user))
      found.insert(connection->id());
    return found;
  };
  CHECK(ids("ann") == std::set<std::string>{"1", "2"});
  CHECK(ids("bob") == std::set<std::string>{"bob"});
  CHECK(ids("1").empty());  // this connection names another user
  CHECK(ids("eve").empty());
  // A connection without a user, whose id is the name of one.
  const auto namesake = bench.run(bench.manager.connect(bench.socket(), {.connection_id = "ann"}));
  CHECK(ids("ann") == std::set<std::string>{"1", "2", "ann"});
  bench.run(bench.manager.disconnect("1"));
  CHECK(ids("ann") == std::set<std::string>{"2", "ann"});
  CHECK(phone->user() == "ann");  // also afterwards
  bench.run(bench.manager.disconnect("2"));
  CHECK(ids("ann") == std::set<std::string>{"ann"});
}

TEST_CASE("a connection that is refused belongs to no user", "[admission]") {
  FakeBench bench({.room_validator = [](std::string_view, FakeConnection&) { return false; }});
  const auto connecting = [&] {
    bench.run(bench.manager.connect(bench.socket(), {.rooms = {"lobby"}, .user = "ann"}));
  };
  CHECK(error_of(connecting) == errc::join_denied);
  CHECK(bench.manager.connections_of("ann").empty());
}

TEST_CASE("the name and the information of a user are checked at the call", "[admission]") {
  FakeBench bench;
  const auto trying = [&](std::string_view user, const json& info) {
    return [&bench, user, info] {
      (void)bench.manager.connect(bench.socket(), {.user = user, .user_info = info});
    };
  };
  const std::string longest(255, 'x');
  const json nothing;
  CHECK_NOTHROW(trying(longest, json(std::string(1022, 'i')))());
  for (const std::string& user :
       {std::string(), longest + "x", std::string("a\xFFz"), std::string("a\nz")}) {
    CHECK(error_of(trying(user, nothing)) == errc::invalid_user);
  }
  CHECK(contains(message_of(trying("a\nz", nothing)), "user \"a\\x0az\" has a control character"));
  CHECK(error_of(trying("ann", json(std::string(1023, 'i')))) == errc::invalid_user);
  CHECK(contains(message_of(trying("ann", json(std::string(1023, 'i')))),
                 "user_info of \"ann\" has 1025 bytes, 1024 are allowed"));
  CHECK(error_of(trying("ann", json("\xFF"))) == errc::invalid_json);
}

}  // namespace
}  // namespace roost
