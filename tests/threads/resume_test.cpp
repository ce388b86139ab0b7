// SPDX-License-Identifier: MIT
// One io_context, manager and backplane for each thread, joined by a hub with a history. Members
// come and go and come back while all publish. What this proves, ThreadSanitizer proves.
#include <roost/backplane/local_backplane.hpp>
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support/ledger.hpp"

using namespace roost;

namespace {

namespace asio = boost::asio;
using testing::FakeWebSocket;
template <class T = void>
using awaitable = asio::awaitable<T>;

constexpr std::size_t shard_count = 3;
constexpr std::size_t messages_each = 150;

/// A member that is cut again and again, and has a ledger.
struct ResumingMember {
  std::string id;
  std::shared_ptr<FakeWebSocket> socket = {};
  test::Ledger ledger = {};
  std::size_t fed = 0;

  void read() {
    if (!socket) return;
    const auto texts = socket->sent_texts();
    for (; fed < texts.size(); ++fed) ledger.feed(texts[fed]);
  }
};

/// A thread with all that belongs to it.
class ResumingShard {
 public:
  ResumingShard(std::size_t number, const LocalHub& hub)
      : number_(number), backplane_(context_.get_executor(), hub) {
    for (int i = 0; i < 3; ++i) members_.push_back({.id = "member-" + std::to_string(i)});
    testing::run(context_, backplane_.start());
    // Before anybody publishes, so that each member has all messages to come.
    for (ResumingMember& member : members_) testing::run(context_, come(member));
    context_.restart();
  }

  void run() {
    asio::co_spawn(context_, work(), [this](const std::exception_ptr& error) {
      is_done_ = !error;
      context_.stop();
    });
    context_.run();
  }

  void check() {
    CHECK(is_done_);
    for (ResumingMember& member : members_) {
      CHECK(member.ledger.problems() == std::vector<std::string>());
      CHECK(member.ledger.room("all").losses.empty());
    }
    CHECK(manager_.stats().recovered >= 10);
  }

 private:
  awaitable<> come(ResumingMember& member) {
    const std::string token = member.ledger.token();
    member.socket = std::make_shared<FakeWebSocket>();
    member.fed = 0;
    const ConnectOptions options{.connection_id = member.id, .rooms = "all", .resume = token};
    co_await manager_.connect(member.socket, options);
  }
  awaitable<> go(ResumingMember& member) {
    co_await manager_.disconnect(member.id);
    member.read();
  }
  awaitable<> work() {
    for (std::size_t n = 0; n < messages_each; ++n) {
      const std::string text = std::to_string(number_) + " says " + std::to_string(n);
      const BroadcastOptions options{.room = "all", .exclude = "member-2"};
      const Published published = co_await cluster_.broadcast_text(text, options);
      if (!published.at) throw std::runtime_error("it was not recorded");
      ResumingMember& member = members_[n % members_.size()];
      if (n % 5 == 0) co_await go(member);
      if (n % 3 == 0) co_await asio::post(asio::use_awaitable);
      if (n % 5 == 0) co_await come(member);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    for (ResumingMember& member : members_) {
      while (member.ledger.room("all").payloads.size() < shard_count * messages_each) {
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("not all came");
        co_await asio::post(asio::use_awaitable);
        member.read();
      }
    }
  }

  const std::size_t number_;
  asio::io_context context_{1};
  ConnectionManager<FakeWebSocket> manager_{context_.get_executor()};
  LocalBackplane backplane_;
  Cluster cluster_ = bind_manager(backplane_, manager_);
  std::vector<ResumingMember> members_;
  bool is_done_ = false;
};

}  // namespace

TEST_CASE("members of three threads come back to a room while all publish, and lose nothing") {
  const LocalHub hub(HistoryOptions{.rules = {{.rooms = "*", .max_messages = 10'000}}});
  std::vector<std::unique_ptr<ResumingShard>> shards;
  for (std::size_t i = 0; i < shard_count; ++i) {
    shards.push_back(std::make_unique<ResumingShard>(i, hub));
  }
  std::vector<std::thread> threads;
  for (auto& shard : shards) threads.emplace_back([&shard] { shard->run(); });
  for (std::thread& thread : threads) thread.join();
  for (auto& shard : shards) shard->check();
}
