// SPDX-License-Identifier: MIT
// A peer that vanishes without a FIN, on a real network.
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <optional>
#include <roost/beast.hpp>
#include <roost/testing.hpp>
#include <string>
#include <vector>

#include "beast/support/raw_client.hpp"
#include "catch.hpp"
#include "netns/other_host.hpp"

namespace roost {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using testing::run_until;
using Manager = ConnectionManager<BeastWebSocket>;
template <class T = void>
using awaitable = boost::asio::awaitable<T>;

/// A WebSocket client of the other host that says no more than its request.
class Visitor {
 public:
  Visitor(boost::asio::io_context& context, const test::OtherHost& host,
          const tcp::endpoint& server)
      : socket_(context, tcp::v4(), host.connect(server)) {
    boost::asio::write(socket_, boost::asio::buffer(test::upgrade_request()));
  }
  /// Answers every ping. Its socket must be readable.
  void answer_pings() {
    socket_.non_blocking(true);
    std::string bytes(4'096, '\0');
    boost::system::error_code error;
    bytes.resize(socket_.read_some(boost::asio::buffer(bytes), error));
    received_ += bytes;
    // After the response to the upgrade there are pings only.
    const std::size_t head = received_.find("\r\n\r\n");
    if (head == std::string::npos) return;
    for (std::size_t at = head + 4; at + 2 <= received_.size();) {
      const auto length = static_cast<std::size_t>(received_[at + 1]);
      if (at + 2 + length > received_.size()) break;
      std::string pong("\x8A");
      pong += static_cast<char>(0x80 | length);
      pong.append(4, '\0');  // the mask
      pong += received_.substr(at + 2, length);
      boost::asio::write(socket_, boost::asio::buffer(pong));
      received_.erase(at, 2 + length);
      ++pings_;
    }
  }
  [[nodiscard]] std::size_t pings() const { return pings_; }

 private:
  tcp::socket socket_;
  std::string received_;
  std::size_t pings_ = 0;
};

TEST_CASE("a peer that vanishes without a FIN is gone after the timeout", "[netns]") {
  test::leave_the_network();
  const test::OtherHost host;

  testing::ManualClock clock;
  boost::asio::io_context context;
  Manager manager(context.get_executor(), {.clock = &clock});
  HeartbeatMonitor monitor(manager, {.interval = 30s, .timeout = 90s});
  monitor.start();
  std::vector<SessionOutcome> outcomes;
  const auto handler = [&](Manager::ConnectionPtr self) -> awaitable<> {
    while (co_await manager.next_text(*self)) {
    }
  };
  auto listener = listen(manager, {boost::asio::ip::make_address(test::OtherHost::our_address), 0},
                         {.stream = {.clock = &clock}}, [&](Upgrade upgrade) -> awaitable<> {
                           auto socket = co_await upgrade.accept();
                           outcomes.push_back(co_await manager.session(socket, {}, handler));
                         });

  Visitor visitor(context, host, listener.local_endpoint());
  run_until(context, [&] { return manager.total_connections() == 1; });

  // In steps shorter than a tick, as time passes.
  const auto pass = [&](Clock::duration time) {
    for (Clock::duration passed{}; passed < time; passed += 100ms) {
      clock.advance(100ms);
      testing::run_ready(context);
    }
  };
  // Three minutes of nothing but pings and pongs.
  for (std::size_t pings = 1; pings <= 6; ++pings) {
    pass(30s);
    run_until(context, [&] {
      visitor.answer_pings();
      return visitor.pings() >= pings;
    });
    const auto before = manager.stats().connections;
    CHECK(before == 1);
  }

  host.cut();
  pass(60s);
  CHECK(manager.total_connections() == 1);  // nothing has told us
  CHECK(outcomes.empty());
  pass(60s);
  CHECK(manager.total_connections() == 0);
  run_until(context, [&] { return !outcomes.empty(); });
  CHECK(outcomes.front().reason == DisconnectReason::heartbeat_timeout);
  listener.stop();
  testing::run_ready(context);
  CHECK(running(context) == 0);  // its reader has ended
}

}  // namespace
}  // namespace roost
