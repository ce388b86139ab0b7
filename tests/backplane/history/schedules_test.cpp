// SPDX-License-Identifier: MIT
// Clients that come, go and come back while others publish, in every order in which the handlers of
// managers and backplanes may run. Each client keeps a ledger.
#include <roost/backplane/local_backplane.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/frame_fake.hpp"
#include "support/ledger.hpp"

namespace roost {
namespace {

using namespace test;
using Strings = std::vector<std::string>;
using FrameManager = ConnectionManager<FrameFake>;

/// A manager and its backplane, each on a context of its own, of which one handler runs at a time.
class Halves {
 public:
  Halves(ManualClock& clock, const LocalHub& hub, const LocalBackplaneOptions& options)
      : manager_(std::in_place, managers_.get_executor(),
                 FrameManager::Options{.max_message_bytes = 100,
                                       .outbox_high_water = 200,
                                       .max_outbox_bytes = 2'000,
                                       .clock = &clock}),
        backplane_(backplanes_.get_executor(), hub, options),
        cluster_(bind_manager(backplane_, *manager_)) {
    testing::run(elsewhere_, backplane_.start());
  }
  ~Halves() {
    manager_.reset();
    settle();
  }

  /// @returns false if nothing was ready
  bool step_manager() { return step(managers_); }
  bool step_backplane() { return step(backplanes_); }
  bool settle() {
    bool is_busy = false;
    for (bool again = true; again; is_busy = is_busy || again) {
      again = step_manager();
      again = step_backplane() || again;
    }
    return is_busy;
  }

  Published say(const std::string& text, const std::string& room) {
    return testing::run(elsewhere_, cluster_.broadcast_text(text, {.room = room}));
  }
  void forget(const std::string& room) { testing::run(elsewhere_, cluster_.forget(room)); }
  void start() { testing::run(elsewhere_, backplane_.start()); }
  void stop() { testing::run(elsewhere_, backplane_.stop()); }
  void unbind() { cluster_.unbind(); }
  void bind() { cluster_ = bind_manager(backplane_, *manager_); }

  FrameManager& manager() { return *manager_; }
  template <class T>
  void begin(boost::asio::awaitable<T> coroutine) {
    boost::asio::co_spawn(managers_, std::move(coroutine), [](std::exception_ptr, auto&&...) {});
  }

 private:
  static bool step(boost::asio::io_context& context) {
    context.restart();
    return context.poll_one() > 0;
  }

  boost::asio::io_context managers_;
  boost::asio::io_context backplanes_;
  boost::asio::io_context elsewhere_;
  std::optional<FrameManager> manager_;
  LocalBackplane backplane_;
  Cluster cluster_;
};

/// A client that connects, is cut, and connects again.
class Client {
 public:
  Client(std::string name, ManualClock& clock) : name_(std::move(name)), clock_(clock) {}

  void connect(Halves& at, const Strings& rooms) {
    cut();
    at_ = &at;
    ws_ = std::make_shared<FrameFake>(clock_);
    fed_ = 0;
    const std::string id = name_ + std::to_string(++connections_);
    at.begin(connect_to(at.manager(), ws_, id, rooms, ledger.token()));
  }
  void cut() {
    read();
    if (ws_) ws_->peer_closes(1006);
    ws_.reset();
  }
  void read() {
    if (!ws_) return;
    for (; fed_ < ws_->texts.size(); ++fed_) ledger.feed(ws_->texts[fed_]);
  }
  void stall() {
    if (ws_) ws_->stall();
  }
  void drain(std::size_t bytes) {
    if (ws_) ws_->drain(bytes);
  }
  void drain_all() {
    if (ws_) ws_->drain_all();
  }
  void join(const std::string& room) {
    if (!ws_) return;
    read();
    at_->begin(join_room(at_->manager(), id(), room, ledger.since(room)));
  }
  void leave(const std::string& room) {
    if (ws_) at_->begin(leave_room(at_->manager(), id(), room));
  }
  bool is_here() const { return ws_ && !ws_->is_aborted && !ws_->close_code; }
  std::string id() const { return name_ + std::to_string(connections_); }

  Ledger ledger;

 private:
  static awaitable<> connect_to(FrameManager& manager, std::shared_ptr<FrameFake> ws,
                                std::string id, Strings rooms, std::string token) {
    const ConnectOptions options{.connection_id = id, .rooms = rooms, .resume = token};
    co_await manager.connect(std::move(ws), options);
  }
  static awaitable<> join_room(FrameManager& manager, std::string id, std::string room,
                               std::optional<std::string> since) {
    JoinOptions options;
    if (since) options.since = *since;
    co_await manager.join(id, room, options);
  }
  static awaitable<> leave_room(FrameManager& manager, std::string id, std::string room) {
    co_await manager.leave(id, room);
  }

  const std::string name_;
  ManualClock& clock_;
  Halves* at_ = nullptr;
  std::shared_ptr<FrameFake> ws_;
  std::size_t fed_ = 0;
  std::size_t connections_ = 0;
};

/// Two replicas and a client or more.
struct Stage {
  explicit Stage(std::size_t count = 1, HistoryRule rule = {.rooms = "*", .max_messages = 10'000},
                 LocalBackplaneOptions options = {})
      : hub({.rules = {rule}}, clock) {
    options.max_message_bytes = 5'000;
    for (int i = 0; i < 2; ++i) {
      replicas.push_back(std::make_unique<Halves>(clock, hub, options));
    }
    for (std::size_t i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<Client>("c" + std::to_string(i) + "-", clock));
    }
  }

  void say(std::size_t replica, const std::string& room) {
    const std::string text = std::to_string(++said);
    replicas[replica]->say(text, room);
  }
  /// Everything that can happen happens, clients read all.
  void settle() {
    for (bool is_busy = true; is_busy;) {
      is_busy = false;
      for (auto& replica : replicas) is_busy = replica->settle() || is_busy;
      for (auto& client : clients) client->drain_all();
    }
    for (auto& client : clients) client->read();
  }

  ManualClock clock;
  LocalHub hub;
  std::vector<std::unique_ptr<Halves>> replicas;
  std::vector<std::unique_ptr<Client>> clients;
  int said = 0;
};

/// All orders of some steps of a test and the handlers of one replica, up to a number of choices;
/// then the steps that are left, and everything that can still happen.
class Sweep {
 public:
  using Step = std::function<void(Stage&)>;

  Sweep(std::vector<Step> steps, std::size_t depth) : steps_(std::move(steps)), depth_(depth) {}

  /// @param check  at the end of each order
  /// @returns how many orders there were
  std::size_t run(const Step& prepare, const Step& check) {
    std::vector<std::size_t> choices;
    std::size_t runs = 0;
    do {
      Stage world;
      prepare(world);
      play(world, choices);
      check(world);
      ++runs;
    } while (next(choices));
    return runs;
  }

 private:
  static constexpr std::size_t kinds = 3;

  // A choice that leads to nothing counts as made, and the next is taken in its place.
  void play(Stage& world, std::vector<std::size_t>& choices) {
    std::size_t step = 0;
    Halves& replica = *world.replicas[0];
    for (std::size_t i = 0; i < depth_; ++i) {
      if (i == choices.size()) choices.push_back(0);
      bool is_made = false;
      while (!is_made && choices[i] < kinds) {
        switch (choices[i]) {
          case 0: is_made = replica.step_manager(); break;
          case 1: is_made = replica.step_backplane(); break;
          default:
            is_made = step < steps_.size();
            if (is_made) steps_[step++](world);
        }
        if (!is_made) ++choices[i];
      }
      if (is_made) continue;
      choices.resize(i);  // nothing is left to do
      break;
    }
    for (; step < steps_.size(); ++step) steps_[step](world);
    world.settle();
  }
  static bool next(std::vector<std::size_t>& choices) {
    while (!choices.empty() && choices.back() + 1 >= kinds) choices.pop_back();
    if (choices.empty()) return false;
    ++choices.back();
    return true;
  }

  const std::vector<Step> steps_;
  const std::size_t depth_;
};

Strings numbers(int from, int to) {
  Strings numbers;
  for (int i = from; i <= to; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

const auto say = [](Stage& world) { world.say(1, "r"); };
const auto connect = [](Stage& world) { world.clients[0]->connect(*world.replicas[0], {"r"}); };
const auto cut = [](Stage& world) { world.clients[0]->cut(); };
const auto leave = [](Stage& world) { world.clients[0]->leave("r"); };
const auto join = [](Stage& world) { world.clients[0]->join("r"); };

/// A client that has the first of two messages, and is away.
void was_here(Stage& world) {
  connect(world);
  world.settle();
  say(world);
  world.settle();
  cut(world);
  world.settle();
  say(world);
  world.settle();
}
void connected(Stage& world) {
  connect(world);
  world.settle();
  say(world);
  world.settle();
}

}  // namespace

TEST_CASE("a client that comes back gets everything once, in whichever order things happen") {
  const std::size_t runs = Sweep({connect, say, say}, 8).run(was_here, [](Stage& world) {
    const Ledger& ledger = world.clients[0]->ledger;
    REQUIRE(ledger.problems() == Strings());
    REQUIRE(world.clients[0]->ledger.room("r").payloads == numbers(1, 4));
    REQUIRE(world.clients[0]->ledger.room("r").losses.empty());
  });
  CHECK(runs > 50);
}

TEST_CASE("a client that is cut at any moment loses nothing") {
  const std::size_t runs = Sweep({connect, say, cut, say, connect}, 7).run(was_here, [](Stage& w) {
    REQUIRE(w.clients[0]->ledger.problems() == Strings());
    REQUIRE(w.clients[0]->ledger.room("r").payloads == numbers(1, 4));
    REQUIRE(w.clients[0]->ledger.room("r").losses.empty());
  });
  CHECK(runs > 50);
}

TEST_CASE("a client that leaves a room and joins it again while it is asked loses nothing") {
  const std::size_t runs = Sweep({connect, leave, say, join, say}, 7).run(was_here, [](Stage& w) {
    REQUIRE(w.clients[0]->ledger.problems() == Strings());
    REQUIRE(w.clients[0]->ledger.room("r").losses.empty());
  });
  CHECK(runs > 50);
}

TEST_CASE("a client that is cut about a restart of its backplane is told what it missed") {
  const auto stop = [](Stage& world) { world.replicas[0]->stop(); };
  const auto start = [](Stage& world) { world.replicas[0]->start(); };
  const std::size_t runs =
      Sweep({stop, say, start, say, cut, connect}, 11).run(connected, [](Stage& w) {
        CAPTURE(w.clients[0]->ledger.room("r").losses, w.clients[0]->ledger.room("r").payloads);
        REQUIRE(w.clients[0]->ledger.problems() == Strings());
      });
  CHECK(runs > 50);
}

TEST_CASE("a client that is cut while its manager is bound anew is told what it missed") {
  const auto unbind = [](Stage& world) { world.replicas[0]->unbind(); };
  const auto bind = [](Stage& world) { world.replicas[0]->bind(); };
  const std::size_t runs =
      Sweep({unbind, say, bind, say, cut, connect}, 11).run(connected, [](Stage& w) {
        REQUIRE(w.clients[0]->ledger.problems() == Strings());
      });
  CHECK(runs > 50);
}

TEST_CASE("a client that is cut while its room is forgotten is told so") {
  const auto forget = [](Stage& world) { world.replicas[1]->forget("r"); };
  const std::size_t runs =
      Sweep({connect, forget, say, cut, connect}, 7).run(was_here, [](Stage& w) {
        REQUIRE(w.clients[0]->ledger.problems() == Strings());
        REQUIRE_FALSE(w.clients[0]->ledger.room("r").losses.empty());
      });
  CHECK(runs > 50);
}

TEST_CASE("clients at random replicas, in random orders, have everything or are told") {
  const std::uint32_t worlds = 150;
  std::size_t recovered = 0;
  std::size_t lost = 0;
  for (std::uint32_t seed = 1; seed <= worlds; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto one_of = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const bool is_tight = one_of(2) == 0;
    Stage world(3, {.rooms = "*", .max_messages = is_tight ? 20U : 10'000U},
                {.max_message_bytes = 5'000, .max_queued_messages = one_of(3) == 0 ? 2U : 1'000U});
    const Strings rooms{"r", "s"};
    for (int i = 0; i < 300; ++i) {
      Halves& replica = *world.replicas[one_of(2)];
      Client& client = *world.clients[one_of(3)];
      const std::string& room = rooms[one_of(2)];
      switch (one_of(24)) {
        case 0: client.connect(replica, {"r", "s"}); break;
        case 1: client.cut(); break;
        case 2: client.leave(room); break;
        case 3: client.join(room); break;
        case 4: client.stall(); break;
        case 5: client.drain_all(); break;
        case 6: client.drain(one_of(300)); break;
        case 7:
          if (one_of(8) == 0) replica.forget(room);
          break;
        case 8:
          if (one_of(8) == 0) replica.stop();
          break;
        case 9: replica.start(); break;
        case 10:
          if (one_of(8) == 0) {
            replica.unbind();
            if (one_of(2) == 0) replica.settle();
            replica.bind();
          }
          break;
        case 11: client.read(); break;
        case 12:
        case 13:
        case 14: world.say(one_of(2), room); break;
        case 15:
          for (int k = 0; k < 30; ++k) world.say(one_of(2), room);
          break;
        default:
          if (one_of(2) == 0) {
            replica.step_manager();
          } else {
            replica.step_backplane();
          }
      }
    }
    for (auto& replica : world.replicas) replica->start();
    world.settle();
    world.clock.advance(11s);
    world.settle();
    // Everybody is up to date in the end.
    for (auto& client : world.clients) client->connect(*world.replicas[one_of(2)], rooms);
    world.settle();
    for (const std::string& room : rooms) {
      world.say(0, room);
      world.settle();
      for (auto& client : world.clients) {
        REQUIRE(client->ledger.problems() == Strings());
        REQUIRE(client->ledger.room(room).payloads.back() == std::to_string(world.said));
        recovered += client->ledger.room(room).recovered;
        lost += client->ledger.room(room).losses.size();
      }
    }
  }
  CHECK(recovered > worlds);
  CHECK(lost > worlds);
}

}  // namespace roost
