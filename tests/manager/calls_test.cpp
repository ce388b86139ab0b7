// SPDX-License-Identifier: MIT
// Every spelling of the calls, inside co_await expressions: what g++ 12 and ASan have to say.
#include <roost/roost.hpp>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using FakeBench = Bench<FakeWebSocket>;
using FakeManager = FakeBench::Manager;
using ConnectionPtr = FakeBench::ConnectionPtr;
using Strings = std::vector<std::string>;

// Longer than any small buffer, so that ASan sees what is destroyed too early.
const std::string lobby = "the lobby, where everyone is who is nowhere else";
const std::string attic = "the attic, where nobody goes at night or by day";
const std::string alice_id = "alice, whose name is long enough for the heap";
const std::string bob_id = "bob, whose name is also long enough for the heap";

std::string number(int i) { return std::to_string(i); }

awaitable<> connects(FakeManager& manager, Strings& ids) {
  const auto socket = [] { return std::make_shared<FakeWebSocket>(); };
  json metadata;
  metadata["user"] = "ann";
  const json array = json::array({1, 2});
  const Strings rooms{lobby, attic};
  const std::vector<std::string_view> views{lobby, attic};
  const std::array<std::string_view, 2> view_array{lobby, attic};
  const std::string id = "1";
  const std::string_view view = "2";

  auto connection = co_await manager.connect(socket());
  ids.push_back("random");
  connection = co_await manager.connect(socket(), {.connection_id = "0"});
  ids.push_back(connection->id());
  connection = co_await manager.connect(socket(), {.connection_id = id, .rooms = "lobby"});
  ids.push_back(connection->id());
  connection = co_await manager.connect(socket(), {.connection_id = view, .rooms = {"lobby"}});
  ids.push_back(connection->id());
  connection = co_await manager.connect(
      socket(),
      {.connection_id = number(3), .metadata = metadata, .rooms = {"lobby", lobby, lobby + "!"}});
  ids.push_back(connection->id() + " " + number(static_cast<int>(connection->rooms().size())));
  connection =
      co_await manager.connect(socket(), {.connection_id = alice_id + "4", .rooms = rooms});
  ids.push_back(connection->id() + " " + number(static_cast<int>(connection->rooms().size())));
  connection = co_await manager.connect(
      socket(), {.connection_id = std::string("5"), .metadata = array, .rooms = views});
  ids.push_back(connection->id() + " " + connection->metadata().dump());
  connection = co_await manager.connect(socket(), {.rooms = view_array});
  ids.push_back(connection->rooms().front());
  connection = co_await manager.connect(
      socket(), {.connection_id = "0", .on_duplicate = OnDuplicate::replace});
  ids.push_back(connection->id());
}

TEST_CASE("connecting in every spelling", "[calls]") {
  FakeBench bench;
  Strings ids;
  bench.run(connects(bench.manager, ids));
  CHECK(ids == Strings{"random", "0", "1", "2", "3 3", alice_id + "4 2", "5 [1,2]", attic, "0"});
}

awaitable<> broadcasts(FakeManager& manager, std::size_t& count) {
  const Strings rooms{lobby, attic};
  const Strings ids{"x", "y"};
  const std::string text = "text";
  const std::string_view view = text;
  const std::array<std::string_view, 2> views{lobby, attic};
  const json value = {{"n", 1}};
  const std::array<std::byte, 2> bytes{};
  const std::vector<std::byte> vector(3);

  count += co_await manager.broadcast_text("literal");
  count += co_await manager.broadcast_text(text);
  count += co_await manager.broadcast_text(view);
  count += co_await manager.broadcast_text("a temporary text, long enough, and " + text);
  count += co_await manager.broadcast_text(text, {.room = "the lobby"});
  count += co_await manager.broadcast_text(text, {.room = lobby});
  count += co_await manager.broadcast_text(text, {.room = lobby + "", .exclude = {bob_id + ""}});
  count += co_await manager.broadcast_text(text, {.rooms = {lobby, attic}});
  count += co_await manager.broadcast_text(text, {.rooms = rooms, .exclude = ids});
  count += co_await manager.broadcast_text(text, {.rooms = views});
  count += co_await manager.broadcast_text(text, {.rooms = Strings(2, lobby)});
  count += co_await manager.broadcast_text(text, {.room = lobby, .rooms = {attic}});
  count += co_await manager.broadcast_text(text, {.exclude = "x"});
  count += co_await manager.broadcast_text(text, {.exclude = {alice_id, bob_id, "x" + text}});
  count += co_await manager.broadcast_text(number(7), {.rooms = {std::string(lobby), view}});
  count += co_await manager.broadcast_json(value);
  count += co_await manager.broadcast_json(value, {.room = lobby, .exclude = {alice_id}});
  count += co_await manager.broadcast_bytes(bytes);
  count += co_await manager.broadcast_bytes(vector, {.room = lobby});
  count += co_await manager.broadcast_bytes(std::as_bytes(std::span(text)), {.rooms = {attic}});
  if (const bool ok = co_await manager.send_to(alice_id, "literal")) count += ok;
  if (const bool ok = co_await manager.send_to(alice_id + "", text + " and more of it"))
    count += ok;
  if (const bool ok = co_await manager.send_to(alice_id, view)) count += ok;
  if (const bool ok = co_await manager.send_to(alice_id, bytes)) count += ok;
  if (const bool ok = co_await manager.send_to(alice_id, vector)) count += ok;
  if (const bool ok = co_await manager.send_to(alice_id, value)) count += ok;
}

TEST_CASE("sending in every spelling", "[calls]") {
  FakeBench bench;
  const auto a = bench.connect(alice_id, {lobby});
  const auto b = bench.connect(bob_id, {attic});
  std::size_t count = 0;
  bench.run(broadcasts(bench.manager, count));
  CHECK(a->sent().size() + b->sent().size() == count);
  CHECK(count == 8 + 0 + 1 + 1 + 2 + 2 + 2 + 1 + 2 + 2 + 0 + 1 + 2 + 0 + 2 + 1 + 1 + 6);
}

awaitable<> others(FakeManager& manager, Strings& log) {
  const std::string id = "x";
  if (co_await manager.join(alice_id + "", attic + "")) log.emplace_back("joined");
  if (co_await manager.leave(alice_id, attic)) log.emplace_back("left");
  if (co_await manager.close(bob_id, 4000, "a reason of some length, made of " + id)) {
    log.emplace_back("closed");
  }
  if (!co_await manager.disconnect("nobody at all, by a long name, " + id)) {
    log.emplace_back("unknown");
  }
  if (const auto connection = manager.find(alice_id)) {
    const json value = {{"n", 1}};
    co_await connection->send_text("a text of some length, made of " + id);
    co_await connection->send_json(value);
    co_await connection->send_bytes(std::as_bytes(std::span(id)));
    log.push_back(co_await manager.receive_text(*connection));
    log.push_back(co_await manager.receive_text(*connection, 1000));
    log.push_back((co_await manager.next_text(*connection)).value_or("end"));
    log.push_back((co_await manager.receive_json(*connection)).dump());
    log.push_back((co_await manager.receive(*connection)).payload);
  }
  log.push_back(number(static_cast<int>(co_await manager.close_all(1001, {.deadline = 5s}))));
}

TEST_CASE("the other calls in every spelling", "[calls]") {
  FakeBench bench;
  const auto a = bench.connect(alice_id, {lobby});
  const auto b = bench.connect(bob_id, {lobby});
  for (const char* text : {"a", "b", "c", "{}", "e"}) a->peer_sends(text);
  Strings log;
  bench.run(others(bench.manager, log));
  CHECK(log == Strings{"joined", "left", "closed", "unknown", "a", "b", "c", "{}", "e", "1"});
  CHECK(b->close_reason() == "a reason of some length, made of x");
}

awaitable<> serve_one(FakeManager& manager, std::shared_ptr<FakeWebSocket> socket,
                      std::string greeting, SessionOutcome& outcome) {
  // A handler with captures that own memory gets a name first.
  const auto handler = [&manager, greeting](ConnectionPtr connection) -> awaitable<> {
    co_await connection->send_text(greeting);
    while (const auto text = co_await manager.next_text(*connection)) {
      co_await manager.broadcast_text(greeting + ", " + *text, {.exclude = {connection->id()}});
    }
  };
  outcome = co_await manager.session(
      socket, {.connection_id = alice_id + "", .rooms = {lobby + ""}}, handler);
}

TEST_CASE("a handler's captures live as long as its session", "[calls]") {
  FakeBench bench;
  const auto socket = std::make_shared<FakeWebSocket>();
  const auto other = bench.connect(bob_id);
  SessionOutcome outcome;
  const auto serving = bench.start(
      serve_one(bench.manager, socket, "a greeting that does not fit a small buffer", outcome));
  socket->peer_sends("hello");
  bench.settle();
  CHECK(socket->sent_texts() == Strings{"a greeting that does not fit a small buffer"});
  CHECK(other->sent_texts() == Strings{"a greeting that does not fit a small buffer, hello"});
  socket->peer_closes(1001);
  bench.settle();
  CHECK(serving->is_done());
  CHECK(outcome.code == 1001);
}

TEST_CASE("a handler may be a function, and a lambda made on the spot if it owns nothing",
          "[calls]") {
  FakeBench bench;
  struct Functions {
    static awaitable<> handle(ConnectionPtr connection) { co_await connection->send_text("f"); }
    static awaitable<> run(FakeManager& manager, std::shared_ptr<FakeWebSocket> one,
                           std::shared_ptr<FakeWebSocket> two) {
      co_await manager.session(one, {.rooms = {lobby}}, &Functions::handle);
      co_await manager.session(two, {}, [](ConnectionPtr connection) -> awaitable<> {
        co_await connection->send_text("l");
      });
    }
  };
  const auto one = std::make_shared<FakeWebSocket>();
  const auto two = std::make_shared<FakeWebSocket>();
  bench.run(Functions::run(bench.manager, one, two));
  CHECK(one->sent_texts() == Strings{"f"});
  CHECK(two->sent_texts() == Strings{"l"});
}

TEST_CASE("arguments are consumed before a call returns", "[calls]") {
  FakeBench bench;
  const auto a = bench.connect(alice_id, {lobby});
  const auto b = bench.connect(bob_id, {lobby});
  const auto connection = bench.manager.find(alice_id);

  // The arguments of the calls are gone when the awaitables run.
  auto scratch = std::make_unique<Strings>(
      Strings{lobby, attic, alice_id, bob_id, "text of some length, and more"});
  auto value = std::make_unique<json>(Strings{"a string of some length in JSON"});
  auto& s = *scratch;
  const auto socket = std::make_shared<FakeWebSocket>();
  std::optional<awaitable<std::size_t>> one =
      bench.manager.broadcast_text(s[4], {.room = s[0], .rooms = {s[1], s[0]}, .exclude = {s[3]}});
  std::optional<awaitable<std::size_t>> two =
      bench.manager.broadcast_json(*value, {.rooms = s, .exclude = s[3]});
  std::optional<awaitable<std::size_t>> three =
      bench.manager.broadcast_bytes(std::as_bytes(std::span(s[4])), {.exclude = Strings{s[3]}});
  std::optional<awaitable<bool>> four = bench.manager.send_to(s[2], s[4]);
  std::optional<awaitable<bool>> five = bench.manager.send_to(s[2], *value);
  std::optional<awaitable<bool>> six = connection->send_text(s[4]);
  std::optional<awaitable<bool>> seven = bench.manager.join(s[2], s[1]);
  std::optional<awaitable<bool>> eight = bench.manager.leave(s[2], s[1]);
  std::optional<awaitable<bool>> nine = bench.manager.close(s[2], 4000, s[4]);
  s[2] += " the second";
  std::optional<awaitable<ConnectionPtr>> ten =
      bench.manager.connect(socket, {.connection_id = s[2], .metadata = *value, .rooms = s});
  bench.manager.post_text(s[4], {.room = s[0], .exclude = {s[3]}});
  bench.manager.post_json(*value, {.rooms = s, .exclude = {s[3]}});
  scratch.reset();
  value.reset();

  bench.settle();  // the posts
  CHECK(bench.run(*std::move(one)) == 1);
  CHECK(bench.run(*std::move(two)) == 1);
  CHECK(bench.run(*std::move(three)) == 1);
  CHECK(bench.run(*std::move(four)));
  CHECK(bench.run(*std::move(five)));
  CHECK(bench.run(*std::move(six)));
  CHECK(bench.run(*std::move(seven)));
  CHECK(bench.run(*std::move(eight)));
  CHECK(bench.run(*std::move(nine)));
  CHECK(bench.run(*std::move(ten))->rooms().size() == 5);
  Strings payloads;
  for (const Message& message : a->sent()) payloads.push_back(message.payload);
  const std::string text = "text of some length, and more";
  const std::string dumped = R"(["a string of some length in JSON"])";
  CHECK(payloads == Strings{text, dumped, text, dumped, text, text, dumped, text});
  CHECK(a->close_reason() == text);
  CHECK(b->sent().empty());
}

TEST_CASE("a call may be spawned with temporaries for arguments", "[calls]") {
  FakeBench bench;
  const auto a = bench.connect(alice_id, {lobby});
  for (int i = 0; i < 3; ++i) {
    boost::asio::co_spawn(
        bench.context,
        bench.manager.broadcast_text("a text of some length, number " + number(i),
                                     {.room = std::string(lobby), .exclude = {number(i)}}),
        boost::asio::detached);
  }
  bench.settle();
  CHECK(a->sent_texts() == Strings{"a text of some length, number 0",
                                   "a text of some length, number 1",
                                   "a text of some length, number 2"});
}

TEST_CASE("a call that is never awaited does nothing", "[calls]") {
  FakeBench bench;
  const auto a = bench.connect(alice_id);
  {
    auto never = bench.manager.broadcast_text("never");
    auto neither = bench.manager.disconnect(alice_id);
  }
  bench.settle();
  CHECK(a->sent().empty());
  CHECK(bench.manager.total_connections() == 1);
}

// A JSON value that would dangle does not compile; nor does what is neither text nor bytes nor
// JSON.
template <class T>
concept IsMetadata = std::is_convertible_v<T, JsonView>;
static_assert(IsMetadata<const json&> && IsMetadata<json&> && !IsMetadata<json>);
template <class T>
concept CanBeSent = requires(FakeManager& manager, T value) { manager.send_to("id", value); };
static_assert(CanBeSent<std::string> && CanBeSent<const char*> && CanBeSent<json> &&
              CanBeSent<std::vector<std::byte>> && CanBeSent<std::span<const std::byte>>);
static_assert(!CanBeSent<int> && !CanBeSent<std::vector<int>>);
static_assert(!std::is_copy_constructible_v<FakeManager> &&
              !std::is_move_constructible_v<FakeManager>);

}  // namespace
}  // namespace roost
