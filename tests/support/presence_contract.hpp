// SPDX-License-Identifier: MIT
// What presence promises over every backplane. Included by one file for each kind, after it has
// defined its world: how a backplane is made, what progress is, and how time passes.
// ROOST_PRESENCE_WORLD is its name.
#pragma once

#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using Users = std::set<std::string>;

/// A replica with one manager, and what its hook was told.
template <class World>
struct PresentReplica {
  using Manager = ConnectionManager<FakeWebSocket>;

  explicit PresentReplica(World& its_world, bool starts = true)
      : world(its_world),
        backplane(world.make()),
        manager(world.context.get_executor(),
                {.logger = world.log.logger(), .clock = &world.clock}),
        cluster(bind_manager(*backplane, manager)) {
    cluster.on_presence([this](const PresenceChange& change) { note(change); });
    if (starts) world.run(backplane->start());
  }

  void note(const PresenceChange& change) {
    ++changes;
    Users& users = told[change.room];
    last = change;
    if (change.is_fresh || !change.is_listed) users.clear();
    for (const std::string& user : change.went) CHECK(users.erase(user) == 1);
    for (const PresentUser& user : change.came) CHECK(users.insert(user.user).second);
    if (change.is_listed) CHECK(users.size() == change.count);
  }
  void join(std::string_view id, std::string_view room, std::optional<std::string_view> user = {},
            const nlohmann::json& info = nullptr) {
    ConnectOptions options{.connection_id = id, .rooms = {room}, .user = user};
    if (!info.is_null()) options.user_info = info;
    world.run(manager.connect(std::make_shared<FakeWebSocket>(), options));
  }
  void leave(std::string_view id) { world.run(manager.disconnect(id)); }
  Presence present(std::string_view room) { return world.run(cluster.present(room)); }
  Users users(std::string_view room) {
    Users users;
    for (const PresentUser& user : present(room).users) users.insert(user.user);
    return users;
  }
  void until_told(const std::string& room, const Users& users) {
    world.until([&] { return told[room] == users; });
  }

  World& world;
  std::unique_ptr<typename World::Backplane> backplane;
  Manager manager;
  Cluster cluster;
  std::map<std::string, Users> told;
  PresenceChange last;
  int changes = 0;
};

TEMPLATE_TEST_CASE(
    "presence: every replica with members in a room knows who is there, also others "
    "when they ask",
    "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world), b(world), c(world);
  const nlohmann::json info = {{"name", "Ann"}};
  a.join("1", "chat/x", "ann", info);
  a.until_told("chat/x", {"ann"});
  CHECK(a.last.is_fresh);
  CHECK(a.last.came.front().info == info);
  b.join("2", "chat/x", "bob");
  a.until_told("chat/x", {"ann", "bob"});
  b.until_told("chat/x", {"ann", "bob"});
  CHECK_FALSE(a.last.is_fresh);
  CHECK(a.last.came.front().info.is_null());
  CHECK(c.changes == 0);
  for (PresentReplica<TestType>* one : {&a, &b, &c}) {
    const Presence present = one->present("chat/x");
    REQUIRE(present.users.size() == 2);
    CHECK(present.users[0].user == "ann");
    CHECK(present.users[0].info == info);
    CHECK(present.users[1].user == "bob");
    CHECK(present.count == 2);
    CHECK(present.is_listed);
    CHECK(world.run(one->cluster.present_count("chat/x")) == 2);
    CHECK(one->present("chat/empty").count == 0);
  }
}

TEMPLATE_TEST_CASE("presence: the statistics count rooms with members here, and their users",
                   "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world), b(world), c(world);
  a.join("1", "chat/x", "ann");
  a.join("2", "chat/x", "ann");
  a.join("3", "chat/y", "ann");
  a.join("4", "elsewhere", "ann");
  a.until_told("chat/y", {"ann"});
  b.join("5", "chat/x", "bob");
  a.until_told("chat/x", {"ann", "bob"});
  CHECK(a.backplane->stats().presence_rooms == 2);
  CHECK(a.backplane->stats().presence_users == 3);
  CHECK(a.backplane->stats().presence_changes == 3);
  CHECK(a.backplane->stats().presence_reads == 2);
  CHECK(c.backplane->stats().presence_rooms == 0);
  CHECK(c.backplane->stats().presence_users == 0);
  for (const char* id : {"1", "2", "3"}) a.leave(id);
  world.until([&] { return a.backplane->stats().presence_rooms == 0; });
  CHECK(a.backplane->stats().presence_users == 0);
}

TEMPLATE_TEST_CASE("presence: a connection without a user counts as one, under its id",
                   "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world);
  a.join("visitor", "chat/x");
  a.until_told("chat/x", {"visitor"});
}

TEMPLATE_TEST_CASE("presence: the first member of a room is there as soon as it has joined",
                   "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world);
  const auto join_and_look = [&]() -> boost::asio::awaitable<Presence> {
    const ConnectOptions options{.connection_id = "1", .rooms = "chat/x", .user = "ann"};
    auto joining = a.manager.connect(std::make_shared<FakeWebSocket>(), options);
    co_await std::move(joining);
    auto looking = a.cluster.present("chat/x");
    co_return co_await std::move(looking);
  };
  CHECK(world.run(join_and_look()).count == 1);
}

TEMPLATE_TEST_CASE(
    "presence: a user comes with the first connection anywhere, and goes with the "
    "last one, when it has lingered",
    "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world), b(world);
  b.join("witness", "chat/x", "witness");
  a.join("1", "chat/x", "ann");
  a.join("2", "chat/x", "ann");
  b.join("3", "chat/x", "ann");
  a.until_told("chat/x", {"ann", "witness"});
  b.until_told("chat/x", {"ann", "witness"});
  const int told = b.changes;
  a.leave("1");
  a.leave("2");
  world.pass(20s);
  CHECK(b.users("chat/x") == Users{"ann", "witness"});
  b.leave("3");
  world.pass(14s);
  CHECK(b.users("chat/x") == Users{"ann", "witness"});
  CHECK(b.changes == told);
  world.pass(2s);
  b.until_told("chat/x", {"witness"});
  CHECK(b.last.went == std::vector<std::string>{"ann"});
  CHECK(a.users("chat/x") == Users{"witness"});
}

TEMPLATE_TEST_CASE("presence: a user who is back in time, with any replica, was never away",
                   "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world), b(world);
  b.join("witness", "chat/x", "witness");
  a.join("1", "chat/x", "ann");
  b.until_told("chat/x", {"ann", "witness"});
  const int told = b.changes;
  for (PresentReplica<TestType>* next : {&b, &a, &a}) {
    (a.manager.find("1") ? a : b).leave("1");
    world.pass(10s);
    next->join("1", "chat/x", "ann");
    world.pass(20s);
  }
  CHECK(b.users("chat/x") == Users{"ann", "witness"});
  CHECK(b.changes == told);
}

TEMPLATE_TEST_CASE("presence: a large room is only counted until it is smaller again", "[presence]",
                   ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world), b(world);
  for (int i = 1; i <= 4; ++i) a.join(std::to_string(i), "chat/x");
  b.join("b", "chat/y");
  a.until_told("chat/x", {"1", "2", "3", "4"});
  a.join("5", "chat/x");  // `max_listed` is 4
  world.until([&] { return !a.last.is_listed; });
  CHECK(a.last.count == 5);
  CHECK_FALSE(b.present("chat/x").is_listed);
  a.join("6", "chat/x");
  world.pass(6s);
  world.until([&] { return a.last.count == 6; });
  const Presence present = a.present("chat/x");
  CHECK(present.count == 6);
  CHECK_FALSE(present.is_listed);
  CHECK(present.users.empty());
  CHECK(world.run(b.cluster.present_count("chat/x")) == 6);
  for (int i = 4; i <= 6; ++i) a.leave(std::to_string(i));
  world.pass(16s);
  world.pass(6s);
  a.until_told("chat/x", {"1", "2", "3"});
  CHECK(a.last.is_fresh);
}

TEMPLATE_TEST_CASE("presence: rooms without a rule have none", "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world);
  a.join("1", "lobby");
  a.join("2", "chat/x");
  a.until_told("chat/x", {"2"});
  CHECK(a.changes == 1);
  CHECK(error_of([&] { (void)a.cluster.present("lobby"); }) == errc::not_listed);
  CHECK(contains(message_of([&] { (void)a.cluster.present_count("lobby"); }), "\"lobby\""));
  CHECK(error_of([&] { (void)a.cluster.present(""); }) == errc::invalid_room_name);
  CHECK(error_of([&] { a.cluster.on_presence({}); }) == errc::invalid_option);
  a.cluster.unbind();
  CHECK(error_of([&] { (void)a.cluster.present("chat/x"); }) == errc::not_bound);
  CHECK(error_of([&] { a.cluster.on_presence([](const auto&) {}); }) == errc::not_bound);
}

TEMPLATE_TEST_CASE("presence: the users of a manager that is unbound, or destroyed, go",
                   "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world), b(world);
  b.join("witness", "chat/x", "witness");
  a.join("1", "chat/x", "ann");
  a.join("2", "chat/x", "ann");
  b.until_told("chat/x", {"ann", "witness"});
  a.cluster.unbind();
  world.pass(16s);
  b.until_told("chat/x", {"witness"});
}

TEMPLATE_TEST_CASE("presence: the members of a manager that is bound later are there too",
                   "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world);
  ConnectionManager<FakeWebSocket> second(world.context.get_executor(), {.clock = &world.clock});
  world.run(
      second.connect(std::make_shared<FakeWebSocket>(), {.rooms = {"chat/x"}, .user = "ann"}));
  {
    const Cluster cluster = bind_manager(*a.backplane, second);
    a.until_told("chat/x", {"ann"});
    a.join("1", "chat/x", "ann");  // one user with connections to two managers
    a.join("2", "chat/x", "bob");
    a.until_told("chat/x", {"ann", "bob"});
  }
  world.pass(16s);
  CHECK(a.users("chat/x") == Users{"ann", "bob"});
  a.leave("1");
  world.pass(16s);
  a.until_told("chat/x", {"bob"});
}

TEMPLATE_TEST_CASE(
    "presence: the users of a backplane that stops go when they have lingered, and "
    "are back when it starts again",
    "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world), b(world, false);
  a.join("witness", "chat/x", "witness");
  b.join("1", "chat/x", "ann");
  a.until_told("chat/x", {"witness"});
  CHECK(error_of([&] { b.present("chat/x"); }) == errc::backplane_unavailable);
  CHECK(b.changes == 0);
  world.run(b.backplane->start());
  a.until_told("chat/x", {"ann", "witness"});
  b.until_told("chat/x", {"ann", "witness"});
  const int told = a.changes;
  world.run(b.backplane->stop());
  world.pass(10s);
  CHECK(a.users("chat/x") == Users{"ann", "witness"});
  world.run(b.backplane->start());
  world.pass(16s);
  CHECK(a.users("chat/x") == Users{"ann", "witness"});
  CHECK(a.changes == told);
  world.run(b.backplane->stop());
  world.pass_until([&] { return a.told["chat/x"] == Users{"witness"}; });
}

TEMPLATE_TEST_CASE("presence: the users of a backplane that is destroyed go", "[presence]",
                   ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world);
  auto b = std::make_unique<PresentReplica<TestType>>(world);
  a.join("witness", "chat/x", "witness");
  b->join("1", "chat/x", "ann");
  a.until_told("chat/x", {"ann", "witness"});
  b.reset();
  world.pass_until([&] { return a.told["chat/x"] == Users{"witness"}; });
}

TEMPLATE_TEST_CASE("presence: channels do not share rooms", "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world);
  world.channel = "another";
  PresentReplica<TestType> b(world);
  a.join("1", "chat/x", "ann");
  b.join("2", "chat/x", "bob");
  a.until_told("chat/x", {"ann"});
  b.until_told("chat/x", {"bob"});
}

TEMPLATE_TEST_CASE("presence: a hook that throws is logged, and the others are called",
                   "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world);
  int calls = 0;
  a.cluster.on_presence([](const PresenceChange&) { throw std::runtime_error("no space"); });
  a.cluster.on_presence([&](const PresenceChange&) { ++calls; });
  a.join("1", "chat/x", "ann");
  world.until([&] { return calls == 1; });
  CHECK(world.log.count(Severity::warning, "presence_hook_failed") == 1);
}

TEMPLATE_TEST_CASE("presence: a hook may destroy the backplane", "[presence]",
                   ROOST_PRESENCE_WORLD) {
  TestType world;
  PresentReplica<TestType> a(world);
  a.cluster.on_presence([&](const PresenceChange&) { a.backplane.reset(); });
  a.cluster.on_presence([&](const PresenceChange&) { FAIL("the backplane is gone"); });
  a.join("1", "chat/x", "ann");
  world.until([&] { return a.backplane == nullptr; });
}

TEMPLATE_TEST_CASE("presence: the rules are checked", "[presence]", ROOST_PRESENCE_WORLD) {
  TestType world;
  const auto making = [&](PresenceRule rule) {
    return [&world, rule] { world.rules_for({.rules = {rule}}); };
  };
  for (const auto& [rule, field] : std::vector<std::pair<PresenceRule, std::string>>{
           {{.rooms = ""}, "rules[0].rooms"},
           {{.rooms = "a*b"}, "rules[0].rooms"},
           {{.rooms = "a\n"}, "rules[0].rooms"},
           {{.rooms = "a", .max_listed = 0}, "rules[0].max_listed"},
           {{.rooms = "a", .max_listed = 10'001}, "rules[0].max_listed"},
           {{.rooms = "a", .linger = -1s}, "rules[0].linger"},
           {{.rooms = "a", .linger = 61min}, "rules[0].linger"},
           {{.rooms = "a", .tell_interval = 61s}, "rules[0].tell_interval"}}) {
    CHECK(error_of(making(rule)) == errc::invalid_option);
    CHECK(contains(message_of(making(rule)), field));
  }
}

}  // namespace
}  // namespace roost
