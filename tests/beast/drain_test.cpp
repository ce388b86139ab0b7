// SPDX-License-Identifier: MIT
// The end of a server as its clients see it.
#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "beast/support/open_files.hpp"
#include "beast/support/server.hpp"

namespace roost {
namespace {

using namespace test;

TEST_CASE("a drain of 5000 connections ends close_timeout after the last, with every count right",
          "[drain]") {
  constexpr std::size_t total = 5'000;
  constexpr std::size_t silent_each = 10;  // one in so many never answers
  allow_open_files(2 * total + 200);
  Server server;
  server.handler = [&](ConnectionPtr connection) { return server.swallow(std::move(connection)); };

  std::deque<BeastClient> answering;
  std::deque<RawClient> silent;
  for (std::size_t i = 0; i < total; ++i) {
    if (i % silent_each == 0) {
      silent.push_back(server.request("/?room=lobby"));
    } else {
      answering.push_back(server.beast_client("/?room=lobby"));
    }
    // Not more at once than the kernel keeps for a listener.
    if (i % 100 == 99) server.until([&] { return server.manager.total_connections() == i + 1; });
  }
  server.manager.post_text("before");
  const auto drain = server.start(server.manager.drain({.deadline = 10s, .spread = 4s}));
  server.settle();
  for (int step = 0; step < 8; ++step) server.pass(500ms);
  const auto closed = server.manager.stats().ended_by(DisconnectReason::draining);
  CHECK(closed == total);
  server.until([&] {
    return std::all_of(answering.begin(), answering.end(), [](auto& c) { return c.is_over(); });
  });
  CHECK_FALSE(drain->is_done());  // some have not answered
  server.pass(4s);
  server.let_others_work();
  CHECK_FALSE(drain->is_done());
  server.pass(1s);  // the deadline is one second later
  server.until([&] { return drain->is_done(); });

  const DrainReport report = drain->take();
  CHECK(report.connections == total);
  CHECK(report.closed == total - total / silent_each);
  CHECK(report.aborted == total / silent_each);
  CHECK(report.left == 0);
  CHECK(report.unfinished == 0);
  std::size_t wrong = 0;
  for (const BeastClient& client : answering) {
    const bool is_right = client.close_code() == 1012 &&
                          client.close_reason().starts_with("retry-ms=") &&
                          client.texts() == std::vector<std::string>{"before"};
    wrong += is_right ? 0 : 1;
  }
  CHECK(wrong == 0);
  server.until([&] {
    return std::all_of(silent.begin(), silent.end(), [](auto& c) { return c.is_gone(); });
  });
  for (const RawClient& client : silent) {
    const auto close = client.closed_with();
    wrong += close && client.texts() == std::vector<std::string>{"before"} ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a client that comes during a drain is asked to come back later", "[drain]") {
  Server server;
  RawClient silent = server.join("silent");
  RawClient early = server.connect();  // its request is still to come
  const auto drain = server.start(server.manager.drain({.deadline = 5s, .retry_after = 2s}));
  server.settle();
  RawClient late = server.request("/?id=late");
  server.until([&] { return late.is_gone(); });
  REQUIRE(late.reply());
  CHECK(late.reply()->status == 503);
  const int seconds = std::stoi(late.reply()->header("retry-after").value_or("0"));
  CHECK(seconds >= 2);
  CHECK(seconds <= 12);
  CHECK(server.upgrades == 1);
  server.pass(5s);
  server.until([&] { return drain->is_done() && silent.is_gone() && early.is_gone(); });
  CHECK(drain->take().aborted == 1);
  // Nobody listens any more.
  boost::system::error_code error;
  tcp::socket socket(server.context);
  socket.connect(server.endpoint(), error);
  CHECK(error == boost::asio::error::connection_refused);
}

TEST_CASE("a client between its upgrade and its session is refused by a close frame", "[drain]") {
  Server server;
  test::Gate gate;
  const auto serve = server.on_upgrade;
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    co_await gate.pass();
    co_await serve(std::move(upgrade));
  };
  RawClient silent = server.request("/");
  server.until([&] { return gate.arrived() == 1; });
  const auto drain = server.start(server.manager.drain({.deadline = 5s, .code = 1001}));
  server.settle();
  CHECK_FALSE(drain->is_done());
  gate.open();
  server.until([&] { return silent.closed_with().has_value(); });
  CHECK(silent.closed_with()->payload.substr(0, 2) == std::string("\x03\xE9"));
  CHECK(contains(silent.closed_with()->payload, "retry-ms="));
  SECTION("that answers") { silent.close(); }
  SECTION("that does not, until the deadline") {
    server.pass(4999ms);
    CHECK_FALSE(drain->is_done());
    server.pass(1ms);
  }
  server.until([&] { return drain->is_done(); });
}

TEST_CASE("when a drain returns, nothing of the server runs any more", "[drain]") {
  Server server;
  const auto serve = server.on_upgrade;
  server.on_upgrade = [&](Upgrade upgrade) -> awaitable<> {
    if (upgrade.path() == "/wait") co_await wait_for_ever();
    if (upgrade.path() == "/no") co_return co_await upgrade.reject(403);
    co_await serve(std::move(upgrade));
  };
  std::vector<RawClient> clients;
  const auto come = [&](std::string_view target) {
    clients.push_back(server.request(target));
    server.let_others_work();
  };
  come("/?id=member");
  come("/wait");                        // the application has not decided
  come("/no");                          // has its answer, and keeps its side open
  clients.push_back(server.connect());  // its request is still to come
  clients.back().send("GET / HTTP/1.1");
  clients.push_back(server.connect());  // says nothing at all
  server.let_others_work();
  CHECK(server.upgrades == 3);
  CHECK(server.manager.total_connections() == 1);

  std::size_t left_running = 99;
  const auto drain_and_look = [&]() -> awaitable<DrainReport> {
    const DrainReport report = co_await server.manager.drain({.deadline = 5s});
    left_running = running(server.context);
    co_return report;
  };
  const auto drain = server.start(drain_and_look());
  server.settle();
  come("/?id=late");  // gets its 503, and keeps its side open
  CHECK(clients.back().reply()->status == 503);
  server.pass(4999ms);
  server.let_others_work();
  CHECK_FALSE(drain->is_done());
  server.pass(1ms);
  server.until([&] { return drain->is_done(); });
  CHECK(drain->take().aborted == 1);
  CHECK(left_running == 1);  // `start` itself
  server.until([&] {
    return std::all_of(clients.begin(), clients.end(), [](auto& c) { return c.is_gone(); });
  });
}

TEST_CASE("messages that a real socket still has to take are flushed in a drain", "[drain]") {
  Server server;
  server.handler = [&](ConnectionPtr connection) { return server.swallow(std::move(connection)); };
  RawClient slow = server.join("slow");
  slow.stop_reading();
  const std::string large(1'000'000, 'x');
  for (int i = 0; i < 3; ++i) server.manager.post_text(large);  // more than a socket's buffer
  server.settle();
  CHECK(server.manager.stats().queued_bytes > 0);
  const auto drain = server.start(server.manager.drain({.deadline = 5s}));
  server.let_others_work();
  CHECK_FALSE(drain->is_done());
  slow.resume_reading();
  server.until([&] { return slow.closed_with().has_value(); });
  CHECK(slow.texts() == std::vector<std::string>(3, large));
  slow.close();
  server.until([&] { return drain->is_done(); });
  CHECK(drain->take().closed == 1);
}

TEST_CASE("a listener ends with its manager, and none begins after a drain", "[drain]") {
  ManualClock clock;
  boost::asio::io_context context;
  std::optional<Manager> manager;
  manager.emplace(context.get_executor(), Manager::Options{.clock = &clock});
  const auto wait = [](Upgrade) -> awaitable<> { co_await wait_for_ever(); };
  SECTION("destroyed, with clients in every state") {
    const Listener listener = listen(*manager, any_port(), {.stream = {.clock = &clock}}, wait);
    RawClient early(context, listener.local_endpoint(), {});
    RawClient waiting(context, listener.local_endpoint(), {});
    waiting.send(upgrade_request("/"));
    run_until(context, [&] { return running(context) >= 5; });
    testing::run_ready(context);
    manager.reset();
    run_until(context, [&] { return early.is_gone() && waiting.is_gone(); });
    testing::run_ready(context);
    CHECK(running(context) == 0);
    boost::system::error_code error;
    tcp::socket socket(context);
    socket.connect(listener.local_endpoint(), error);
    CHECK(error == boost::asio::error::connection_refused);
  }
  SECTION("too late") {
    testing::run(context, manager->drain());
    CHECK(error_of([&] { (void)listen(*manager, any_port(), {}, wait); }) == errc::draining);
  }
}

TEST_CASE("a listener that shares its port leaves it to the others when a drain begins",
          "[drain]") {
  ServerOptions options;
  options.listen.reuse_port = true;
  Server server(std::move(options));
  RawClient silent = server.join("silent");
  // Comes while the loop is busy with something else.
  RawClient queued = server.request("/?id=queued");
  const auto drain = server.start(server.manager.drain({.deadline = 5s, .retry_after = 2s}));
  server.until([&] { return queued.is_gone(); });
  REQUIRE(queued.reply());
  CHECK(queued.reply()->status == 503);
  CHECK_FALSE(drain->is_done());
  // Of two listeners on one port, the other gets all.
  boost::system::error_code error;
  tcp::socket newcomer(server.context);
  newcomer.connect(server.endpoint(), error);
  CHECK(error == boost::asio::error::connection_refused);
  server.pass(5s);
  server.until([&] { return drain->is_done() && silent.is_gone(); });
}

TEST_CASE("a health check is answered during a drain", "[drain]") {
  ServerOptions options;
  options.listen.on_http = [](const HttpRequest&) {
    HttpResponse response;
    response.body() = "draining\n";
    return response;
  };
  Server server(std::move(options));
  RawClient silent = server.join("silent");
  const auto drain = server.start(server.manager.drain({.deadline = 5s}));
  server.settle();
  RawClient probe = server.connect();
  probe.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  server.until([&] { return probe.is_gone(); });
  REQUIRE(probe.reply());
  CHECK(probe.reply()->status == 200);
  CHECK(probe.reply()->body == "draining\n");
  server.pass(5s);
  server.until([&] { return drain->is_done(); });
}

TEST_CASE("a request that does not end costs a drain close_timeout, however early it has begun",
          "[drain]") {
  Server server;
  const bool is_early = GENERATE(true, false);
  RawClient client = server.connect();
  RawClient silent = server.join("silent");  // so that the drain goes on
  const auto begin_request = [&] {
    client.send("GET / HTTP/1.1\r\nHost:");
    server.until([&] { return client.unsent() == 0; });
    server.settle();
  };
  if (is_early) begin_request();
  const auto drain = server.start(server.manager.drain());
  server.settle();
  if (!is_early) begin_request();
  server.pass(4s);
  CHECK_FALSE(client.is_gone());
  server.pass(1s);
  server.until([&] { return client.is_gone() && drain->is_done(); });
}

}  // namespace
}  // namespace roost
