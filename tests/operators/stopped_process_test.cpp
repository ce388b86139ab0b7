// SPDX-License-Identifier: MIT
// A server process that is stopped for longer than all of its deadlines (SIGSTOP, a live migration,
// swapping), or that its own handler blocks for as long: it drops nobody when it wakes.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <roost/beast.hpp>
#include <roost/testing.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "beast/support/beast_client.hpp"
#include "beast/support/frames.hpp"
#include "beast/support/raw_client.hpp"
#include "catch.hpp"

namespace roost {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using testing::run_until;
using Manager = ConnectionManager<BeastWebSocket>;
template <class T = void>
using awaitable = boost::asio::awaitable<T>;

constexpr std::chrono::milliseconds deadline = 1s;  // each of the server
constexpr std::chrono::milliseconds stop = 2500ms;  // how long it does not run
constexpr std::size_t backlog = 6'000'000;

// --- the process of the server ---

awaitable<> serve_one(Manager& manager, std::shared_ptr<Connection<BeastWebSocket>> connection) {
  for (;;) {
    const Message message = co_await manager.receive(*connection);
    if (message.text() == "block") {
      const auto end = std::chrono::steady_clock::now() + stop;
      while (std::chrono::steady_clock::now() < end) {
      }
    } else if (message.text() == "much") {
      co_await connection->send_text(std::string(backlog, 'x'));
    } else {
      co_await connection->send_text(message.text());
    }
  }
}

awaitable<> serve(Manager& manager, Upgrade upgrade) {
  auto socket = co_await upgrade.accept();
  co_await manager.session(std::move(socket), {},
                           [&](auto connection) { return serve_one(manager, connection); });
}

[[noreturn]] void run_server(int port_pipe) {
  boost::asio::io_context context;
  Manager manager(context.get_executor(), {.send_timeout = deadline,
                                           .hook_timeout = deadline,
                                           .max_outbox_bytes = 2 * backlog,
                                           .close_timeout = deadline,
                                           .handler_grace = deadline});
  HeartbeatMonitor<BeastWebSocket> monitor(manager,
                                           {.interval = deadline / 2, .timeout = deadline});
  monitor.start();
  ListenOptions options;
  options.stream.handshake_timeout = deadline;
  options.stream.close_timeout = deadline;
  options.stream.send_timeout = deadline;
  options.stream.linger_timeout = deadline;
  options.stream.send_buffer_bytes = 65'536;
  const auto listener = listen(manager, {boost::asio::ip::address_v4::loopback(), 0}, options,
                               [&](Upgrade upgrade) { return serve(manager, std::move(upgrade)); });
  const std::uint16_t port = listener.port();
  if (::write(port_pipe, &port, sizeof port) != sizeof port) ::_exit(1);
  context.run();
  ::_exit(0);
}

class ServerProcess {
 public:
  ServerProcess() {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    id_ = ::fork();
    if (id_ < 0) throw std::runtime_error("fork");
    if (id_ == 0) {
      try {
        run_server(ends[1]);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "the server: %s\n", error.what());
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    const bool is_told = ::read(ends[0], &port_, sizeof port_) == sizeof port_;
    ::close(ends[0]);
    if (!is_told) throw std::runtime_error("the server did not start");
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess() {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  tcp::endpoint endpoint() const { return {boost::asio::ip::address_v4::loopback(), port_}; }
  void signal(int number) const { ::kill(id_, number); }

 private:
  pid_t id_ = 0;
  std::uint16_t port_ = 0;
};

// --- its clients ---

void run_for(boost::asio::io_context& context, std::chrono::steady_clock::duration time) {
  const auto end = std::chrono::steady_clock::now() + time;
  run_until(context, [&] { return std::chrono::steady_clock::now() >= end; });
}

TEST_CASE("a server that did not run for longer than its deadlines drops nobody when it wakes",
          "[operators]") {
  const bool is_stopped = GENERATE(true, false);
  CAPTURE(is_stopped);
  const ServerProcess server;
  boost::asio::io_context context;
  test::BeastClient alice(context.get_executor(), server.endpoint(), "/");
  // A client whose request is under way, and one that takes much, slowly.
  const std::string request = test::upgrade_request();
  test::RawClient bob(context, server.endpoint());
  test::RawClient carol(context, server.endpoint(), {.receive_buffer_bytes = 65'536});
  test::BeastClient blocker(context.get_executor(), server.endpoint(), "/");
  carol.send(request);
  run_until(context, [&] { return alice.is_open() && blocker.is_open() && carol.is_upgraded(); });
  carol.stop_reading();
  carol.send(test::client_frame(Opcode::text, "much"));
  bob.send(request.substr(0, 40));
  run_for(context, deadline / 4);

  if (is_stopped) {
    server.signal(SIGSTOP);
  } else {
    blocker.send_text("block");
  }
  run_for(context, stop);
  alice.send_text("still there?");
  bob.send(request.substr(40));
  if (is_stopped) server.signal(SIGCONT);
  run_for(context, deadline / 4);
  carol.resume_reading();

  run_until(context, [&] {
    return (alice.texts().size() == 1 && bob.is_upgraded() && carol.bytes_read() > backlog) ||
           alice.is_over() || bob.is_gone() || carol.is_gone() || blocker.is_over();
  });
  CHECK_FALSE(alice.is_over());
  CHECK(bob.is_upgraded());
  CHECK_FALSE(carol.is_gone());
  CHECK_FALSE(blocker.is_over());
  CHECK(alice.texts().size() == 1);
  CHECK(carol.bytes_read() > backlog);

  // Bob answers no ping: he is dropped in time nevertheless.
  const auto begun = std::chrono::steady_clock::now();
  run_until(context, [&] { return bob.is_gone(); });
  CHECK(std::chrono::steady_clock::now() - begun < 20 * deadline);
  CHECK_FALSE(alice.is_over());
}

}  // namespace
}  // namespace roost
