// SPDX-License-Identifier: MIT
// One io_context run by four threads, the manager on a strand, callers everywhere. What this
// proves, ThreadSanitizer proves. Time is real here, and nothing waits for it.
#include <array>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <roost/beast.hpp>
#include <roost/testing.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"

using namespace roost;

namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using Manager = ConnectionManager<BeastWebSocket>;
using FakeManager = ConnectionManager<testing::FakeWebSocket>;
template <class T = void>
using awaitable = asio::awaitable<T>;

constexpr std::size_t thread_count = 4;
constexpr std::size_t client_count = 20;
constexpr std::size_t echoes_each = 20;
constexpr std::size_t rounds_each = 60;

/// Server, clients and callers. The work is bounded; when the last of it is done, everything is
/// closed and the context runs out of work.
class Swarm {
 public:
  Swarm() {
    manager_.on_disconnect([this](Manager::ConnectionPtr, const Disconnect&) { ++hooks_; });
    listener_ = listen(manager_, {asio::ip::address_v4::loopback(), 0}, {},
                       [this](Upgrade upgrade) { return serve(std::move(upgrade)); });
    for (std::size_t i = 0; i < client_count; ++i) begin(asio::make_strand(context_), visit(i));
    for (std::size_t i = 0; i < thread_count; ++i) {
      begin(context_.get_executor(), call(i));
      begin(context_.get_executor(), call_fakes(i));
    }
    begin(context_.get_executor(), watch());
  }

  void run() {
    std::vector<std::thread> threads;
    std::vector<std::future<void>> ends;
    for (std::size_t i = 0; i < thread_count; ++i) {
      std::packaged_task<void()> task([this] { context_.run(); });
      ends.push_back(task.get_future());
      threads.emplace_back(std::move(task));
    }
    for (char name : {'x', 'y'}) {
      threads.emplace_back([this, name] {
        for (std::size_t i = 0; i < rounds_each; ++i) {
          manager_.post_text(std::string(1, name) + std::to_string(i), {.room = "lobby"});
          const nlohmann::json json = {{"n", i}};
          manager_.post_json(json, {.exclude = "client-1"});
          fakes_.post_text("posted");
        }
      });
    }
    const auto watchdog = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    for (auto& end : ends) {
      if (end.wait_until(watchdog) == std::future_status::timeout) context_.stop();
    }
    for (std::thread& thread : threads) thread.join();
    for (auto& end : ends) CHECK_NOTHROW(end.get());
  }

  // After the threads are gone.
  void check() const {
    CHECK(unfinished_ == 0);
    CHECK(is_over_);
    CHECK(failures_ == 0);
    CHECK(echoes_ == client_count * echoes_each);
    CHECK(out_of_order_ == 0);
    CHECK(sessions_ == client_count);
    CHECK(hooks_ == client_count);
    CHECK(manager_.total_connections() == 0);
    CHECK(manager_.list_rooms().empty());
    CHECK(manager_.stats().queued_bytes == 0);
    CHECK(manager_.stats().accepted == client_count);
    CHECK(fakes_.total_connections() == 0);
    CHECK(fakes_.stats().accepted == thread_count * rounds_each);
  }

 private:
  template <class Executor>
  void begin(const Executor& executor, awaitable<> task) {
    ++unfinished_;
    asio::co_spawn(executor, std::move(task), [this](const std::exception_ptr& error) {
      if (error) ++failures_;
      if (--unfinished_ == 0) asio::co_spawn(manager_.get_executor(), finish(), asio::detached);
    });
  }

  awaitable<> finish() {
    listener_->stop();
    co_await manager_.close_all();
    co_await fakes_.close_all();
    is_over_ = true;
  }

  // --- on the manager's strand ---

  awaitable<> serve(Upgrade upgrade) {
    const std::string id = upgrade.query("id").value_or("");
    const auto socket = co_await upgrade.accept();
    const auto body = [this](Manager::ConnectionPtr connection) {
      return echo(std::move(connection));
    };
    try {
      co_await manager_.session(socket, {.connection_id = id, .rooms = "lobby"}, body);
    } catch (const std::exception&) {
      ++failures_;
    }
    ++sessions_;
  }
  awaitable<> echo(Manager::ConnectionPtr connection) {
    while (const auto text = co_await manager_.next_text(*connection)) {
      co_await connection->send_text(*text);
    }
  }

  // --- clients, each on a strand of its own ---

  awaitable<> visit(std::size_t i) {
    namespace websocket = boost::beast::websocket;
    const auto executor = co_await asio::this_coro::executor;
    websocket::stream<tcp::socket> stream{tcp::socket(executor)};
    co_await stream.next_layer().async_connect(listener_->local_endpoint(), asio::use_awaitable);
    const std::string target = "/?id=client-" + std::to_string(i);
    co_await stream.async_handshake("127.0.0.1", target, asio::use_awaitable);
    boost::beast::flat_buffer buffer;
    std::array<std::size_t, 2> next{};
    for (std::size_t n = 0; n < echoes_each;) {
      const std::string own = "echo " + std::to_string(i) + "/" + std::to_string(n);
      co_await stream.async_write(asio::buffer(own), asio::use_awaitable);
      std::string text;
      while (text != own) {
        buffer.clear();
        co_await stream.async_read(buffer, asio::use_awaitable);
        text = boost::beast::buffers_to_string(buffer.cdata());
        note_posted(text, next);
      }
      ++n;
      ++echoes_;
    }
    if (i % 4 == 0) co_return;  // goes without a word
    co_await stream.async_close(websocket::close_code::normal, asio::use_awaitable);
  }

  /// The posts of one thread keep their order; who joins late misses the first ones.
  void note_posted(const std::string& text, std::array<std::size_t, 2>& next) {
    if (text[0] != 'x' && text[0] != 'y') return;
    std::size_t& expected = next[text[0] == 'x' ? 0 : 1];
    const std::size_t number = std::stoul(text.substr(1));
    if (number < expected) ++out_of_order_;
    expected = number + 1;
  }

  // --- callers on whichever thread ---

  awaitable<> call(std::size_t i) {
    const std::string room = "room-" + std::to_string(i);
    const auto bytes = std::as_bytes(std::span(room));
    for (std::size_t n = 0; n < rounds_each; ++n) {
      const std::string id = "client-" + std::to_string((i + n) % client_count);
      co_await manager_.broadcast_text("text", {.room = "lobby", .exclude = {id}});
      co_await manager_.join(id, room);
      co_await manager_.broadcast_bytes(bytes, {.rooms = {room, "lobby"}});
      co_await manager_.send_to(id, "to you");
      co_await manager_.leave(id, room);
      co_await manager_.disconnect("nobody");
    }
  }

  awaitable<> call_fakes(std::size_t i) {
    for (std::size_t n = 0; n < rounds_each; ++n) {
      const std::string id = std::to_string(i) + "/" + std::to_string(n);
      auto fake = std::make_shared<testing::FakeWebSocket>();
      const auto connection =
          co_await fakes_.connect(std::move(fake), {.connection_id = id, .rooms = "fakes"});
      co_await fakes_.broadcast_text("hello", {.room = "fakes"});
      co_await connection->send_text("to you");
      if (n % 2 == 0) co_await fakes_.disconnect(id);
    }
  }

  /// What must be asked on the manager's executor.
  awaitable<> look() {
    const Stats stats = manager_.stats();
    if (stats.connections != manager_.total_connections()) ++failures_;
    for (const std::string& room : manager_.list_rooms()) {
      if (manager_.room_size(room) == 0) ++failures_;
    }
    if (const auto connection = manager_.find("client-2"); connection && connection->websocket()) {
      connection->websocket()->ping("p");
    }
    co_return;
  }
  awaitable<> watch() {
    for (std::size_t n = 0; n < rounds_each; ++n) {
      co_await asio::co_spawn(manager_.get_executor(), look(), asio::use_awaitable);
    }
  }

  asio::io_context context_;
  Manager manager_{asio::make_strand(context_)};
  FakeManager fakes_{asio::make_strand(context_)};
  std::optional<Listener> listener_;

  std::atomic<std::size_t> unfinished_ = 0;
  std::atomic<std::size_t> failures_ = 0;
  std::atomic<std::size_t> echoes_ = 0;
  std::atomic<std::size_t> out_of_order_ = 0;
  std::atomic<std::size_t> sessions_ = 0;
  std::size_t hooks_ = 0;  // the strand's own
  std::atomic<bool> is_over_ = false;
};

}  // namespace

TEST_CASE("a manager on a strand of a multithreaded context may be called from every thread") {
  Swarm swarm;
  swarm.run();
  swarm.check();
}
