// SPDX-License-Identifier: MIT
// What presence promises, within a process.
#include <roost/backplane/local_presence.hpp>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <utility>

#include "support/bench.hpp"
#include "support/log.hpp"

namespace roost::test {

struct LocalPresenceWorld {
  using Backplane = LocalBackplane;

  ManualClock clock;
  Log log;
  boost::asio::io_context context;
  LocalHub hub;
  std::string channel = "channel";
  PresenceOptions options{
      .rules = {{.rooms = "chat/*", .max_listed = 4, .tell_interval = Clock::duration::zero()}}};

  std::unique_ptr<LocalBackplane> make() {
    return std::make_unique<LocalBackplane>(context.get_executor(), hub,
                                            LocalBackplaneOptions{.channel = channel,
                                                                  .presence = rules_for(options),
                                                                  .logger = log.logger(),
                                                                  .clock = &clock});
  }
  static std::shared_ptr<const detail::LocalPresenceFactory> rules_for(PresenceOptions rules) {
    return local_presence(std::move(rules));
  }
  /// Lets so much time pass that the users of a replica that stopped or died are gone.
  template <class Predicate>
  void pass_until(Predicate predicate) {
    pass(16s);
    REQUIRE(predicate());
  }
  template <class Predicate>
  void until(Predicate predicate) {
    run_ready(context);
    REQUIRE(predicate());
  }
  void pass(Clock::duration time) {
    run_ready(context);
    clock.advance(time);
    run_ready(context);
  }
  template <class T>
  T run(awaitable<T> coroutine) {
    return testing::run(context, std::move(coroutine));
  }
};

}  // namespace roost::test

#define ROOST_PRESENCE_WORLD test::LocalPresenceWorld
#include "support/presence_contract.hpp"

namespace roost {
namespace {

TEST_CASE("presence: the backplanes of a hub must have the same rules", "[presence]") {
  test::LocalPresenceWorld world;
  const auto first = world.make();
  world.options.rules.front().max_listed = 5;
  CHECK(error_of([&] { world.make(); }) == errc::invalid_option);
}

TEST_CASE("presence: changes within tell_interval are told together", "[presence]") {
  test::LocalPresenceWorld world;
  world.options.rules.front().tell_interval = 500ms;
  PresentReplica<test::LocalPresenceWorld> a(world);
  a.join("1", "chat/x", "ann");
  a.until_told("chat/x", {"ann"});
  a.join("2", "chat/x", "bob");
  a.join("3", "chat/x", "cid");
  world.pass(400ms);
  CHECK(a.changes == 1);
  world.pass(200ms);
  a.until_told("chat/x", {"ann", "bob", "cid"});
  CHECK(a.changes == 2);
}

TEST_CASE("presence: a backplane without presence has none", "[presence]") {
  boost::asio::io_context context;
  LocalBackplane backplane(context.get_executor());
  ConnectionManager<FakeWebSocket> manager(context.get_executor());
  const Cluster cluster = bind_manager(backplane, manager);
  CHECK(error_of([&] { (void)cluster.present("lobby"); }) == errc::not_listed);
  CHECK(error_of([&] { cluster.on_presence([](const auto&) {}); }) == errc::not_listed);
}

}  // namespace
}  // namespace roost
