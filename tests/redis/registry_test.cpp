// SPDX-License-Identifier: MIT
// The registry of replicas in a real Redis: who is alive, who is buried, and who cleans up.
#include <roost/backplane/control/control_desk.hpp>
#include <roost/redis/connection/shared.hpp>
#include <roost/redis/replica/features.hpp>

#include "redis/registry_world.hpp"
#include "support/recorder.hpp"

#define ROOST_CONTROL_WORLD test::RegistryWorld
#include "support/control_contract.hpp"

namespace roost {
namespace {

using RegistryReplica = ControlReplica<RegistryWorld>;

std::vector<std::string> labels(const RegistryReplica& replica) {
  std::vector<std::string> labels;
  for (const ReplicaInfo& info : replica.cluster.replicas()) labels.push_back(info.label);
  std::ranges::sort(labels);
  return labels;
}

// Everybody has beaten, and knows the others.
void until_all_know(std::initializer_list<RegistryReplica*> replicas) {
  for (RegistryReplica* const replica : replicas) replica->ask("anything");
  for (RegistryReplica* const replica : replicas) CHECK(labels(*replica).size() == replicas.size());
}

TEST_CASE("an ask names a killed and a paused replica as missing, and waits for no other",
          "[redis][registry]") {
  RegistryWorld world;
  boost::asio::io_context elsewhere;
  RegistryReplica one(world, "one");
  RegistryReplica two(world, "two");
  RegistryReplica paused(world, "paused", elsewhere);
  auto killed = std::make_unique<RegistryReplica>(world, "killed");
  // Of an earlier release: it listens to the same channels, and is in no registry.
  const auto earlier = world.make(RedisOptions());
  world.run(earlier->start());
  Recorder recorder;
  earlier->on(recorder.handler());
  one.cluster.on_ask("there", [](const json&) { return json(true); });
  bool is_answered = false;
  bool is_marked = false;
  two.cluster.on_ask("there", [&](const json&) { return json(is_answered = true); });
  one.cluster.on_ask("mark", [&](const json&) { return json(is_marked = true); });
  world.clock.advance(5s);  // it beats, and learns of all
  world.until([&] { return labels(one).size() == 4; });
  ReplicaNames expected = {paused.name(), killed->name()};
  std::ranges::sort(expected);
  killed->backplane.reset();  // without a word
  const auto ask = [&](RegistryReplica& replica, std::string_view what) {
    return detail::Child<Survey>::start(world.context.get_executor(),
                                        replica.cluster.ask(what, json(), {.timeout = 2s}));
  };
  const auto asking = ask(one, "there");
  world.until([&] { return is_answered; });
  const auto marking = ask(two, "mark");
  world.until([&] { return is_marked; });
  world.clock.advance(2s);
  world.until([&] { return asking->is_done() && marking->is_done(); });
  const Survey survey = asking->take();
  CHECK(survey.answers.size() == 2);
  CHECK(survey.missing == expected);
  CHECK(recorder.got().empty());
  CHECK(earlier->stats().skipped == 0);
  CHECK(earlier->stats().lost == 0);
  world.run(earlier->stop());
}

TEST_CASE("an ask while Redis is away waits for nobody but this replica", "[redis][registry]") {
  RedisServer server;
  RegistryWorld world(server);
  RegistryReplica one(world, "one");
  RegistryReplica two(world, "two");
  until_all_know({&one, &two});
  server.kill();
  const bool is_known = GENERATE(false, true);
  CAPTURE(is_known);
  if (is_known) world.until([&] { return one.backplane->state() != RedisState::subscribed; });
  // The time stands still: only the loss of Redis can end it.
  const Survey survey = one.ask("anything");
  CHECK(survey.answers.size() == 1);
  CHECK(survey.missing == ReplicaNames{two.name()});
}

TEST_CASE("a replica whose lease has ended is buried, and goes on under another name when it wakes",
          "[redis][registry]") {
  RegistryWorld world;
  boost::asio::io_context elsewhere;
  RegistryReplica one(world, "one");
  RegistryReplica asleep(world, "asleep", elsewhere);
  world.clock.advance(5s);  // it beats, and learns of the other
  world.until([&] { return labels(one).size() == 2; });
  const std::string name = asleep.name();
  REQUIRE(!name.empty());
  world.set_lease(name, world.now_ms() - 1);
  const Survey survey = one.ask("anything");
  CHECK(survey.missing.empty());
  CHECK(labels(one) == std::vector<std::string>{"one"});
  CHECK(world.field("+" + name).empty());
  CHECK(!world.field("-" + name).empty());
  // It beats when it is run again.
  world.clock.advance(5s);
  testing::run_until(elsewhere, [&] { return world.log.count("redis_replica_buried") == 1; });
  testing::run_until(elsewhere, [&] {
    const auto known = asleep.cluster.replicas();
    return known.size() == 2 && std::ranges::none_of(known, [&](const ReplicaInfo& replica) {
             return replica.name == name;
           });
  });
}

TEST_CASE("an outage of Redis, or another clock, buries nobody", "[redis][registry]") {
  RegistryWorld world;
  RegistryReplica one(world, "one");
  RegistryReplica two(world, "two");
  until_all_know({&one, &two});
  // How far the times in the registry are from the clock of the Redis that goes on with it: behind
  // it by an outage of twice the lease, or by an hour; ahead of it by an hour.
  const long long shift = GENERATE(-60'000, -3'600'000, 3'600'000);
  for (RegistryReplica* const replica : {&one, &two}) {
    const std::string name = replica->name();
    const std::string value = world.field("+" + name);
    world.set_lease(name, std::stoll(value) + shift);
  }
  world.set_field("=", std::to_string(std::stoll(world.field("=")) + shift));
  CHECK(one.ask("anything").answers.size() == 2);
  CHECK(labels(one) == std::vector<std::string>{"one", "two"});
  // The lease of the other one ends as if nothing had been.
  const long long left = std::stoll(world.field("+" + two.name())) - world.now_ms();
  CHECK(left > 0);
  CHECK(left <= 35'000);
}

TEST_CASE("without a gap a lease that has ended is not moved", "[redis][registry]") {
  RegistryWorld world;
  RegistryReplica one(world, "one");
  RegistryReplica two(world, "two");
  until_all_know({&one, &two});
  const std::string name = two.name();
  world.set_lease(name, world.now_ms() - 60'000);
  // The last beat is no longer ago than two intervals.
  world.set_field("=", std::to_string(world.now_ms() - 6'000));
  one.ask("anything");
  CHECK(world.field("+" + name).empty());
}

TEST_CASE("replicas with other rules are logged as an error, once", "[redis][registry]") {
  RegistryWorld world;
  RegistryReplica one(world, "one");
  auto other = world.make_control(world.context, "other", {.lease = 20s});
  ConnectionManager<FakeWebSocket> manager(world.context.get_executor());
  const Cluster cluster = bind_manager(*other, manager);
  world.run(other->start());
  world.until_known(world.context, cluster);
  one.ask("a");
  one.ask("b");
  CHECK(world.log.count(Severity::error, "redis_replicas_differ") == 2);  // each logs the other
  bool is_named = false;
  for (const Log::Line& line : world.log.lines()) {
    is_named = is_named || (line.event == "redis_replicas_differ" && contains(line.text, "other"));
  }
  CHECK(is_named);
  world.run(other->stop());
}

TEST_CASE("a primary that is demoted is left with the next beat", "[redis][registry]") {
  RedisServer server;
  RegistryWorld world(server);
  RegistryReplica one(world, "one");
  server.ask({"REPLICAOF", "127.0.0.1", "1"});
  world.clock.advance(5s);
  world.until([&] { return world.log.count("redis_lost") > 0; });
  server.ask({"REPLICAOF", "NO", "ONE"});
  // One that is not asked for a while tries again, and is there.
  world.until([&] {
    world.clock.advance(10ms);
    return one.backplane->state() == RedisState::subscribed;
  });
}

TEST_CASE("a backplane does not start where the registry may not write", "[redis][registry]") {
  RedisServer server;
  RegistryWorld world(server);
  server.ask({"ACL", "SETUSER", "default", "-hset"});
  auto backplane = world.make_control(world.context, "one");
  CHECK(contains(message_of([&] { world.run(backplane->start()); }), "registry"));
  CHECK(server.ask({"EXISTS", world.key()}).integer == 0);
}

// The registry without a backplane around it, as presence uses it.
struct RegistryUser final : detail::RegistryListener {
  explicit RegistryUser(RegistryWorld& its_world) : world(its_world) {
    const auto factory = redis_registry();
    RedisOptions options{
        .url = world.server.url(), .channel = world.prefix + "channel", .clock = &world.clock};
    shared = std::make_shared<detail::RedisShared>(world.context.get_executor(),
                                                   detail::validated(std::move(options)));
    scripting = factory->make_scripting(shared, [](const std::string&) {});
    registrar = factory->make(shared, scripting, "rules");
    desk = registrar->make_desk();
  }
  static std::shared_ptr<RegistryUser> make(RegistryWorld& world) {
    auto user = std::make_shared<RegistryUser>(world);
    user->registrar->listen(user);
    user->scripting->begin_anew();
    world.until([&] { return !user->desk->line().replicas().empty(); });
    return user;
  }
  Clock::duration linger() const override { return {}; }
  void on_named(const std::string& name) override { named.push_back(name); }
  void on_clean(const std::string& name) override {
    cleaned.push_back(name);
    if (finds) registrar->was_left(name);
  }
  void beat() {
    bool is_done = false;
    desk->line().list([&](const auto&) { is_done = true; });
    world.until([&] { return is_done; });
  }
  [[nodiscard]] bool knows(const std::string& name) const {
    return std::ranges::any_of(desk->line().replicas(),
                               [&](const ReplicaInfo& replica) { return replica.name == name; });
  }
  void end() {
    const auto ending = scripting->end();
    world.until([&] { return !ending || ending->is_done(); });
  }

  RegistryWorld& world;
  detail::RedisSharedPtr shared;
  std::shared_ptr<detail::RedisScripting> scripting;
  std::shared_ptr<detail::RedisRegistrar> registrar;
  std::shared_ptr<detail::ControlDesk> desk;
  ReplicaNames named;
  ReplicaNames cleaned;
  bool finds = false;
};

TEST_CASE("one replica is told to clean up after a dead one, again and again",
          "[redis][registry]") {
  RegistryWorld world;
  const auto one = RegistryUser::make(world);
  const auto two = RegistryUser::make(world);
  const std::string dead = "dead";
  world.set_field("+dead", std::to_string(world.now_ms() - 1) + " {}");
  one->beat();
  two->beat();
  CHECK(one->cleaned == ReplicaNames{dead});
  CHECK(two->cleaned.empty());
  CHECK(!one->knows(dead));
  CHECK(one->knows(two->registrar->name()));
  const auto due = [&] {
    const std::string value = world.field("-dead");
    const std::size_t first = value.find(' ');
    return std::stoll(value.substr(first)) - world.now_ms();
  };
  CHECK(due() > 20'000);
  CHECK(due() <= 30'000);
  // The time has come: whoever beats first is told, and the next time is later.
  const std::string at = std::to_string(world.now_ms());
  world.set_field("-dead", at + " " + at + " 60000");
  two->finds = true;
  two->beat();
  one->beat();
  CHECK(two->cleaned == ReplicaNames{dead});
  CHECK(one->cleaned.size() == 1);
  CHECK(due() > 50'000);
  // It found something: soon again.
  two->beat();
  CHECK(due() <= 30'000);
  // After a day the name is forgotten.
  world.set_field("-dead", std::to_string(world.now_ms() - 86'400'001) + " " + at + " 60000");
  one->beat();
  CHECK(world.field("-dead").empty());
  one->end();
  two->end();
}

TEST_CASE("a replica that was buried tells its listeners its new name", "[redis][registry]") {
  RegistryWorld world;
  const auto one = RegistryUser::make(world);
  const std::string name = one->registrar->name();
  const std::string now = std::to_string(world.now_ms());
  world.set_field("-" + name, now + " " + now + " 30000");
  one->beat();
  CHECK(one->registrar->name() != name);
  CHECK(one->named == ReplicaNames{one->registrar->name()});
  CHECK(one->knows(one->registrar->name()));
  one->end();
}

}  // namespace
}  // namespace roost
