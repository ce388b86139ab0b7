// SPDX-License-Identifier: MIT
// Replicas that are none of ours: redis-cli, and Python in the manner of hawkapi-websockets.
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/cluster.hpp>
#include <roost/connection_manager.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "redis/redis_world.hpp"
#include "support/bench.hpp"

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
  publish("no JSON");
  publish(R"({"kind": "text", "room": "lobby", "payload": "end"})");
  replica.until_alice_got({"t\xC3\xA9xt", R"({"n":[1,null]})", "1", "2", "end"});
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
