// SPDX-License-Identifier: MIT
// Replicas that are none of ours: redis-cli, and Python in the manner of hawkapi-websockets.
#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/backplane/cluster.hpp>
#include <roost/manager/connection_manager.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "redis/redis_world.hpp"
#include "support/bench.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using Strings = std::vector<std::string>;

// A replica of ours with the default options, and Alice in the lobby.
struct OurReplica : RedisWorld {
  RedisBackplane backplane;
  ConnectionManager<FakeWebSocket> manager;
  Cluster cluster;
  std::shared_ptr<FakeWebSocket> alice = std::make_shared<FakeWebSocket>();

  explicit OurReplica(RedisServer& its_server)
      : RedisWorld(its_server),
        backplane(context.get_executor(), {.url = server.url(), .logger = log.logger()}),
        manager(context.get_executor(), {.logger = log.logger()}),
        cluster(bind_manager(backplane, manager)) {
    run(manager.connect(alice, {.connection_id = "alice", .rooms = {"lobby"}}));
    run(backplane.start());
  }
  void until_alice_got(const Strings& texts) {
    until([&] { return alice->sent().size() >= texts.size(); });
    CHECK(alice->sent_texts() == texts);
  }
};

TEST_CASE("redis-cli publishes what hawkapi-websockets would", "[redis]") {
  RedisServer server;
  OurReplica replica(server);
  const auto publish = [&](std::string_view message) {
    const std::string count = output_of(
        {"redis-cli", "-s", server.socket(), "publish", "hawkapi:ws", std::string(message)});
    CHECK(count == "1\n");
  };
  publish(R"({"kind": "text", "room": "lobby", "payload": "t\u00e9xt", "exclude": []})");
  publish(R"({"kind": "json", "room": "lobby", "payload": {"n": [1, null]}, "exclude": null})");
  publish(R"({"room": "lobby", "payload": 1})");
  publish(R"({"kind": "text", "room": "lobby", "payload": 2})");
  publish(R"({"kind": "text", "room": "lobby", "payload": "no", "exclude": ["alice"]})");
  publish(R"({"kind": "text", "room": null, "payload": "to everyone", "exclude": []})");
  publish(R"({"kind": "json", "room": "lobby", "payload": {"z": "\ud83d", "a": 1e999}})");
  publish(R"({"node": "n", "kind": "json", "room": "lobby", "payload": ["\udc00", 1E5], "x": 1})");
  publish(R"({"kind": "text", "room": "lobby", "payload": "cut \ud83d"})");
  publish("no JSON");
  publish(R"({"kind": "text", "room": "lobby", "payload": "end"})");
  // JSON as its publisher wrote it, which is how hawkapi-websockets would send it.
  replica.until_alice_got({"t\xC3\xA9xt", R"({"n": [1, null]})", "1", "2",
                           R"({"z": "\ud83d", "a": 1e999})", R"(["\udc00", 1E5])",
                           "cut \xEF\xBF\xBD", "end"});
}

TEST_CASE("redis-cli sees what hawkapi-websockets would publish", "[redis]") {
  RedisServer server;
  OurReplica replica(server);
  Pipe pipe;
  const Process listener({"redis-cli", "-s", server.socket(), "subscribe", "hawkapi:ws"},
                         pipe.writer());
  pipe.close_writer();
  pipe.read_until("hawkapi:ws\n1\n");
  const auto sent = replica.run(
      replica.cluster.broadcast_text("text", {.room = "lobby", .exclude = {"bob", "carol"}}));
  CHECK(sent.receivers == 2U);
  const std::string line = pipe.read_until("}\n");
  json message = json::parse(line.substr(line.find('{')));
  for (const char* ours : {"v", "node", "epoch", "seq"}) message.erase(ours);
  CHECK(message == json{{"kind", "text"},
                        {"room", "lobby"},
                        {"payload", "text"},
                        {"exclude", {"bob", "carol"}}});
}

// One of three, in a process of its own: on "go" it publishes its number, and ends with all three.
TEST_CASE("a process of its own", "[.replica]") {
  boost::asio::io_context context;
  RedisBackplane backplane(context.get_executor(), {.url = std::getenv("ROOST_TEST_REDIS")});
  const json mine = numbered(std::atoi(std::getenv("ROOST_TEST_NUMBER")));
  std::vector<int> got;
  backplane.on([&](const json& message) {
    if (message.contains("go")) {
      boost::asio::co_spawn(context, backplane.publish(mine), [](auto&&...) {});
    } else {
      got.push_back(message.at("n"));
    }
    if (message.contains("end")) context.stop();
  });
  const auto start = detail::Child<void>::start(context.get_executor(), backplane.start());
  testing::run_until(context, [&] { return start->is_done(); });
  start->take();
  std::cout << "ready" << std::endl;
  context.restart();
  context.run();
  std::sort(got.begin(), got.end());
  std::cout << "got " << json(got).dump() << std::endl;
}

TEST_CASE("each of three processes reaches all three, once", "[redis]") {
  RedisServer server;
  constexpr int count = 3;
  std::array<Pipe, count> pipes;
  std::vector<std::unique_ptr<Process>> processes;
  for (int n = 0; n < count; ++n) {
    const std::vector<std::string> command{"/usr/bin/env", "ROOST_TEST_REDIS=" + server.url(),
                                           "ROOST_TEST_NUMBER=" + std::to_string(n),
                                           std::filesystem::read_symlink("/proc/self/exe"),
                                           "[.replica]"};
    Pipe& pipe = pipes.at(static_cast<std::size_t>(n));
    processes.push_back(std::make_unique<Process>(command, pipe.writer()));
    pipe.close_writer();
  }
  for (Pipe& pipe : pipes) pipe.read_until("ready\n");
  // Hears the three, so that the end comes after them.
  RedisWorld world(server);
  const auto listener = std::make_unique<RedisBackplane>(world.context.get_executor(),
                                                         RedisOptions{.url = server.url()});
  std::size_t heard = 0;
  listener->on([&](const json& message) { heard += message.contains("n") ? 1 : 0; });
  world.run(listener->start());
  server.ask({"PUBLISH", "hawkapi:ws", R"({"go":true})"});
  world.until([&] { return heard == count; });
  server.ask({"PUBLISH", "hawkapi:ws", R"({"end":true,"n":9})"});
  for (Pipe& pipe : pipes) CHECK(contains(pipe.read_all(), "got [0,1,2,9]\n"));
}

TEST_CASE("a replica in Python and ours share a channel", "[redis]") {
  RedisServer server;
  OurReplica replica(server);
  Pipe pipe;
  const std::string script = std::string(ROOST_TESTS_FOLDER) + "/redis/replica.py";
  const Process python({"/usr/bin/python3", script, server.socket(), "hawkapi:ws"}, pipe.writer());
  pipe.close_writer();
  pipe.read_until("ready\n");
  const json value = {{"n", 1}};
  replica.run(replica.cluster.broadcast_text("t\xC3\xA9xt", {.room = "lobby", .exclude = "bob"}));
  pipe.read_until("text lobby \"t\\u00e9xt\" bob\n");
  replica.until_alice_got({"t\xC3\xA9xt", "python: t\xC3\xA9xt"});
  replica.run(replica.cluster.broadcast_json(value, {.room = "lobby"}));
  pipe.read_until("json lobby {\"n\": 1} \n");
  replica.until_alice_got({"t\xC3\xA9xt", "python: t\xC3\xA9xt", R"({"n":1})", "python: {'n': 1}"});
}

}  // namespace
}  // namespace roost
