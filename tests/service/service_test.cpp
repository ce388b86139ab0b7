// SPDX-License-Identifier: MIT
// Manager, heartbeat and backplane of an application: attached, found, started, and ended in order.
#include <signal.h>

#include <boost/asio/strand.hpp>
#include <csignal>
#include <memory>
#include <optional>
#include <roost/backplane/local_backplane.hpp>
#include <roost/roost.hpp>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using Fake = FakeWebSocket;
using Manager = ConnectionManager<Fake>;
using Options = ManagerOptions<Fake>;
using Strings = std::vector<std::string>;

/// Notes what is done with it.
class NotingBackplane {
 public:
  NotingBackplane(boost::asio::any_io_executor executor, Strings& notes)
      : executor_(std::move(executor)), notes_(notes) {}

  boost::asio::any_io_executor get_executor() const { return executor_; }
  awaitable<> start() {
    notes_.push_back("start");
    if (is_broken) throw Error(errc::backplane_unavailable, "nobody answers");
    co_return;
  }
  awaitable<> stop() {
    notes_.push_back("stop");
    co_return;
  }
  awaitable<Published> publish(const nlohmann::json& message) {
    notes_.push_back("publish " + message["payload"].get<std::string>());
    return nothing_known();
  }
  Subscription on(BackplaneHandler) {
    notes_.push_back("bind");
    return Subscription();
  }

  bool is_broken = false;

 private:
  static awaitable<Published> nothing_known() { co_return Published{}; }

  boost::asio::any_io_executor executor_;
  Strings& notes_;
};

/// A context with a clock, that ends with nothing left in it.
struct Server {
  ManualClock clock;
  Log log;
  Strings notes;
  boost::asio::io_context context;

  Options manager_options(Options options = {}) {
    options.clock = &clock;
    options.logger = log.logger();
    return options;
  }
  Service<Fake>& attach(ServiceOptions options = {}) {
    return init_websockets<Fake>(context, manager_options(), std::move(options));
  }
  std::shared_ptr<Fake> connect(std::string_view id) {
    auto socket = std::make_shared<Fake>();
    run(context, get_manager<Fake>(context).connect(socket, {.connection_id = id}));
    return socket;
  }
  void settle() { run_ready(context); }
  void pass(Clock::duration time) {
    for (Clock::duration passed{}; passed < time; passed += 100ms) {
      clock.advance(100ms);
      settle();
    }
  }
};

TEST_CASE("the manager of a context is found from the context, and from inside", "[service]") {
  Server world;
  auto& service = world.attach();
  CHECK(&get_manager<Fake>(world.context) == &service.manager());
  CHECK(resolve_manager<Fake>(world.context) == &service.manager());
  const auto ask = []() -> awaitable<Manager*> {
    const auto executor = co_await boost::asio::this_coro::executor;
    co_return &get_manager<Fake>(executor);
  };
  CHECK(run(world.context, ask()) == &service.manager());
}

TEST_CASE("a context without a manager gets an error, not another's", "[service]") {
  Server world;
  world.attach();
  boost::asio::io_context other;
  CHECK(error_of([&] { (void)get_manager<Fake>(other); }) == errc::not_attached);
  CHECK(contains(message_of([&] { (void)get_manager<Fake>(other); }), "init_websockets"));
  CHECK(resolve_manager<Fake>(other) == nullptr);
  // Nor one for another kind of socket.
  struct OtherSocket {
    awaitable<> send_text(std::string_view) { co_return; }
    awaitable<> send_bytes(std::span<const std::byte>) { co_return; }
    awaitable<> close(std::uint16_t) { co_return; }
  };
  CHECK(resolve_manager<OtherSocket>(world.context) == nullptr);
}

TEST_CASE("attaching twice is an error, and the first stays", "[service]") {
  Server world;
  auto& first = world.attach();
  CHECK(error_of([&] { world.attach(); }) == errc::already_attached);
  CHECK(resolve_manager<Fake>(world.context) == &first.manager());
}

TEST_CASE("options pass through", "[service]") {
  Server world;
  Options options = world.manager_options();
  options.allowed_origins = {"https://app.example.com"};
  options.max_connections = 7;
  const HeartbeatOptions beat{.interval = 10s, .timeout = 25s};
  SECTION("to a new manager") {
    auto& service = init_websockets<Fake>(world.context, options, {.heartbeat = beat});
    CHECK(service.manager().options().max_connections == 7);
    CHECK(service.manager().options().allowed_origins.is_set());
    REQUIRE(service.heartbeat());
    CHECK(service.heartbeat()->options().interval == 10s);
  }
  SECTION("around one that exists") {
    // On a strand, as it may be.
    Manager manager(boost::asio::make_strand(world.context), options);
    auto& service = init_websockets(world.context, manager, {.heartbeat = beat});
    CHECK(&get_manager<Fake>(world.context) == &manager);
    CHECK(manager.options().allowed_origins.is_set());
    REQUIRE(service.heartbeat());
    CHECK(service.heartbeat()->options().timeout == 25s);
  }
  SECTION("a bad one is an error that names it, and nothing is attached") {
    const auto attach = [&](ServiceOptions bad) {
      return message_of([&] { world.attach(std::move(bad)); });
    };
    CHECK(contains(attach({.heartbeat = HeartbeatOptions{.interval = 0s}}), "interval"));
    CHECK(contains(attach({.drain = {.code = 1006}}), "code"));
    options.send_timeout = 0s;
    CHECK(contains(message_of([&] { init_websockets<Fake>(world.context, options); }),
                   "send_timeout"));
    CHECK(resolve_manager<Fake>(world.context) == nullptr);
  }
}

TEST_CASE("a manager of another context cannot be attached", "[service]") {
  Server world;
  boost::asio::io_context other;
  Manager manager(other.get_executor());
  CHECK(error_of([&] { init_websockets(world.context, manager); }) == errc::wrong_executor);
}

TEST_CASE("the heartbeat begins by itself, unless it is not wanted", "[service]") {
  Server world;
  SECTION("by default") {
    world.attach();
    const auto alice = world.connect("alice");
    alice->ignore_pings();
    world.pass(31s);
    CHECK(alice->pings() == 1);
    world.pass(60s);
    CHECK(alice->is_aborted());
  }
  SECTION("not wanted") {
    auto& service = world.attach({.heartbeat = std::nullopt});
    CHECK(service.heartbeat() == nullptr);
    const auto alice = world.connect("alice");
    world.pass(100s);
    CHECK(alice->pings() == 0);
    CHECK_FALSE(alice->is_aborted());
  }
}

TEST_CASE("a backplane is bound and started, and stopped after the drain", "[service]") {
  Server world;
  NotingBackplane backplane(world.context.get_executor(), world.notes);
  auto& service = world.attach({.backplane = backplane});
  world.settle();
  CHECK(world.notes == Strings{"bind", "start"});
  service.manager().on_disconnect([&](auto connection, const Disconnect&) -> awaitable<> {
    const std::string text = connection->id() + " left";
    co_await service.cluster().broadcast_text(text, {.room = "lobby"});
  });
  world.connect("alice");
  world.notes.clear();
  const DrainReport report = run(world.context, service.shutdown());
  CHECK(report.closed == 1);
  CHECK(world.notes == Strings{"publish alice left", "stop"});
  CHECK(running(world.context) == 0);
}

TEST_CASE("starting a backplane may be left to the application", "[service]") {
  Server world;
  NotingBackplane backplane(world.context.get_executor(), world.notes);
  auto& service = world.attach({.backplane = backplane, .start_backplane = false});
  run(world.context, service.start());
  run(world.context, service.shutdown());
  CHECK(world.notes == Strings{"bind"});
}

TEST_CASE("a backplane that cannot be reached is told to who asks, and logged", "[service]") {
  Server world;
  NotingBackplane backplane(world.context.get_executor(), world.notes);
  backplane.is_broken = true;
  auto& service = world.attach({.backplane = backplane});
  world.settle();
  CHECK(contains(world.log.last("backplane_start_failed"), "nobody answers"));
  CHECK(error_of([&] { run(world.context, service.start()); }) == errc::backplane_unavailable);
  world.connect("alice");  // this replica goes on
  CHECK(service.manager().total_connections() == 1);
}

TEST_CASE("replicas that share a backplane reach each other's connections", "[service]") {
  Server world;
  LocalHub hub;
  LocalBackplane here(world.context.get_executor(), hub);
  LocalBackplane there(world.context.get_executor(), hub);
  Manager other(world.context.get_executor(), world.manager_options());
  const Cluster cluster = bind_manager(there, other, {.allow_global = true});
  const auto bob = std::make_shared<Fake>();
  run(world.context, other.connect(bob));
  run(world.context, there.start());

  const bool allow_global = GENERATE(false, true);
  auto& service = world.attach({.backplane = here, .allow_global_broadcast = allow_global});
  const auto alice = world.connect("alice");
  world.settle();
  run(world.context, cluster.broadcast_text("to all"));
  world.settle();
  CHECK(bob->sent_texts() == Strings{"to all"});
  CHECK(alice->sent_texts() == (allow_global ? Strings{"to all"} : Strings{}));
  run(world.context, service.shutdown());
  run(world.context, other.close_all());
  run(world.context, there.stop());
}

TEST_CASE("a shutdown ends what runs, and run() returns", "[service]") {
  Server world;
  auto& service = world.attach({.drain = {.code = 1001, .spread = 0s}});
  service.shutdown_on_signals({SIGUSR1});
  const auto alice = world.connect("alice");
  world.settle();
  CHECK_FALSE(world.context.stopped());
  SECTION("called") {
    const auto shutdown =
        detail::Child<DrainReport>::start(world.context.get_executor(), service.shutdown());
    world.settle();
    CHECK(shutdown->take().closed == 1);
  }
  SECTION("by a signal") {
    ::raise(SIGUSR1);
    testing::run_until(world.context, [&] { return alice->close_code().has_value(); });
    world.settle();
  }
  CHECK(alice->close_code() == 1001);
  CHECK(world.context.stopped());
  CHECK(running(world.context) == 0);
  CHECK(world.clock.armed() == 0);
}

/// Whether @p signal would end this process.
bool is_deadly(int signal) {
  struct sigaction now {};
  ::sigaction(signal, nullptr, &now);
  return now.sa_handler == SIG_DFL;
}

TEST_CASE("SIGTERM may come again: clients are told first; a second SIGINT need not wait",
          "[service]") {
  {
    Server world;
    auto& service = world.attach({.drain = {.spread = 0s}});
    service.shutdown_on_signals({SIGTERM, SIGINT});
    const auto alice = world.connect("alice");
    alice->stall_close();
    const auto shut_down = [&] {
      testing::run_until(world.context, [&] { return service.manager().is_draining(); });
      world.settle();
    };
    CHECK_FALSE(is_deadly(SIGTERM));
    CHECK_FALSE(is_deadly(SIGINT));
    SECTION("begun by SIGTERM") {
      ::raise(SIGTERM);
      ::raise(SIGTERM);
      shut_down();
    }
    SECTION("begun by SIGINT") {
      ::raise(SIGINT);
      shut_down();
    }
    SECTION("begun by a call") {
      detail::Child<DrainReport>::start(world.context.get_executor(), service.shutdown());
      world.settle();
    }
    CHECK_FALSE(is_deadly(SIGTERM));
    CHECK(is_deadly(SIGINT));
    const std::size_t before = world.log.count(Severity::info, "signal");
    ::raise(SIGTERM);
    testing::run_until(world.context,
                       [&] { return world.log.count(Severity::info, "signal") == before + 1; });
    world.pass(6s);  // what does not answer is cut off
    CHECK(alice->is_aborted());
    CHECK(world.log.count(Severity::info, "drained") == 1);
    CHECK(running(world.context) == 0);
    CHECK(world.context.stopped());
    ::raise(SIGTERM);  // between the end of `run` and that of `main`
    CHECK_FALSE(is_deadly(SIGTERM));
  }
  CHECK(is_deadly(SIGTERM));  // the context is gone
}

TEST_CASE("with a manager that exists every option passes through too", "[service]") {
  Server world;
  NotingBackplane backplane(world.context.get_executor(), world.notes);
  Manager manager(world.context.get_executor(), world.manager_options());
  const bool is_started = GENERATE(true, false);
  auto& service = init_websockets(world.context, manager,
                                  {.backplane = backplane,
                                   .allow_global_broadcast = true,
                                   .start_backplane = is_started,
                                   .drain = {.code = 4002}});
  const auto alice = world.connect("alice");
  run(world.context, service.cluster().broadcast_text("to all"));
  run(world.context, service.shutdown());
  CHECK(world.notes == (is_started ? Strings{"bind", "start", "publish to all", "stop"}
                                   : Strings{"bind", "publish to all"}));
  CHECK(alice->close_code() == 4002);
}

TEST_CASE("a shutdown is one, whoever asks for it", "[service]") {
  Server world;
  NotingBackplane backplane(world.context.get_executor(), world.notes);
  auto& service = world.attach({.backplane = backplane});
  service.shutdown_on_signals({SIGUSR1});
  const auto alice = world.connect("alice");
  alice->stall_close();
  const auto start = [&] {
    auto shutdown =
        detail::Child<DrainReport>::start(world.context.get_executor(), service.shutdown());
    world.settle();
    return shutdown;
  };
  const auto first = start();
  const auto second = start();
  service.shutdown_on_signals({SIGUSR1});  // nothing to do any more
  CHECK(world.notes == Strings{"bind", "start"});
  world.pass(30s);
  REQUIRE((first->is_done() && second->is_done()));
  CHECK(first->take().aborted == 1);
  CHECK(second->take().aborted == 1);
  CHECK(world.notes == Strings{"bind", "start", "stop"});
  CHECK(run(world.context, service.shutdown()).aborted == 1);  // the same
  CHECK(world.notes == Strings{"bind", "start", "stop"});
  CHECK(running(world.context) == 0);
  CHECK(world.context.stopped());
}

TEST_CASE("a manager that was handed in may go before its service", "[service]") {
  Server world;
  NotingBackplane backplane(world.context.get_executor(), world.notes);
  backplane.is_broken = true;
  std::optional<Manager> manager;
  manager.emplace(boost::asio::make_strand(world.context), world.manager_options());
  auto& service = init_websockets(world.context, *manager, {.backplane = backplane});
  service.shutdown_on_signals({SIGUSR1});
  const bool is_early = GENERATE(true, false);  // before the backplane fails to start
  if (!is_early) world.settle();
  manager.reset();
  world.settle();
  CHECK(contains(world.log.last("backplane_start_failed"), "nobody answers"));
  world.notes.clear();
  SECTION("shut down by a signal") {
    ::raise(SIGUSR1);
    testing::run_until(world.context, [&] { return !world.notes.empty(); });
  }
  SECTION("shut down by a call") { run(world.context, service.shutdown()); }
  CHECK(world.notes == Strings{"stop"});
  world.settle();
  CHECK(running(world.context) == 0);
}

TEST_CASE("a context may be destroyed without a shutdown, also with a manager on a strand",
          "[service]") {
  Server world;
  const auto alice = std::make_shared<Fake>();
  boost::asio::io_context context;
  Manager manager(boost::asio::make_strand(context), world.manager_options());
  auto& service = init_websockets(context, manager);
  service.shutdown_on_signals({SIGUSR1});
  run(context, manager.connect(alice));
  alice->stall_close();
  const auto shutdown =
      detail::Child<DrainReport>::start(context.get_executor(), service.shutdown());
  run_ready(context);
  CHECK(running(context) > 0);
}

TEST_CASE("a context may be destroyed without a shutdown", "[service]") {
  Strings notes;
  const auto alice = std::make_shared<Fake>();
  const auto bob = std::make_shared<Fake>();
  int hooks = 0;
  {
    Server world;
    NotingBackplane backplane(world.context.get_executor(), notes);
    auto& service = world.attach({.backplane = backplane});
    service.shutdown_on_signals({SIGUSR1});
    service.manager().on_disconnect([&](auto, const Disconnect&) { ++hooks; });
    const auto handler = [&](Manager::ConnectionPtr self) -> awaitable<> {
      while (auto text = co_await service.manager().next_text(*self)) {
      }
    };
    run(world.context, service.manager().connect(alice));
    const auto session = detail::Child<SessionOutcome>::start(
        world.context.get_executor(), service.manager().session(bob, {}, handler));
    SECTION("at rest") { world.settle(); }
    SECTION("never run") {}
    SECTION("in the middle of a drain") {
      const auto shutdown =
          detail::Child<DrainReport>::start(world.context.get_executor(), service.shutdown());
      world.settle();
    }
  }
  CHECK(alice.use_count() == 1);  // nothing keeps them
  CHECK(bob.use_count() == 1);
}

}  // namespace
}  // namespace roost
