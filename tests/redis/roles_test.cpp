// SPDX-License-Identifier: MIT
// A Redis that is a replica, becomes one, or refuses the connection; and a connection that only
// seems to work.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/socket_base.hpp>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <roost/runtime/running.hpp>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "redis/fake_redis.hpp"
#include "redis/redis_world.hpp"
#include "support/bench.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace test;
using namespace std::chrono_literals;

// Two redis-servers, of which one can be made a replica of the other.
struct TwoServers {
  const std::string port = std::to_string(free_port());
  RedisServer primary{{"--port", port, "--bind", "127.0.0.1"}};
  RedisServer server;

  void demote() const { server.ask({"REPLICAOF", "127.0.0.1", port}); }
  void promote() const { server.ask({"REPLICAOF", "NO", "ONE"}); }
  [[nodiscard]] std::string why() const { return "it is a replica of 127.0.0.1:" + port; }
};

TEST_CASE("a Redis that becomes a replica is not subscribed any more, until it is a primary again",
          "[redis]") {
  TwoServers servers;
  ManualClock clock;
  RedisWorld world(servers.server);
  const auto backplane = world.make({.clock = &clock});
  std::vector<RedisState> states;
  world.run(backplane->start());
  world.run(backplane->publish(numbered(1)));  // both connections are there
  backplane->on_state([&](RedisState state) { states.push_back(state); });
  servers.demote();
  clock.advance(30s);
  world.until([&] { return backplane->state() == RedisState::down; });
  world.until([&] { return world.log.count("redis_lost") == 2; });
  CHECK(contains(world.log.last("redis_lost"), servers.why()));
  // Nor is it when it is tried again; now and then that is logged.
  for (int i = 0; i < 40; ++i) {
    clock.advance(3s);
    run_ready(world.context);
  }
  // The first may tell of an attempt that the clock, which jumped ahead of Redis's answer, timed
  // out.
  world.until([&] {
    clock.advance(10ms);
    return contains(world.log.last("redis_not_connected"), servers.why());
  });
  CHECK(states == std::vector{RedisState::down});
  CHECK(world.run(backplane->publish(numbered(2))).error == errc::backplane_unavailable);
  servers.promote();
  world.until([&] {
    clock.advance(10ms);
    return backplane->state() == RedisState::subscribed;
  });
}

TEST_CASE("start fails where Redis is a replica, and says of which", "[redis]") {
  TwoServers servers;
  servers.demote();
  RedisWorld world(servers.server);
  const auto backplane = world.make(RedisOptions{});
  const auto start = [&] { world.run(backplane->start()); };
  CHECK(error_of(start) == errc::backplane_unavailable);
  CHECK(contains(message_of(start), servers.why()));
  CHECK(backplane->state() == RedisState::stopped);
}

std::string replica_of_nobody() {
  return "*5\r\n$5\r\nslave\r\n$4\r\nhost\r\n:6379\r\n$9\r\nconnected\r\n:1\r\n";
}

TEST_CASE("a replica of a Redis Cluster is used: its nodes tell each other", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.role = replica_of_nobody();
  const auto backplane = world.make({.url = fake.url()});
  SECTION("of a cluster") {
    fake.info = "# Server\r\nredis_version:7.0.0\r\nredis_mode:cluster\r\n";
    world.run(backplane->start());
    CHECK(backplane->state() == RedisState::subscribed);
  }
  SECTION("of none") {
    fake.info = "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n";
    const std::string message = message_of([&] { world.run(backplane->start()); });
    CHECK(contains(message, "it is a replica of host:6379"));
  }
  SECTION("a Sentinel") {
    fake.role = "*2\r\n$8\r\nsentinel\r\n*1\r\n$8\r\nmymaster\r\n";
    const std::string message = message_of([&] { world.run(backplane->start()); });
    CHECK(contains(message, "it is a Sentinel"));
  }
}

TEST_CASE("a Redis that may not be asked for its role is used, and that is said once", "[redis]") {
  RedisServer server({"--user", "ann", "on", ">secret", "resetchannels", "&chat*", "-@all",
                      "+publish", "+subscribe"});
  ManualClock clock;
  RedisWorld world(server);
  const auto backplane = world.make({.url = "unix://ann:secret@" + server.socket(),
                                     .channel = "chat",
                                     .min_retry_delay = 1ms,
                                     .max_retry_delay = 1ms,
                                     .clock = &clock});
  world.run(backplane->start());
  CHECK(world.run(backplane->publish(numbered(1))));
  clock.advance(30s);  // it is asked nevertheless, to see whether the connection works
  world.until([&] { return backplane->stats().in_flight > 0; });
  world.until([&] { return backplane->stats().in_flight == 0; });
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  world.until([&] { return backplane->state() == RedisState::down; });
  world.until([&] {
    clock.advance(1ms);
    return backplane->state() == RedisState::subscribed;
  });
  CHECK(world.log.count("redis_role_unknown") == 1);
  CHECK(contains(world.log.last("redis_role_unknown"), "NOPERM"));
}

TEST_CASE("an idle connection that publishes is asked whether it works", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto backplane = world.make({.url = fake.url(), .min_retry_delay = 1ms, .clock = &clock});
  CHECK(world.run(backplane->publish(numbered(1))));
  clock.advance(5s);  // the announcement
  world.until([&] { return fake.published.size() == 2 && backplane->stats().in_flight == 0; });
  fake.is_silent = true;  // as if what is on the way had forgotten the connection
  clock.advance(25s);
  world.until([&] { return backplane->stats().in_flight == 1; });
  clock.advance(5s);
  world.until([&] { return world.log.count("redis_lost") == 1; });
  fake.is_silent = false;
  world.until([&] {
    clock.advance(1ms);
    return backplane->stats().connects == 2;
  });
  // The next message need not find that out.
  const Published published = world.run(backplane->publish(numbered(2)));
  CHECK_FALSE(published.error);
  CHECK(backplane->stats().unknown == 0);
}

TEST_CASE("a demotion is noticed with the next message, which is not taken for sent", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto backplane = world.make({.url = fake.url(), .clock = &clock});
  world.run(backplane->start());
  CHECK_FALSE(world.run(backplane->publish(numbered(1))).error);
  fake.role = replica_of_nobody();
  clock.advance(1s);
  CHECK(world.run(backplane->publish(numbered(2))).error == errc::outcome_unknown);
  world.until([&] { return backplane->state() == RedisState::down; });
}

TEST_CASE("a demotion is noticed within seconds where nothing is sent", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto backplane = world.make({.url = fake.url(), .clock = &clock});
  world.run(backplane->start());
  fake.role = replica_of_nobody();
  clock.advance(5s);
  world.until([&] { return backplane->state() == RedisState::down; });
}

TEST_CASE("a subscriber that finds a replica makes the publisher ask too", "[redis]") {
  TwoServers servers;
  ManualClock clock;
  RedisWorld world(servers.server);
  const auto backplane =
      world.make({.min_retry_delay = 1ms, .max_retry_delay = 1ms, .clock = &clock});
  world.run(backplane->start());
  world.run(backplane->publish(numbered(1)));
  servers.demote();
  servers.server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  world.until([&] { return backplane->state() == RedisState::down; });
  clock.advance(1ms);
  world.until([&] { return world.log.count("redis_lost") == 2; });
  CHECK(contains(world.log.last("redis_lost"), servers.why()));
}

void kill_clients(const RedisServer& server, const std::string& name) {
  const std::string list = server.ask({"CLIENT", "LIST"}).text;
  for (std::size_t at = 0; at < list.size(); at = list.find('\n', at) + 1) {
    const std::string line = list.substr(at, list.find('\n', at) - at);
    if (!contains(line, " name=" + name + " ")) continue;
    server.ask({"CLIENT", "KILL", "ID", line.substr(3, line.find(' ') - 3)});
  }
}

TEST_CASE("messages published while a demotion was not noticed are missed on both sides",
          "[redis]") {
  TwoServers servers;
  TemporaryFolder folder;
  const std::string name = folder.file("redis.sock");  // leads to the primary
  std::filesystem::create_symlink(servers.server.socket(), name);
  ManualClock clock;
  RedisWorld world(servers.server);
  std::vector<std::string> lost;
  const auto make = [&](const std::string& who) {
    auto backplane = world.make({.url = "unix://" + name,
                                 .client_name = who,
                                 .min_retry_delay = 1ms,
                                 .max_retry_delay = 1ms,
                                 .clock = &clock});
    world.run(backplane->start());
    backplane->on_loss([&lost, who](const RedisLoss& loss) {
      lost.push_back(who + " lost " + std::to_string(loss.count()));
    });
    return backplane;
  };
  const auto stays = make("stays");
  const auto moves = make("moves");
  std::size_t heard = 0;
  const auto count = [&](const nlohmann::json&) { ++heard; };
  const Subscription first = stays->on(count);
  const Subscription second = moves->on(count);
  CHECK_FALSE(world.run(stays->publish(numbered(1))).error);
  CHECK_FALSE(world.run(moves->publish(numbered(2))).error);
  world.until([&] { return heard == 4; });

  servers.server.ask({"REPLICAOF", "127.0.0.1", "1"});
  std::filesystem::remove(name);
  std::filesystem::create_symlink(servers.primary.socket(), name);
  kill_clients(servers.server, "moves");
  world.until([&] {
    clock.advance(1ms);
    return moves->stats().connects == 4;
  });
  CHECK_FALSE(world.run(stays->publish(numbered(3))).error);  // nobody knows yet
  CHECK_FALSE(world.run(moves->publish(numbered(4))).error);
  world.until([&] {
    clock.advance(10ms);
    return stays->stats().connects == 4;
  });
  world.until([&] {
    clock.advance(10ms);
    return lost.size() == 2;
  });
  std::sort(lost.begin(), lost.end());
  CHECK(lost == std::vector<std::string>{"moves lost 1", "stays lost 1"});
}

TEST_CASE("a Redis that cannot write to its disk passes messages on nevertheless", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.ping = "-MISCONF Redis is configured to save RDB snapshots, but cannot persist\r\n";
  const auto backplane = world.make({.url = fake.url(), .clock = &clock});
  world.run(backplane->start());
  CHECK(backplane->state() == RedisState::subscribed);
  CHECK_FALSE(world.run(backplane->publish(numbered(1))).error);
}

TEST_CASE("a Redis that is loading or busy is tried again, and that is said", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.ping = GENERATE("-LOADING Redis is loading the dataset in memory\r\n",
                       "-BUSY Redis is busy running a script\r\n");
  const auto backplane = world.make({.url = fake.url(), .min_retry_delay = 1ms});
  const std::string message = message_of([&] { world.run(backplane->start()); });
  CHECK(contains(message, fake.ping.substr(1, 4)));
  world.run(backplane->start_anyway());
  world.until([&] { return backplane->state() == RedisState::down; });
  fake.ping = "+PONG\r\n";
  world.until([&] { return backplane->state() == RedisState::subscribed; });
}

TEST_CASE("a Redis with no place for another client says so, each time", "[redis]") {
  RedisServer server({"--maxclients", "1"});
  RedisWorld world(server);
  boost::asio::local::stream_protocol::socket other(world.context);
  other.connect(server.socket());
  for (int i = 0; i < 10; ++i) {  // it closes before or after we write
    const auto backplane = world.make(RedisOptions{});
    const std::string message = message_of([&] { world.run(backplane->start()); });
    CHECK(contains(message, "max number of clients"));
  }
}

TEST_CASE("a file for TLS that cannot be read is named", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  const std::string url = "rediss://" + fake.url().substr(8);
  const auto with_ca = world.make({.url = url, .ca_file = "/no/ca.pem"});
  const std::string message = message_of([&] { world.run(with_ca->start()); });
  CHECK(contains(message, "ca_file /no/ca.pem: No such file"));
  const auto with_key = world.make(
      {.url = url, .certificate_file = "/no/cert.pem", .private_key_file = "/no/key.pem"});
  CHECK(contains(message_of([&] { world.run(with_key->start()); }), "certificate_file /no/cert"));
}

TEST_CASE("no time of the options may be so long that it overflows", "[redis]") {
  RedisWorld world;
  constexpr auto never = Clock::duration::max();
  const std::string message =
      message_of([&] { static_cast<void>(world.make({.connect_timeout = never})); });
  CHECK(contains(message, "connect_timeout must be at most a year"));
  CHECK_THROWS(world.make({.max_spool_age = never}));
  CHECK_NOTHROW(world.make({.probe_interval = 24h * 365}));
}

TEST_CASE("answers that come one by one have the time of an answer each", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto backplane = world.make(
      {.url = fake.url(), .command_timeout = 1s, .announce_interval = 1h, .clock = &clock});
  world.run(backplane->publish(numbered(0)));
  fake.holds_answers = true;
  for (int i = 0; i < 4; ++i) {
    boost::asio::co_spawn(world.context, backplane->publish(numbered(i)), boost::asio::detached);
  }
  world.until([&] { return fake.published.size() == 5; });
  for (std::size_t left = 4; left > 1; --left) {
    clock.advance(600ms);
    fake.answer_one();
    world.until([&] { return backplane->stats().in_flight < left; });
  }
  run_ready(world.context);
  CHECK(backplane->stats().unknown == 0);
  clock.advance(1s);
  world.until([&] { return backplane->stats().unknown == 1; });
}

TEST_CASE("a long message may take its time on the way to Redis", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.acceptor.set_option(boost::asio::socket_base::receive_buffer_size(65'536));
  const auto backplane = world.make({.url = fake.url(), .clock = &clock});
  world.run(backplane->publish(numbered(0)));
  bool is_sent = false;
  const auto send = [&]() -> awaitable<void> {
    const nlohmann::json message = {{"payload", std::string(8'000'000, 'x')}};
    const Published published = co_await backplane->publish(message);
    is_sent = !published.error;
  };
  const auto sending = detail::Child<void>::start(world.context.get_executor(), send());
  int advances = 0;
  std::size_t seen = fake.bytes;
  world.until([&] {
    if (fake.bytes >= seen + 1'000'000) {  // much more than buffers hold
      seen = fake.bytes;
      clock.advance(3s);
      ++advances;
    }
    return sending->is_done();
  });
  CHECK(is_sent);
  CHECK(advances >= 6);
  CHECK(world.log.count("redis_lost") == 0);
}

TEST_CASE("an announcement that Redis refuses for the moment is made again", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto backplane = world.make({.url = fake.url(), .clock = &clock});
  world.run(backplane->publish(numbered(1)));
  fake.answer_to_publish = "-BUSY Redis is busy running a script\r\n";
  const auto announcements = [&] {
    const std::string control = backplane->options().channel + ":control";
    return std::count(fake.channels.begin(), fake.channels.end(), control);
  };
  for (int i = 1; i <= 5; ++i) {
    clock.advance(5s);
    world.until([&] { return announcements() == i && backplane->stats().in_flight == 0; });
  }
  fake.answer_to_publish = ":1\r\n";
  clock.advance(5s);
  world.until([&] { return announcements() == 6 && backplane->stats().in_flight == 0; });
  clock.advance(5s);
  run_ready(world.context);
  CHECK(announcements() == 6);
}

}  // namespace
}  // namespace roost
