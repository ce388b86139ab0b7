// SPDX-License-Identifier: MIT
// What every backplane with a registry promises: replicas can be asked and told what to do.
// Included by one file for each kind, after it has defined its world; ROOST_CONTROL_WORLD is its
// name.
#pragma once

#include <roost/backplane/control/control_message.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <nlohmann/json.hpp>
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
using nlohmann::json;
using ReplicaNames = std::vector<std::string>;

// Long: no test waits for it.
constexpr AskOptions patient_ask{.timeout = std::chrono::minutes(1)};

// A manager with a backplane of its own.
template <class World>
struct ControlReplica {
  using Manager = ConnectionManager<FakeWebSocket>;

  ControlReplica(World& its_world, std::string label, ManagerOptions<FakeWebSocket> options = {})
      : ControlReplica(its_world, std::move(label), its_world.context, std::move(options)) {}
  ControlReplica(World& its_world, std::string label, boost::asio::io_context& its_context,
                 ManagerOptions<FakeWebSocket> options = {})
      : world(its_world),
        context(its_context),
        backplane(world.make_control(context, std::move(label))),
        manager(context.get_executor(), std::move(options)),
        cluster(bind_manager(*backplane, manager)) {
    run(backplane->start());
    world.until_known(context, cluster);
  }
  ~ControlReplica() {
    if (!backplane) return;
    run(manager.close_all());
    run(backplane->stop());
  }
  ControlReplica(const ControlReplica&) = delete;
  ControlReplica& operator=(const ControlReplica&) = delete;

  template <class T>
  T run(awaitable<T> coroutine) {
    const auto task = detail::Child<T>::start(context.get_executor(), std::move(coroutine));
    testing::run_until(context, [&] { return task->is_done(); });
    return task->take();
  }
  std::shared_ptr<FakeWebSocket> come(std::string_view id, Names rooms = {},
                                      std::string_view user = "anybody") {
    auto ws = std::make_shared<FakeWebSocket>();
    run(manager.connect(ws, {.connection_id = id, .rooms = rooms, .user = user}));
    return ws;
  }
  Survey ask(std::string_view name, const json& question = {}) {
    return run(cluster.ask(name, question, patient_ask));
  }
  std::string name() {
    for (const ReplicaInfo& replica : cluster.replicas()) {
      if (replica.label == backplane->options().label) return replica.name;
    }
    return {};
  }

  World& world;
  boost::asio::io_context& context;
  std::unique_ptr<typename World::Backplane> backplane;
  Manager manager;
  Cluster cluster;
};

TEMPLATE_TEST_CASE("a question is answered by every replica, the one that asks included",
                   "[control]", ROOST_CONTROL_WORLD) {
  TestType world;
  ControlReplica one(world, "one");
  ControlReplica two(world, "two");
  ControlReplica three(world, "three");
  for (auto* const replica : {&one, &two, &three}) {
    replica->cluster.on_ask(
        "double", [](const json& question) { return json(2 * question["n"].get<int>()); });
  }
  json question = json::object();
  question["n"] = 21;
  const Survey survey = two.ask("double", question);
  CHECK(survey.missing.empty());
  ReplicaNames answered;
  for (const ReplicaAnswer& answer : survey.answers) {
    CHECK(answer.answer == 42);
    CHECK(answer.error.empty());
    answered.push_back(answer.replica);
  }
  ReplicaNames known;
  for (const ReplicaInfo& replica : two.cluster.replicas()) known.push_back(replica.name);
  CHECK(answered.size() == 3);
  CHECK(answered == known);
  CHECK(two.backplane->stats().asks == 1);
  CHECK(two.backplane->stats().missing_answers == 0);
  CHECK(two.backplane->stats().replicas == 3);
}

TEMPLATE_TEST_CASE("a replica without the hook, and one whose hook fails, answer with an error",
                   "[control]", ROOST_CONTROL_WORLD) {
  TestType world;
  ControlReplica one(world, "one");
  ControlReplica two(world, "two");
  ControlReplica three(world, "three");
  two.cluster.on_ask("when", [](const json&) -> json { throw std::runtime_error("not now"); });
  three.cluster.on_ask("when", [](const json&) { return json(std::string(70'000, 'x')); });
  const Survey survey = one.ask("when");
  CHECK(survey.missing.empty());
  REQUIRE(survey.answers.size() == 3);
  for (const ReplicaAnswer& answer : survey.answers) {
    const std::string expected = answer.replica == one.name()   ? "has no hook for when"
                                 : answer.replica == two.name() ? "not now"
                                                                : "larger than 64000 bytes";
    CHECK(answer.answer.is_null());
    CHECK(contains(answer.error, expected));
  }
}

TEMPLATE_TEST_CASE("the replicas are listed with their version, label and connections", "[control]",
                   ROOST_CONTROL_WORLD) {
  TestType world;
  ControlReplica one(world, "one");
  ControlReplica two(world, "zwei \"2\"");
  one.come("alice");
  one.come("bob");
  two.come("carol");
  world.beat();
  one.ask("anything");
  const std::vector<ReplicaInfo> replicas = one.cluster.replicas();
  REQUIRE(replicas.size() == 2);
  CHECK(replicas[0].name < replicas[1].name);
  for (const ReplicaInfo& replica : replicas) {
    CHECK(replica.version == detail::version_text());
    CHECK(replica.connections == (replica.label == "one" ? 2 : 1));
    CHECK(replica.rules == replicas[0].rules);
  }
}

TEMPLATE_TEST_CASE("a replica that does not answer is missing, by its name", "[control]",
                   ROOST_CONTROL_WORLD) {
  TestType world;
  boost::asio::io_context elsewhere;
  ControlReplica one(world, "one");
  ControlReplica two(world, "two");
  ControlReplica silent(world, "silent", elsewhere);  // nobody runs it meanwhile
  bool is_answered = false;
  bool is_marked = false;
  one.cluster.on_ask("there", [](const json&) { return json(true); });
  two.cluster.on_ask("there", [&](const json&) { return json(is_answered = true); });
  one.cluster.on_ask("mark", [&](const json&) { return json(is_marked = true); });
  const auto ask = [&](ControlReplica<TestType>& replica, std::string_view what) {
    return detail::Child<Survey>::start(world.context.get_executor(),
                                        replica.cluster.ask(what, json(), {.timeout = 2s}));
  };
  const auto asking = ask(one, "there");
  world.until([&] { return is_answered; });
  const auto marking = ask(two, "mark");  // it comes after the answer
  world.until([&] { return is_marked; });
  CHECK(!asking->is_done());
  world.clock.advance(2s);
  world.until([&] { return asking->is_done() && marking->is_done(); });
  const Survey survey = asking->take();
  CHECK(survey.answers.size() == 2);
  CHECK(survey.missing == ReplicaNames{silent.name()});
  CHECK(one.backplane->stats().missing_answers == 1);
}

TEMPLATE_TEST_CASE("a replica that has stopped is not asked, and is another one when it starts",
                   "[control]", ROOST_CONTROL_WORLD) {
  TestType world;
  ControlReplica one(world, "one");
  ControlReplica two(world, "two");
  CHECK(one.ask("anything").answers.size() == 2);
  two.run(two.backplane->stop());
  const Survey survey = one.ask("anything");
  CHECK(survey.answers.size() == 1);
  CHECK(survey.missing.empty());
  two.run(two.backplane->start());
  CHECK(one.ask("anything").answers.size() == 2);
}

TEMPLATE_TEST_CASE("a connection is disconnected wherever it is, with a code and a reason",
                   "[control]", ROOST_CONTROL_WORLD) {
  TestType world;
  ControlReplica one(world, "one");
  ControlReplica two(world, "two");
  const auto here = one.come("here", "lobby");
  const auto there = two.come("there", "lobby");
  const auto other = two.come("other", "lobby");
  constexpr ClusterDisconnectOptions how{
      .code = 4001, .reason = "signed out", .except = "other", .timeout = std::chrono::minutes(1)};
  Reached reached = one.run(one.cluster.disconnect(Target::connection("there"), how));
  CHECK(reached.count == 1);
  CHECK(reached.missing.empty());
  CHECK(two.manager.total_connections() == 1);
  two.world.until([&] { return there->close_code().has_value(); });
  CHECK(there->close_code() == 4001);
  CHECK(there->close_reason() == "signed out");
  reached = one.run(one.cluster.disconnect(Target::connection("nobody"), how));
  CHECK(reached.count == 0);
  reached = two.run(two.cluster.disconnect(Target::room("lobby"), how));
  CHECK(reached.count == 1);
  CHECK(one.manager.total_connections() == 0);
  CHECK(two.manager.total_connections() == 1);
}

TEMPLATE_TEST_CASE("a user is signed out everywhere but where the order comes from", "[control]",
                   ROOST_CONTROL_WORLD) {
  TestType world;
  ControlReplica one(world, "one");
  ControlReplica two(world, "two");
  one.come("tab 1", {}, "alice");
  one.come("tab 2", {}, "alice");
  two.come("tab 3", {}, "alice");
  two.come("other", {}, "bob");
  const Reached reached = one.run(one.cluster.disconnect(
      Target::user("alice"), {.except = "tab 2", .timeout = std::chrono::minutes(1)}));
  CHECK(reached.count == 2);
  CHECK(one.manager.connections_of("alice").size() == 1);
  CHECK(one.manager.find("tab 2") != nullptr);
  CHECK(two.manager.total_connections() == 1);
}

TEMPLATE_TEST_CASE("connections join and leave rooms wherever they are, if the validator lets them",
                   "[control]", ROOST_CONTROL_WORLD) {
  TestType world;
  ControlReplica one(world, "one");
  ControlReplica two(
      world, "two",
      {.room_validator = [](std::string_view room, const Connection<FakeWebSocket>& connection) {
        return room != "vip" || connection.id() != "carol";
      }});
  one.come("alice", "lobby");
  two.come("bob", "lobby");
  two.come("carol", "lobby");
  const auto& cluster = one.cluster;
  CHECK(one.run(cluster.room_size("lobby", patient_ask)).count == 3);
  CHECK(one.run(cluster.join(Target::room("lobby"), "vip", patient_ask)).count == 2);
  CHECK(two.manager.room_size("vip") == 1);
  CHECK(one.run(cluster.room_size("vip", patient_ask)).count == 2);
  CHECK(one.run(cluster.leave(Target::connection("bob"), "vip", patient_ask)).count == 1);
  CHECK(one.run(cluster.leave(Target::connection("bob"), "vip", patient_ask)).count == 0);
  CHECK(one.run(cluster.room_size("vip", patient_ask)).count == 1);
}

TEMPLATE_TEST_CASE("questions and orders that cannot be asked are refused at the call", "[control]",
                   ROOST_CONTROL_WORLD) {
  TestType world;
  ControlReplica one(world, "one");
  const auto& cluster = one.cluster;
  const auto hook = [](const json&) { return json(); };
  CHECK(error_of([&] { static_cast<void>(cluster.ask("", json())); }) == errc::invalid_option);
  CHECK(error_of([&] { static_cast<void>(cluster.ask("roost:join", json())); }) ==
        errc::invalid_option);
  CHECK(error_of([&] { static_cast<void>(cluster.ask("a", json(), {.timeout = 0s})); }) ==
        errc::invalid_option);
  CHECK(error_of([&] { static_cast<void>(cluster.ask("a", json(std::string(70'000, 'x')))); }) ==
        errc::message_too_big);
  CHECK(error_of([&] { static_cast<void>(cluster.ask("a", json("\xff"))); }) == errc::invalid_json);
  CHECK(error_of([&] { (cluster.on_ask("roost:mine", hook)); }) == errc::invalid_option);
  CHECK(error_of([&] { (cluster.on_ask("mine", nullptr)); }) == errc::invalid_option);
  CHECK(error_of([&] { static_cast<void>(cluster.disconnect(Target::connection(""))); }) ==
        errc::invalid_option);
  CHECK(error_of([&] { static_cast<void>(cluster.join(Target::connection("a"), "")); }) ==
        errc::invalid_room_name);
  CHECK(error_of([&] { static_cast<void>(cluster.room_size("")); }) == errc::invalid_room_name);
  CHECK(error_of([&] { static_cast<void>(Cluster().replicas()); }) == errc::not_bound);
}

}  // namespace
}  // namespace roost
