// SPDX-License-Identifier: MIT
// One io_context, manager and backplane for each thread, joined by a hub. What this proves,
// ThreadSanitizer proves. Time is real here, and nothing waits for it.
#include <roost/backplane/local_backplane.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <array>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"

using namespace roost;

namespace {

namespace asio = boost::asio;
using nlohmann::json;
using testing::FakeWebSocket;
template <class T = void>
using awaitable = asio::awaitable<T>;

constexpr std::size_t shard_count = 3;
constexpr std::size_t messages_each = 150;

std::chrono::steady_clock::time_point watchdog() {
  return std::chrono::steady_clock::now() + std::chrono::minutes(2);
}

/// A thread with all that belongs to it.
class Shard {
 public:
  Shard(std::size_t number, const LocalHub& hub)
      : number_(number), backplane_(context_.get_executor(), hub) {
    testing::run(context_, manager_.connect(socket_, {.connection_id = id(), .rooms = {"all"}}));
    testing::run(context_, backplane_.start());
    context_.restart();
  }

  void run() {
    asio::co_spawn(context_, work(), [this](const std::exception_ptr& error) {
      is_done_ = !error;
      context_.stop();
    });
    context_.run();
  }

  /// @param expected  how many messages must have come from each publisher
  void check(std::size_t expected) const {
    CHECK(is_done_);
    std::array<std::size_t, shard_count> next{};
    std::size_t out_of_order = 0;
    for (const std::string& text : socket_->sent_texts()) {
      const json message = json::parse(text);
      std::size_t& n = next.at(message["from"]);
      if (message["n"] != n++) ++out_of_order;
    }
    CHECK(out_of_order == 0);
    for (const std::size_t n : next) CHECK(n == expected);
    CHECK(backplane_.stats().dropped == 0);
    CHECK(backplane_.stats().published == messages_each);
  }

 private:
  std::string id() const { return "client-" + std::to_string(number_); }

  awaitable<> work() {
    for (std::size_t n = 0; n < messages_each; ++n) {
      const json message = {{"from", number_}, {"n", n}};
      const Published published = co_await cluster_.broadcast_json(
          message, {.rooms = {"all", "nobody"}, .exclude = "client-none"});
      if (published.receivers < shard_count) throw std::runtime_error("somebody is missing");
      if (n % 16 == 0) co_await asio::post(asio::use_awaitable);
    }
    const auto deadline = watchdog();
    while (socket_->sent().size() < shard_count * messages_each) {
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("not all came");
      co_await asio::post(asio::use_awaitable);
    }
  }

  const std::size_t number_;
  asio::io_context context_{1};
  ConnectionManager<FakeWebSocket> manager_{context_.get_executor()};
  LocalBackplane backplane_;
  Cluster cluster_ = bind_manager(backplane_, manager_);
  std::shared_ptr<FakeWebSocket> socket_ = std::make_shared<FakeWebSocket>();
  bool is_done_ = false;
};

/// Shards that come and go, handlers that come and go, while others publish without a pause.
class Churn {
 public:
  void run() {
    std::vector<std::thread> threads;
    threads.emplace_back([this] { publish(); });
    threads.emplace_back([this] { be_reborn(); });
    threads.emplace_back([this] { subscribe(); });
    for (std::thread& thread : threads) thread.join();
    CHECK(failures_ == 0);
  }

 private:
  // A backplane that is on this thread only, and never starts.
  void publish() {
    asio::io_context context(1);
    LocalBackplane backplane(context.get_executor(), hub_);
    std::size_t n = 0;
    const auto deadline = watchdog();
    while (unfinished_ > 0 && std::chrono::steady_clock::now() < deadline) {
      const json message = {{"kind", "text"}, {"room", "a"}, {"payload", std::to_string(n++)}};
      testing::run(context, backplane.publish(message));
    }
    if (unfinished_ > 0) ++failures_;
  }

  // On a strand of a context that is destroyed first, last, or in between.
  void be_reborn() {
    for (std::size_t round = 0; round < 60; ++round) {
      auto context = std::make_unique<asio::io_context>();
      auto manager =
          std::make_unique<ConnectionManager<FakeWebSocket>>(asio::make_strand(*context));
      auto backplane = std::make_unique<LocalBackplane>(manager->get_executor(), hub_);
      std::optional<Cluster> cluster = bind_manager(*backplane, *manager);
      const auto socket = std::make_shared<FakeWebSocket>();
      testing::run(*context, manager->connect(socket, {.rooms = {"a"}}));
      testing::run(*context, backplane->start());
      testing::run_until(*context, [&] { return socket->sent().size() > 3; });
      if (round % 3 == 0) context.reset();
      if (round % 2 == 0) {
        backplane.reset();
        manager.reset();
        cluster.reset();
      } else {
        cluster.reset();
        manager.reset();
        if (context && round % 5 == 0) testing::run_ready(*context);
        backplane.reset();
      }
    }
    --unfinished_;
  }

  // From a thread that is not the backplane's.
  void subscribe() {
    asio::io_context context(1);
    LocalBackplane backplane(context.get_executor(), hub_);
    testing::run(context, backplane.start());
    context.restart();
    auto work = asio::make_work_guard(context);
    std::thread runner([&] { context.run(); });
    const auto deadline = watchdog();
    for (std::size_t round = 0; round < 60; ++round) {
      const auto coroutine =
          [counts = std::make_shared<std::atomic<std::size_t>>(0)](const json&) -> awaitable<> {
        ++*counts;
        co_await asio::post(asio::use_awaitable);
      };
      const auto count = std::make_shared<std::atomic<std::size_t>>(0);
      Subscription first = backplane.on([count](const json&) { ++*count; });
      Subscription second = backplane.on(coroutine);
      while (*count < 2) {
        if (std::chrono::steady_clock::now() > deadline) {
          ++failures_;
          break;
        }
        std::this_thread::yield();
      }
      if (!first.is_active()) ++failures_;
      first.cancel();
      if (round % 2 == 0) second.cancel();
      if (backplane.stats().received == 0) ++failures_;
    }
    work.reset();
    context.stop();
    runner.join();
    --unfinished_;
  }

  LocalHub hub_;
  std::atomic<int> unfinished_ = 2;
  std::atomic<int> failures_ = 0;
};

}  // namespace

TEST_CASE("managers on several threads are one cluster: each message once, in order") {
  LocalHub hub;
  std::vector<std::unique_ptr<Shard>> shards;
  for (std::size_t i = 0; i < shard_count; ++i) shards.push_back(std::make_unique<Shard>(i, hub));
  std::vector<std::thread> threads;
  for (const auto& shard : shards) threads.emplace_back([&shard] { shard->run(); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& shard : shards) shard->check(messages_each);
}

TEST_CASE("shards and handlers come and go while others publish") {
  Churn churn;
  churn.run();
}
