// SPDX-License-Identifier: MIT
// How a backplane gets to Redis, what it says if it cannot, and how it ends.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <roost/runtime/running.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "redis/fake_redis.hpp"
#include "redis/redis_world.hpp"
#include "support/bench.hpp"
#include "support/recorder.hpp"
#include "support/tls_contexts.hpp"

namespace roost {
namespace {

using namespace test;
using namespace std::chrono_literals;
using nlohmann::json;
using Numbers = std::vector<int>;

/// Why a backplane does not start.
std::string refusal(RedisWorld& world, RedisOptions options) {
  const auto backplane = world.make(std::move(options));
  const auto start = [&] { world.run(backplane->start()); };
  CHECK(error_of(start) == errc::backplane_unavailable);
  const std::string message = message_of(start);
  CHECK_FALSE(contains(message, "secret"));
  CHECK(message.find("unavailable") == message.rfind("unavailable"));  // said once
  CHECK(backplane->state() == RedisState::stopped);
  world.until([&] { return running(world.context) == 0; });  // it does not go on
  return message;
}

void check_works(RedisWorld& world, RedisOptions options) {
  const auto backplane = world.make(std::move(options));
  Recorder got;
  backplane->on(got.handler());
  world.run(backplane->start());
  const Published published = world.run(backplane->publish(numbered(1)));
  CHECK(published);
  CHECK(published.receivers == 1U);
  world.until([&] { return got.numbers() == Numbers{1}; });
}

TEST_CASE("options of a RedisBackplane out of range are refused by name", "[redis]") {
  boost::asio::io_context context;
  const auto error = [&](RedisOptions options) {
    return message_of([&] { RedisBackplane unused(context.get_executor(), options); });
  };
  CHECK(contains(error({.url = "redis://"}), "no host"));
  CHECK(contains(error({.channel = ""}), "channel"));
  CHECK(contains(error({.url = "rediss://h", .certificate_file = "c"}), "private_key_file"));
  CHECK(contains(error({.url = "rediss://h", .private_key_file = "k"}), "certificate_file"));
  CHECK(contains(error({.certificate_file = "c", .private_key_file = "k"}), "certificate_file"));
  CHECK(contains(error({.server_name = "name"}), "server_name"));
  CHECK(contains(error({.channel = "\xFF"}), "channel"));
  CHECK(contains(error({.connect_timeout = 0s}), "connect_timeout"));
  CHECK(contains(error({.command_timeout = 0s}), "command_timeout"));
  CHECK(contains(error({.min_retry_delay = 0s}), "min_retry_delay"));
  CHECK(contains(error({.min_retry_delay = 2s, .max_retry_delay = 1s}), "max_retry_delay"));
  CHECK(contains(error({.probe_interval = 0s}), "probe_interval"));
  CHECK(contains(error({.announce_interval = 0s}), "announce_interval"));
  CHECK(contains(error({.max_message_bytes = 0}), "max_message_bytes"));
  CHECK(contains(error({.max_spool_bytes = 1'052'671}), "max_spool_bytes"));
  CHECK(contains(error({.max_spool_age = 0s}), "max_spool_age"));
  CHECK(contains(error({.max_queued_messages = 0}), "max_queued_messages"));
  CHECK(contains(error({.max_queued_bytes = 1}), "max_queued_bytes"));
  CHECK(contains(error({.clock = nullptr}), "clock"));
}

TEST_CASE("a password is asked for, and must be right", "[redis]") {
  RedisServer server({"--requirepass", "secret:1"});
  RedisWorld world(server);
  const std::string path = server.socket();
  const std::string none = refusal(world, {.url = "unix://" + path});
  CHECK(contains(none, "Redis at " + path));
  CHECK(contains(none, "NOAUTH"));
  CHECK(contains(refusal(world, {.url = "unix://:secret@" + path}), "AUTH: WRONGPASS"));
  check_works(world, {.url = "unix://:secret%3A1@" + path});
}

TEST_CASE("a user of an ACL may need no more than its channels", "[redis]") {
  RedisServer server({"--user", "ann", "on", ">secret", "resetchannels", "&chat*", "-@all",
                      "+publish", "+subscribe", "--user", "bob", "on", ">secret", "resetchannels",
                      "&other", "+@all"});
  RedisWorld world(server);
  const std::string path = server.socket();
  check_works(world, {.url = "unix://ann:secret@" + path, .channel = "chat"});
  CHECK(contains(refusal(world, {.url = "unix://ann:secre@" + path}), "WRONGPASS"));
  CHECK(contains(refusal(world, {.url = "unix://bob:secret@" + path, .channel = "chat"}),
                 "SUBSCRIBE: NOPERM"));

  // It may not publish: the caller is told, and its own handlers have the message.
  const auto bob = world.make({.url = "unix://bob:secret@" + path, .channel = "chat"});
  CHECK(world.run(bob->publish(numbered(1))).error == errc::backplane_unavailable);
  CHECK(contains(world.log.last("redis_publish_refused"), "NOPERM"));
}

TEST_CASE("a database that does not exist is an error", "[redis]") {
  RedisWorld world;
  CHECK(contains(refusal(world, {.url = world.server.url() + "?db=99"}),
                 "SELECT: ERR DB index is out of range"));
  check_works(world, {.url = world.server.url() + "?db=15"});
}

TEST_CASE("a Redis that is not there is an error that says where", "[redis]") {
  RedisWorld world;
  CHECK(contains(refusal(world, {.url = "unix:///no/such/socket"}),
                 "Redis at /no/such/socket: No such file or directory"));
  const std::string port = std::to_string(free_port());
  CHECK(contains(refusal(world, {.url = "redis://:secret@127.0.0.1:" + port}),
                 "Redis at 127.0.0.1:" + port + ": Connection refused"));
  CHECK(contains(refusal(world, {.url = "redis://localhost:" + port}), "localhost:" + port));
  CHECK(contains(refusal(world, {.url = "redis://no-such-host.invalid"}), "no-such-host.invalid"));
}

TEST_CASE("Redis is found by name, by address, and over TLS", "[redis]") {
  TemporaryFolder folder;
  const auto write = [&](const char* name, std::string_view text) {
    std::ofstream(folder.file(name)) << text;
    return folder.file(name);
  };
  const std::string ca = write("ca.pem", certificate);
  const std::string key = write("key.pem", private_key);
  const std::string other = folder.file("other.pem");
  output_of({"sh", "-c",
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other "
             "-days 2 -keyout /dev/null -out " +
                 other + " 2>&1"});
  const std::string port = std::to_string(free_port());
  const std::string tls_port = std::to_string(free_port());
  RedisServer server({"--port", port, "--tls-port", tls_port, "--tls-cert-file", ca,
                      "--tls-key-file", key, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no",
                      "--bind", "127.0.0.1"});
  RedisWorld world(server);
  check_works(world, {.url = "redis://127.0.0.1:" + port + "/0"});
  check_works(world, {.url = "redis://localhost:" + port});
  check_works(world, {.url = "rediss://127.0.0.1:" + tls_port, .ca_file = ca});

  const std::string wrong_ca =
      refusal(world, {.url = "rediss://127.0.0.1:" + tls_port, .ca_file = other});
  CHECK(contains(wrong_ca, "certificate verify failed"));
  CHECK(contains(refusal(world, {.url = "rediss://127.0.0.1:" + tls_port}), "verify failed"));
  // The certificate is for 127.0.0.1.
  CHECK(contains(refusal(world, {.url = "rediss://localhost:" + tls_port, .ca_file = ca}),
                 "verify failed"));
  CHECK(contains(refusal(world, {.url = "rediss://127.0.0.1:" + tls_port, .ca_file = "/none"}),
                 "No such file"));
  // Each waits for the other to say something.
  CHECK(contains(refusal(world, {.url = "rediss://127.0.0.1:" + port, .connect_timeout = 50ms}),
                 "127.0.0.1:" + port));
  CHECK(contains(refusal(world, {.url = "redis://127.0.0.1:" + tls_port, .connect_timeout = 50ms}),
                 "127.0.0.1:" + tls_port));
}

TEST_CASE("a Redis that asks for a certificate gets ours, and may have another name", "[redis]") {
  TemporaryFolder folder;
  const auto make = [&](const std::string& name, const std::string& subject_alternative_name) {
    output_of({"sh", "-c",
               "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
               "-subj /CN=" +
                   name + " -addext subjectAltName=" + subject_alternative_name + " -keyout " +
                   folder.file(name + ".key") + " -out " + folder.file(name + ".pem") + " 2>&1"});
    return folder.file(name);
  };
  const std::string theirs = make("theirs", "DNS:redis.example.com");
  const std::string ours = make("ours", "DNS:ours");
  const std::string port = std::to_string(free_port());
  RedisServer server({"--tls-port", port, "--tls-cert-file", theirs + ".pem", "--tls-key-file",
                      theirs + ".key", "--tls-ca-cert-file", ours + ".pem", "--tls-auth-clients",
                      "yes", "--bind", "127.0.0.1"});
  RedisWorld world(server);
  const std::string url = "valkeys://127.0.0.1:" + port;
  const RedisOptions all{.url = url,
                         .ca_file = theirs + ".pem",
                         .certificate_file = ours + ".pem",
                         .private_key_file = ours + ".key",
                         .server_name = "redis.example.com"};
  check_works(world, all);
  RedisOptions without_name = all;
  without_name.server_name = "";
  CHECK(contains(refusal(world, without_name), "verify failed"));
  RedisOptions without_certificate = all;
  without_certificate.certificate_file = without_certificate.private_key_file = "";
  CHECK(contains(refusal(world, without_certificate), "127.0.0.1:" + port));
  RedisOptions wrong_key = all;
  wrong_key.private_key_file = theirs + ".key";
  CHECK(contains(refusal(world, wrong_key), "mismatch"));
}

TEST_CASE("databases of one Redis hear each other", "[redis]") {
  RedisWorld world;
  const auto a = world.make({.url = world.server.url() + "?db=0"});
  const auto b = world.make({.url = world.server.url() + "?db=1"});
  Recorder got;
  b->on(got.handler());
  world.run(b->start());
  CHECK(world.run(a->publish(numbered(1))).receivers == 1U);
  world.until([&] { return got.numbers() == Numbers{1}; });
}

TEST_CASE("a server that is not a Redis is an error", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto refused = [&](std::string greeting) {
    fake.greeting = std::move(greeting);
    const auto backplane = world.make({.url = fake.url()});
    return message_of([&] { world.run(backplane->start()); });
  };
  CHECK(contains(refused("HTTP/1.1 400 Bad Request\r\n\r\n"), "Protocol error"));
  CHECK(contains(refused("*2000000000\r\n"), "no Redis would send"));
  CHECK(contains(refused("-ERR max number of clients reached\r\n"), "max number"));
}

TEST_CASE("a server that accepts and says nothing is given up in time", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.is_silent = true;
  const auto backplane = world.make({.url = fake.url(), .clock = &clock});
  const auto task = detail::Child<void>::start(world.context.get_executor(), backplane->start());
  world.until([&] { return fake.connections == 2; });
  clock.advance(4999ms);
  run_ready(world.context);
  CHECK_FALSE(task->is_done());
  clock.advance(1ms);
  world.until([&] { return task->is_done(); });
  CHECK(contains(message_of([&] { task->take(); }), "no answer within 5000 ms"));
}

TEST_CASE("start waits for the first outcome, whoever has begun it", "[redis]") {
  RedisWorld world;
  const auto backplane = world.make(RedisOptions{});
  const auto executor = world.context.get_executor();
  const auto a = detail::Child<void>::start(executor, backplane->start());
  const auto b = detail::Child<void>::start(executor, backplane->start());
  world.until([&] { return a->is_done() && b->is_done(); });
  CHECK_NOTHROW(a->take());
  CHECK_NOTHROW(b->take());
  CHECK(backplane->state() == RedisState::subscribed);
  // The publisher's connection may take longer.
  world.until([&] { return backplane->stats().connects >= 2; });
  run_ready(world.context);
  CHECK(backplane->stats().connects == 2);
}

TEST_CASE("a backplane may start without Redis, and is ready when that comes", "[redis]") {
  RedisServer server;
  server.kill();
  RedisWorld world(server);
  const bool is_by_option = GENERATE(true, false);
  const auto backplane = world.make(
      {.require_connection = !is_by_option, .min_retry_delay = 1ms, .max_retry_delay = 10ms});
  CHECK(error_of([&] { world.run(backplane->ready()); }) == errc::backplane_unavailable);
  const BackplaneRef ref(*backplane);
  run(world.context, is_by_option ? ref.start() : ref.start_anyway());  // at once
  const auto ready = detail::Child<void>::start(world.context.get_executor(), backplane->ready());
  world.until([&] { return backplane->state() == RedisState::down; });
  CHECK_FALSE(ready->is_done());
  server.start();
  world.until([&] { return ready->is_done(); });
  CHECK(backplane->state() == RedisState::subscribed);
  CHECK(world.log.count("redis_lost") == 2);  // each connection once, not each attempt
}

TEST_CASE("stop is at once in every state", "[redis]") {
  ManualClock clock;
  RedisServer server;
  RedisWorld world(server);
  FakeRedis fake(world.context);
  const std::string_view when = GENERATE("new", "connecting", "down", "subscribed", "suspect");
  CAPTURE(when);
  RedisOptions options{.require_connection = false, .clock = &clock};
  if (when == "connecting") options.url = fake.url(), fake.is_silent = true;
  if (when == "down") options.url = "unix:///no/such/socket";
  const auto backplane = world.make(options);
  const auto state_is = [&](RedisState state) {
    world.until([&] { return backplane->state() == state; });
  };
  if (when != "new") world.run(backplane->start());
  if (when == "connecting") world.until([&] { return fake.connections == 2; });
  if (when == "down") state_is(RedisState::down);
  if (when == "subscribed") state_is(RedisState::subscribed);
  if (when == "suspect") {
    state_is(RedisState::subscribed);
    server.freeze();
    clock.advance(30s);
    run_ready(world.context);
    clock.advance(5s);
    state_is(RedisState::suspect);
  }

  const auto ready = detail::Child<void>::start(world.context.get_executor(), backplane->ready());
  run(world.context, backplane->stop());
  CHECK(backplane->state() == RedisState::stopped);
  run_ready(world.context);
  if (when != "subscribed") {
    CHECK(error_of([&] { ready->take(); }) == errc::backplane_unavailable);
  }
  CHECK(running(world.context) == (ready->is_done() ? 0 : 1));
  server.thaw();
  CHECK(clock.armed() == 0);

  if (when == "connecting" || when == "down") return;
  world.run(backplane->start());
  world.run(backplane->ready());
}

TEST_CASE("a message on its way has a second when the backplane stops", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.answer_to_publish = "";
  const auto backplane = world.make({.url = fake.url(), .clock = &clock});
  const auto last = detail::Child<Published>::start(world.context.get_executor(),
                                                    backplane->publish(numbered(1)));
  world.until([&] { return fake.published.size() == 1; });
  const auto stop = detail::Child<void>::start(world.context.get_executor(), backplane->stop());
  run_ready(world.context);
  CHECK_FALSE(stop->is_done());
  clock.advance(1s);
  world.until([&] { return stop->is_done(); });
  run_ready(world.context);
  CHECK(running(world.context) == 0);
  CHECK(last->take().error == errc::outcome_unknown);
}

TEST_CASE("a backplane that is started again while it stops keeps its connection", "[redis]") {
  ManualClock clock;
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.holds_answers = true;
  const auto backplane = world.make({.url = fake.url(), .clock = &clock});
  const auto last = detail::Child<Published>::start(world.context.get_executor(),
                                                    backplane->publish(numbered(1)));
  world.until([&] { return fake.published.size() == 1; });
  const auto stop = detail::Child<void>::start(world.context.get_executor(), backplane->stop());
  run_ready(world.context);
  CHECK_FALSE(stop->is_done());
  world.run(backplane->start());
  clock.advance(1s);
  world.until([&] { return stop->is_done(); });
  run_ready(world.context);
  CHECK_FALSE(last->is_done());
  fake.answer_one();
  world.until([&] { return last->is_done(); });
  CHECK_FALSE(last->take().error);
  CHECK(fake.connections == 2);  // one of them subscribes
}

TEST_CASE("a start that is cancelled is undone", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  fake.is_silent = true;
  const auto backplane = world.make({.url = fake.url()});
  const auto task = detail::Child<void>::start(world.context.get_executor(), backplane->start());
  world.until([&] { return fake.connections == 2; });
  task->cancel();
  world.until([&] { return running(world.context) == 0; });
  CHECK(task->is_done());
  CHECK_THROWS(task->take());
  CHECK(backplane->state() == RedisState::stopped);
  fake.is_silent = false;
  world.run(backplane->start());
}

TEST_CASE("cancelling stops the waiting, not the message", "[redis]") {
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto backplane = world.make({.url = fake.url()});
  world.run(backplane->start());
  fake.answer_to_publish = "";
  const auto publishing = detail::Child<Published>::start(world.context.get_executor(),
                                                          backplane->publish(numbered(1)));
  const auto waiting = detail::Child<void>::start(world.context.get_executor(), wait_for_ever());
  publishing->cancel();
  waiting->cancel();
  world.until([&] { return publishing->is_done(); });
  CHECK_THROWS(publishing->take());
  world.until([&] { return fake.published.size() == 1; });
}

TEST_CASE("states are told to a hook, which may do anything", "[redis]") {
  RedisWorld world;
  auto backplane = world.make(RedisOptions{});
  std::vector<RedisState> states;
  backplane->on_state([&](RedisState state) {
    states.push_back(state);
    if (state == RedisState::subscribed) backplane.reset();
  });
  backplane->on_state([&](RedisState) { throw std::runtime_error("trouble"); });
  auto start = backplane->start();
  try {
    world.run(std::move(start));
  } catch (const Error&) {  // it was destroyed meanwhile
  }
  world.until([&] { return !backplane; });
  run_ready(world.context);
  CHECK(states == std::vector{RedisState::connecting, RedisState::subscribed});
  CHECK(world.log.count("redis_hook_failed") == 1);
}

TEST_CASE("a handler may destroy the backplane that calls it", "[redis]") {
  RedisWorld world;
  const auto a = world.make(RedisOptions{});
  auto b = world.make(RedisOptions{});
  int calls = 0;
  b->on([&](const json&) {
    ++calls;
    b.reset();
  });
  Recorder never;
  b->on(never.handler());
  world.run(b->start());
  const auto executor = world.context.get_executor();
  const auto first = detail::Child<Published>::start(executor, a->publish(numbered(1)));
  const auto second = detail::Child<Published>::start(executor, a->publish(numbered(2)));
  world.until([&] { return !b && first->is_done() && second->is_done(); });
  run_ready(world.context);
  CHECK(calls == 1);
  CHECK(never.got().empty());
}

TEST_CASE("a Redis backplane and its io_context go in any order, in any state", "[redis]") {
  ManualClock clock;
  RedisServer server;
  const std::string_view when =
      GENERATE("connecting", "down", "subscribed", "publishing", "stopping");
  const bool is_context_first = GENERATE(true, false);
  CAPTURE(when, is_context_first);
  auto context = std::make_unique<boost::asio::io_context>();
  auto backplane = std::make_unique<RedisBackplane>(
      boost::asio::make_strand(*context),
      RedisOptions{.url = when == "down" ? "unix:///no/such/socket" : server.url(),
                   .require_connection = false,
                   .clock = &clock});
  const auto held = std::make_shared<int>();
  backplane->on_state([held](RedisState) {});
  const auto start = [](awaitable<> coroutine, boost::asio::io_context& there) {
    boost::asio::co_spawn(there, std::move(coroutine), [](auto&&...) {});
  };
  start(backplane->start(), *context);
  if (when != "connecting") {
    testing::run_until(*context, [&] {
      return backplane->state() == (when == "down" ? RedisState::down : RedisState::subscribed);
    });
  }
  start(backplane->ready(), *context);
  if (when == "publishing" || when == "stopping") {
    server.freeze();
    for (int n = 0; n < 3; ++n) {
      boost::asio::co_spawn(*context, backplane->publish(numbered(n)), [held](auto&&...) {});
      run_ready(*context);
    }
  }
  if (when == "stopping") {
    start(backplane->stop(), *context);
    run_ready(*context);
  }
  std::optional<awaitable<Published>> later = backplane->publish(numbered(9));
  std::optional<awaitable<>> stop_later = backplane->stop();
  if (is_context_first) {
    context.reset();
    CHECK(backplane->state() == RedisState::stopped);
    CHECK_FALSE(backplane->get_executor());
    backplane.reset();
  } else {
    backplane.reset();
    run_ready(*context);
  }
  boost::asio::io_context another;
  CHECK(run(another, *std::move(later)).error == errc::backplane_unavailable);
  run(another, *std::move(stop_later));
  if (!is_context_first) {
    testing::run_until(*context, [&] { return running(*context) == 0; });
    context.reset();
  }
  CHECK(held.use_count() == 1);
}

TEST_CASE("a backplane that only publishes holds a connection until stop", "[redis]") {
  RedisWorld world;
  const auto backplane = world.make(RedisOptions{});
  CHECK(running(world.context) == 0);
  CHECK(world.run(backplane->publish(numbered(1))).receivers == 0U);
  CHECK(backplane->state() == RedisState::stopped);
  CHECK(backplane->stats().connects == 1);
  CHECK(running(world.context) > 0);
  // A message published while it stops still arrives; then nothing runs any more.
  const auto last = detail::Child<Published>::start(world.context.get_executor(),
                                                    backplane->publish(numbered(2)));
  auto stop = detail::Child<void>::start(world.context.get_executor(), backplane->stop());
  world.until([&] { return stop->is_done(); });
  CHECK(running(world.context) == 0);
  CHECK(last->take().receivers == 0U);
  CHECK(world.run(backplane->publish(numbered(3))));  // connects again
  CHECK(backplane->stats().connects == 2);
}

}  // namespace
}  // namespace roost
