// SPDX-License-Identifier: MIT
// Manager, context, sockets and handles, destroyed in every order with anything under way; and
// callers on another executor.
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <algorithm>
#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/frame_fake.hpp"

namespace roost {
namespace {

using namespace test;
using nlohmann::json;
using Strings = std::vector<std::string>;

// Everything that can be under way at once, around a manager of either kind of socket.
template <class Ws>
struct AllAtOnce {
  using Manager = ConnectionManager<Ws>;
  using ConnectionPtr = typename Manager::ConnectionPtr;

  ManualClock clock;
  std::unique_ptr<boost::asio::io_context> context = std::make_unique<boost::asio::io_context>();
  std::unique_ptr<Manager> manager;
  std::vector<std::shared_ptr<Ws>> sockets;
  std::vector<ConnectionPtr> handles;
  std::vector<std::weak_ptr<Ws>> all_sockets;
  std::vector<std::weak_ptr<Connection<Ws>>> all_connections;
  int hooks_after_the_end = 0;
  bool is_over = false;

  std::shared_ptr<Ws> socket() {
    std::shared_ptr<Ws> ws;
    if constexpr (std::constructible_from<Ws, Clock&>) {
      ws = std::make_shared<Ws>(clock);
    } else {
      ws = std::make_shared<Ws>();
    }
    sockets.push_back(ws);
    all_sockets.push_back(ws);
    return ws;
  }
  template <class T>
  void spawn(awaitable<T> coroutine) {
    boost::asio::co_spawn(*context, std::move(coroutine), [](auto&&...) {});
    run_ready(*context);
  }
  std::shared_ptr<Ws> connect(std::string_view id, Names rooms = {}) {
    auto ws = socket();
    handles.push_back(run(*context, manager->connect(ws, {.connection_id = id, .rooms = rooms})));
    all_connections.push_back(handles.back());
    return ws;
  }

  AllAtOnce() {
    manager = std::make_unique<Manager>(
        context->get_executor(),
        ManagerOptions<Ws>{
            .max_message_bytes = 100,
            .room_validator = [](std::string_view room, Connection<Ws>&) -> awaitable<bool> {
              if (room == "slow") co_await wait_for_ever();
              co_return true;
            },
            .on_connect = [](Ws&, json& metadata) -> awaitable<bool> {
              if (metadata.contains("slow")) co_await wait_for_ever();
              co_return true;
            },
            .outbox_high_water = 10,
            .max_outbox_bytes = 1000,
            .clock = &clock});
    manager->on_disconnect([this](ConnectionPtr connection, const Disconnect&) -> awaitable<> {
      if (is_over) ++hooks_after_the_end;
      if (connection->id() == "in hook") co_await wait_for_ever();
    });

    // Sessions: one that receives, one that waits elsewhere, one that is being admitted.
    const auto receives = [m = manager.get()](ConnectionPtr connection) -> awaitable<> {
      if constexpr (ReceivingWebSocket<Ws>) {
        co_await m->receive_text(*connection);
      } else {
        co_await wait_for_ever();
      }
    };
    const auto waits = [](ConnectionPtr) -> awaitable<> { co_await wait_for_ever(); };
    json slow;
    slow["slow"] = true;
    spawn(manager->session(socket(), {.rooms = {"lobby"}}, receives));
    spawn(manager->session(socket(), {.rooms = {"lobby"}}, waits));
    spawn(manager->session(socket(), {.metadata = slow}, waits));
    spawn(manager->connect(socket(), {.rooms = {"lobby", "slow"}}));
    // A join that is being asked about, a hook that hangs, a close that is not answered.
    connect("joins", {"lobby"});
    spawn(manager->join("joins", "slow"));
    const auto unanswered = connect("in hook", {"lobby"});
    if constexpr (std::same_as<Ws, FakeWebSocket>) unanswered->stall_close();
    spawn(manager->disconnect("in hook"));
    // Stalled sends, parked frames, watched connections, posted work.
    const auto stalled = connect("stalled", {"lobby"});
    if constexpr (std::same_as<Ws, FakeWebSocket>) {
      stalled->stall_sends();
    } else {
      stalled->stall();
    }
    for (int i = 0; i < 4; ++i) spawn(manager->broadcast_text("a text over the mark"));
    manager->post_text("posted", {.room = "lobby"});
    spawn(manager->send_to("stalled", "another"));
    manager->post_text("posted and not run");
    // Started, and not run yet.
    boost::asio::co_spawn(*context, manager->broadcast_text("not run"), [](auto&&...) {});
    boost::asio::co_spawn(*context, manager->connect(socket()), [](auto&&...) {});
    boost::asio::co_spawn(*context, manager->session(socket(), {}, waits), [](auto&&...) {});
  }

  void destroy(char what) {
    is_over = is_over || what == 'm' || what == 'c';
    if (what == 'm') manager.reset();
    if (what == 'c') context.reset();
    if (what == 's') sockets.clear();
    if (what == 'h') handles.clear();
    if (what == 'r' && context) run_ready(*context);
  }
};

TEMPLATE_TEST_CASE("everything may be destroyed in any order with anything under way", "[lifetime]",
                   FakeWebSocket, FrameFake) {
  // manager, context, sockets, handles; and, somewhere between, a run of the context
  std::string order = "chmrs";
  do {
    CAPTURE(order);
    AllAtOnce<TestType> world;
    REQUIRE(world.manager->total_connections() >= 4);
    for (const char what : order) world.destroy(what);
    CHECK(world.hooks_after_the_end == 0);
    for (const auto& socket : world.all_sockets) CHECK(socket.expired());
    for (const auto& connection : world.all_connections) CHECK(connection.expired());
    CHECK(world.clock.armed() == 0);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEMPLATE_TEST_CASE("what is under way ends when the manager goes and the context lives on",
                   "[lifetime]", FakeWebSocket, FrameFake) {
  AllAtOnce<TestType> world;
  world.destroy('m');
  for (int i = 0; i < 3; ++i) {
    run_ready(*world.context);
    world.clock.advance(24h);
  }
  run_ready(*world.context);
  CHECK(world.context->stopped());  // no coroutine waits for anything
  CHECK(world.hooks_after_the_end == 0);
  world.destroy('s');
  world.destroy('h');
  for (const auto& socket : world.all_sockets) CHECK(socket.expired());
}

TEST_CASE("the end of a manager aborts its connections and ends their sessions", "[lifetime]") {
  ManualClock clock;
  boost::asio::io_context context;
  int hooks = 0;
  auto manager = std::make_unique<ConnectionManager<FakeWebSocket>>(
      context.get_executor(), ManagerOptions<FakeWebSocket>{.clock = &clock});
  manager->on_disconnect([&](const auto&, const Disconnect&) { ++hooks; });
  const auto socket = std::make_shared<FakeWebSocket>();
  const auto handler = [&](auto connection) -> awaitable<> {
    co_await manager->receive_text(*connection);
  };
  const auto session = detail::Child<SessionOutcome>::start(
      context.get_executor(), manager->session(socket, {.connection_id = "alice"}, handler));
  run_ready(context);
  const auto alice = manager->find("alice");
  manager.reset();
  CHECK(socket->is_aborted());
  CHECK_FALSE(alice->is_connected());
  CHECK(alice->ended()->reason == DisconnectReason::manager_stopped);
  run_ready(context);
  REQUIRE(session->is_done());
  CHECK(session->take().reason == DisconnectReason::manager_stopped);
  CHECK(hooks == 0);
}

TEST_CASE("a connect that is under way fails when the manager goes", "[lifetime]") {
  Gate gate;
  boost::asio::io_context context;
  auto manager = std::make_unique<ConnectionManager<FakeWebSocket>>(
      context.get_executor(),
      ManagerOptions<FakeWebSocket>{.on_connect = [&](FakeWebSocket&, json&) -> awaitable<bool> {
        co_await gate.pass();
        co_return true;
      }});
  const auto socket = std::make_shared<FakeWebSocket>();
  const auto connecting = detail::Child<std::shared_ptr<Connection<FakeWebSocket>>>::start(
      context.get_executor(), manager->connect(socket));
  run_ready(context);
  auto too_late = manager->connect(socket);
  manager.reset();
  gate.open();
  run_ready(context);
  CHECK(error_of([&] { connecting->take(); }) == errc::manager_stopped);
  CHECK(error_of([&] { run(context, std::move(too_late)); }) == errc::manager_stopped);
  CHECK(socket.use_count() == 1);
}

TEST_CASE("a connection may be kept for ever, and its sends are false", "[lifetime]") {
  std::shared_ptr<Connection<FakeWebSocket>> alice;
  {
    boost::asio::io_context context;
    ConnectionManager<FakeWebSocket> manager(context.get_executor());
    json metadata;
    metadata["user"] = "ann";
    const auto socket = std::make_shared<FakeWebSocket>();
    alice = run(context,
                manager.connect(
                    socket, {.connection_id = "alice", .metadata = metadata, .rooms = {"lobby"}}));
  }
  CHECK(alice->id() == "alice");
  CHECK(alice->metadata()["user"] == "ann");
  CHECK(alice->rooms() == Strings{"lobby"});
  CHECK_FALSE(alice->is_connected());
  CHECK(alice->websocket() == nullptr);
  CHECK(alice->ended()->reason == DisconnectReason::manager_stopped);

  boost::asio::io_context another;
  const json value = 1;
  CHECK_FALSE(run(another, alice->send_text("x")));
  CHECK_FALSE(run(another, alice->send_json(value)));
  CHECK_FALSE(run(another, alice->send_bytes({})));
}

TEST_CASE("several managers may share a context", "[lifetime]") {
  auto context = std::make_unique<boost::asio::io_context>();
  using Manager = ConnectionManager<FakeWebSocket>;
  auto first = std::make_unique<Manager>(context->get_executor());
  auto second = std::make_unique<Manager>(context->get_executor());
  const auto one = std::make_shared<FakeWebSocket>();
  const auto two = std::make_shared<FakeWebSocket>();
  run(*context, first->connect(one, {.connection_id = "id"}));
  run(*context, second->connect(two, {.connection_id = "id"}));
  CHECK(run(*context, first->broadcast_text("x")) == 1);
  first.reset();
  CHECK(one->is_aborted());
  CHECK(run(*context, second->broadcast_text("y")) == 1);
  CHECK(two->sent_texts() == Strings{"y"});
  context.reset();
  CHECK(second->total_connections() == 0);
  CHECK(two.use_count() == 1);
}

// --- another executor ---

struct TwoContexts {
  ManualClock clock;
  boost::asio::io_context mine;
  boost::asio::io_context theirs;
  ConnectionManager<FakeWebSocket> manager{theirs.get_executor(), {.clock = &clock}};

  // First one, then the other, as often as it takes.
  void settle() {
    while (run_ready(mine) + run_ready(theirs) > 0) {
    }
  }
  template <class T>
  auto start(awaitable<T> coroutine) {
    auto task = detail::Child<T>::start(mine.get_executor(), std::move(coroutine));
    settle();
    return task;
  }
  template <class T>
  T run(awaitable<T> coroutine) {
    const auto task = start(std::move(coroutine));
    REQUIRE(task->is_done());
    return task->take();
  }
};

awaitable<> works_from_elsewhere(TwoContexts& world, std::shared_ptr<FakeWebSocket> socket,
                                 Strings& log) {
  const auto here = co_await boost::asio::this_coro::executor;
  const auto note = [&](std::string what) {
    log.push_back(what + (world.mine.get_executor().running_in_this_thread() ? "" : ", elsewhere"));
  };
  const auto yes_or_no = [](bool ok) { return ok ? "yes" : "no"; };
  auto& manager = world.manager;
  const auto alice =
      co_await manager.connect(socket, {.connection_id = "alice", .rooms = {"lobby"}});
  note(alice->id());
  const std::size_t count = co_await manager.broadcast_text("1", {.room = "lobby"});
  note(std::to_string(count));
  bool ok = co_await alice->send_text("2");
  note(yes_or_no(ok));
  ok = co_await manager.join("alice", "attic");
  note(yes_or_no(ok));
  ok = co_await manager.leave("alice", "lobby");
  note(yes_or_no(ok));
  socket->peer_sends("hello");
  std::string text = co_await manager.receive_text(*alice);
  note(text);
  std::string error;
  try {
    co_await manager.connect(socket, {.connection_id = "alice"});
  } catch (const Error& e) {
    error = e.code().message();
  }
  note(error);
  ok = co_await manager.disconnect("alice");
  note(yes_or_no(ok));
  const auto at_the_end = co_await boost::asio::this_coro::executor;
  note(yes_or_no(here == at_the_end));
}

TEST_CASE("a manager may be awaited from another executor", "[lifetime]") {
  TwoContexts world;
  const auto socket = std::make_shared<FakeWebSocket>();
  Strings log;
  world.run(works_from_elsewhere(world, socket, log));
  CHECK(log == Strings{"alice", "1", "yes", "yes", "yes", "hello", "duplicate connection id", "yes",
                       "yes"});
  CHECK(socket->sent_texts() == Strings{"1", "2"});
  CHECK(socket->close_code() == 1000);
  CHECK(world.manager.total_connections() == 0);
}

TEST_CASE("the work is done on the manager's executor, whoever awaits it", "[lifetime]") {
  TwoContexts world;
  const auto socket = std::make_shared<FakeWebSocket>();
  const auto connecting = detail::Child<std::shared_ptr<Connection<FakeWebSocket>>>::start(
      world.mine.get_executor(), world.manager.connect(socket));
  run_ready(world.mine);
  CHECK(world.manager.total_connections() == 0);
  run_ready(world.theirs);
  CHECK(world.manager.total_connections() == 1);
  CHECK_FALSE(connecting->is_done());
  run_ready(world.mine);
  CHECK(connecting->is_done());
}

TEST_CASE("a session may be served, and cancelled, from another executor", "[lifetime]") {
  TwoContexts world;
  const auto socket = std::make_shared<FakeWebSocket>();
  bool was_there = false;
  const auto handler = [&](auto connection) -> awaitable<> {
    was_there = world.theirs.get_executor().running_in_this_thread();
    co_await world.manager.receive_text(*connection);
  };
  const auto session = world.start(world.manager.session(socket, {}, handler));
  CHECK(was_there);
  CHECK(world.manager.total_connections() == 1);
  SECTION("served") {
    socket->peer_closes(4000);
    world.settle();
    CHECK(session->take().code == 4000);
  }
  SECTION("cancelled") {
    session->cancel();
    world.settle();
    REQUIRE(session->is_done());
    CHECK_THROWS_AS(session->take(), boost::system::system_error);
    CHECK(socket->close_code() == 1001);
  }
  CHECK(world.manager.total_connections() == 0);
}

TEST_CASE("cancellation reaches a broadcast that was awaited from another executor", "[lifetime]") {
  TwoContexts world;
  const auto socket = std::make_shared<FakeWebSocket>();
  world.run(world.manager.connect(socket));
  socket->stall_sends();
  const auto sending = world.start(world.manager.broadcast_text("x"));
  CHECK_FALSE(sending->is_done());
  sending->cancel();
  world.settle();
  REQUIRE(sending->is_done());
  CHECK_THROWS_AS(sending->take(), boost::system::system_error);
  CHECK(world.manager.total_connections() == 1);
}

// Knows where it lives.
class Resident : public FakeWebSocket {
 public:
  explicit Resident(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  const boost::asio::any_io_executor& get_executor() const { return executor_; }

 private:
  boost::asio::any_io_executor executor_;
};

TEST_CASE("a socket that lives on another executor is refused", "[lifetime]") {
  boost::asio::io_context context;
  boost::asio::io_context another;
  ConnectionManager<Resident> manager(context.get_executor());
  const auto at_home = std::make_shared<Resident>(context.get_executor());
  const auto stranger = std::make_shared<Resident>(another.get_executor());
  run(context, manager.connect(at_home));
  CHECK(error_of([&] { run(context, manager.connect(stranger)); }) == errc::wrong_executor);
  CHECK(manager.total_connections() == 1);
}

TEST_CASE("a manager may belong to a strand", "[lifetime]") {
  boost::asio::io_context context;
  const auto strand = boost::asio::make_strand(context);
  ConnectionManager<FakeWebSocket> manager(strand);
  const auto socket = std::make_shared<FakeWebSocket>();
  const auto alice = run(context, manager.connect(socket, {.connection_id = "alice"}));
  const auto on_strand = [&](auto self) -> awaitable<std::size_t> {
    CHECK(strand.running_in_this_thread());
    co_return co_await self->broadcast_text("x");
  };
  const auto sending = detail::Child<std::size_t>::start(strand, on_strand(&manager));
  run_ready(context);
  CHECK(sending->take() == 1);
  CHECK(run(context, manager.broadcast_text("y")) == 1);
  CHECK(socket->sent_texts() == Strings{"x", "y"});
}

}  // namespace
}  // namespace roost
