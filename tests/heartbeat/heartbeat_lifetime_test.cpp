// SPDX-License-Identifier: MIT
// A monitor, its manager and their context, destroyed in every order with anything under way; its
// options; and callers on another executor.
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/frame_fake.hpp"

namespace roost {
namespace {

using namespace test;

template <class Ws>
struct Watched {
  using Manager = ConnectionManager<Ws>;

  ManualClock clock;
  std::unique_ptr<boost::asio::io_context> context = std::make_unique<boost::asio::io_context>();
  std::unique_ptr<Manager> manager =
      std::make_unique<Manager>(context->get_executor(), ManagerOptions<Ws>{.clock = &clock});
  std::unique_ptr<HeartbeatMonitor<Ws>> monitor =
      std::make_unique<HeartbeatMonitor<Ws>>(*manager, options());
  std::unique_ptr<HeartbeatMonitor<Ws>> stopped =
      std::make_unique<HeartbeatMonitor<Ws>>(*manager, options());
  std::vector<std::shared_ptr<Ws>> sockets;
  std::vector<std::weak_ptr<Connection<Ws>>> connections;

  static HeartbeatOptions options() { return {.interval = 128s, .timeout = 129s}; }

  Watched() {
    stopped->start();
    for (int i = 0; i < 10; ++i) {
      if constexpr (std::constructible_from<Ws, Clock&>) {
        sockets.push_back(std::make_shared<Ws>(clock));
      } else {
        sockets.push_back(std::make_shared<Ws>());
      }
      connections.push_back(run(*context, manager->connect(sockets.back())));
      if constexpr (Pings<Ws>) sockets.back()->ignore_pings();
    }
    monitor->start();
    run(*context, stopped->stop());
    for (int i = 0; i < 128; ++i) {
      clock.advance(1s);
      run_ready(*context);
    }
    // All are due to be dropped, and the tick is ready; some calls are started and not run yet.
    clock.advance(1s);
    for (auto* each : {monitor.get(), stopped.get()}) {
      boost::asio::co_spawn(*context, each->tick(), [](auto&&...) {});
      boost::asio::co_spawn(*context, each->stop(), [](auto&&...) {});
    }
  }

  void destroy(char what) {
    if (what == 'm') manager.reset();
    if (what == 'c') context.reset();
    if (what == 'h') monitor.reset();
    if (what == 's') stopped.reset();
    if (what == 'r' && context) run_ready(*context);
    if (what == 'a' && monitor) {
      CHECK_FALSE(monitor->touch("nobody"));
      CHECK_FALSE(monitor->is_alive("nobody"));
      if (!manager || !context) {
        CHECK(error_of([&] { monitor->start(); }) == errc::manager_stopped);
        boost::asio::io_context other;  // and what is awaited completes
        const auto ticking =
            detail::Child<std::size_t>::start(other.get_executor(), monitor->tick());
        run_ready(other);
        if (context) run_ready(*context);
        run_ready(other);
        REQUIRE(ticking->is_done());
        CHECK(ticking->take() == 0);
      }
    }
  }
};

TEMPLATE_TEST_CASE("heartbeat: it may be destroyed in any order with anything under way",
                   "[heartbeat]", FakeWebSocket, FrameFake) {
  // manager, context, the monitors; and, somewhere between, a run of the context and calls
  std::string order = "achmrs";
  do {
    CAPTURE(order);
    Watched<TestType> world;
    REQUIRE(world.manager->total_connections() == 10);
    for (const char what : order) world.destroy(what);
    for (const auto& connection : world.connections) CHECK(connection.expired());
    for (const auto& socket : world.sockets) CHECK(socket.use_count() == 1);
    CHECK(world.clock.armed() == 0);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("heartbeat: nothing keeps the context running once the manager or the monitor is gone",
          "[heartbeat]") {
  Watched<FakeWebSocket> world;
  const char first = GENERATE('m', 'h');
  world.destroy(first);
  run_ready(*world.context);
  CHECK(world.clock.armed() == 0);
  if (first == 'm') CHECK(world.context->stopped());
  world.destroy('m');
  run_ready(*world.context);
  CHECK(world.context->stopped());
}

TEST_CASE("heartbeat: it outlives the context of a strand", "[heartbeat]") {
  ManualClock clock;
  auto context = std::make_unique<boost::asio::io_context>();
  ConnectionManager<FakeWebSocket> manager(boost::asio::make_strand(*context), {.clock = &clock});
  HeartbeatMonitor monitor(manager);
  monitor.start();
  const auto socket = std::make_shared<FakeWebSocket>();
  run(*context, manager.connect(socket));
  CHECK(run(*context, monitor.tick()) == 1);
  CHECK(clock.armed() == 1);
  context.reset();
  CHECK(clock.armed() == 0);
  boost::asio::io_context other;
  run(other, monitor.stop());
  CHECK(run(other, monitor.tick()) == 0);
  CHECK(error_of([&] { HeartbeatMonitor too_late(manager); }) == errc::manager_stopped);
}

TEST_CASE("heartbeat: once it is destroyed, it pings and drops nobody, and watches nobody",
          "[heartbeat]") {
  ManualClock clock;
  boost::asio::io_context context;
  ConnectionManager<FakeWebSocket> manager(context.get_executor(), {.clock = &clock});
  auto monitor = std::make_unique<HeartbeatMonitor<FakeWebSocket>>(manager);
  monitor->start();
  const auto alice = std::make_shared<FakeWebSocket>();
  run(context, manager.connect(alice, {.connection_id = "alice"}));
  monitor.reset();
  run_ready(context);
  CHECK(clock.armed() == 0);
  const auto bob = std::make_shared<FakeWebSocket>();
  run(context, manager.connect(bob));
  CHECK(clock.armed() == 0);
  clock.advance(1h);
  run_ready(context);
  CHECK(alice->pings() + bob->pings() == 0);
  CHECK(run(context, manager.disconnect("alice")));
  CHECK(manager.total_connections() == 1);
}

TEST_CASE("heartbeat: a hook may destroy the monitor", "[heartbeat]") {
  Watched<FakeWebSocket> world;
  world.manager->on_disconnect([&](const auto&, const Disconnect&) { world.monitor.reset(); });
  world.clock.advance(-1s);
  world.monitor->start();
  for (int i = 0; i < 300; ++i) {
    world.clock.advance(1s);
    run_ready(*world.context);
  }
  CHECK(world.clock.armed() == 0);
}

TEST_CASE("heartbeat: tick and stop may be awaited on another thread", "[heartbeat]") {
  boost::asio::io_context context;
  ConnectionManager<FakeWebSocket> manager(context.get_executor());
  HeartbeatMonitor monitor(manager);
  const auto socket = std::make_shared<FakeWebSocket>();
  run(context, manager.connect(socket));
  monitor.start();

  auto work = boost::asio::make_work_guard(context);
  context.restart();
  std::thread server([&] { context.run(); });
  boost::asio::io_context other;
  const auto calls = [&]() -> awaitable<std::size_t> {
    const std::size_t n = co_await monitor.tick();
    co_await monitor.stop();
    co_return n;
  };
  const auto calling = detail::Child<std::size_t>::start(other.get_executor(), calls());
  testing::run_until(other, [&] { return calling->is_done(); });
  CHECK(calling->take() == 1);
  work.reset();
  context.stop();
  server.join();
  CHECK(socket->pings() == 1);
}

// --- options ---

std::string refusal(HeartbeatOptions options) {
  boost::asio::io_context context;
  ConnectionManager<FakeWebSocket> manager(context.get_executor());
  std::string what;
  const errc code = error_of([&] {
    try {
      HeartbeatMonitor monitor(manager, options);
    } catch (const std::exception& error) {
      what = error.what();
      throw;
    }
  });
  CHECK(code == errc::invalid_option);
  return what;
}

TEST_CASE("heartbeat: options out of range are refused by name", "[heartbeat]") {
  CHECK(contains(refusal({.interval = 10ms - 1ns}), "interval must"));
  CHECK(contains(refusal({.interval = -1s}), "interval must"));
  CHECK(contains(refusal({.interval = 24h + 1ns, .timeout = 48h}), "interval must"));
  CHECK(contains(refusal({.interval = 30s, .timeout = 30s}), "timeout must"));
  CHECK(contains(refusal({.interval = 30s, .timeout = 168h + 1ns}), "timeout must"));
  CHECK(contains(refusal({.message = ""}), "message must"));
  CHECK(contains(refusal({.message = "\xFF"}), "message must"));
}

TEST_CASE("heartbeat: options at their limits are fine, and the defaults are 30 and 90 seconds",
          "[heartbeat]") {
  boost::asio::io_context context;
  ConnectionManager<FakeWebSocket> manager(context.get_executor());
  HeartbeatMonitor shortest(manager, {.interval = 10ms, .timeout = 10ms + 1ns});
  HeartbeatMonitor longest(manager, {.interval = 24h, .timeout = 168h});
  HeartbeatMonitor ordinary(manager);
  CHECK(ordinary.options().interval == 30s);
  CHECK(ordinary.options().timeout == 90s);
  CHECK(ordinary.options().message == "ping");
}

}  // namespace
}  // namespace roost
