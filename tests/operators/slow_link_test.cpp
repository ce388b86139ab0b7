// SPDX-License-Identifier: MIT
// Clients behind 512 kbit/s, on a real network: one that reads, one that does not, and one that
// reads a few bytes at a time.
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <roost/beast.hpp>
#include <roost/testing.hpp>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/raw_client.hpp"
#include "catch.hpp"
#include "netns/other_host.hpp"

namespace roost {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using Manager = ConnectionManager<BeastWebSocket>;
template <class T = void>
using awaitable = boost::asio::awaitable<T>;

/// A client of the other host, which reads so much at a time and so often.
class Client {
 public:
  Client(boost::asio::io_context& context, const test::OtherHost& host, const tcp::endpoint& server,
         const std::string& id)
      : socket_(context, tcp::v4(), host.connect(server)) {
    socket_.set_option(boost::asio::socket_base::receive_buffer_size(16'384));
    boost::asio::write(socket_, boost::asio::buffer(test::upgrade_request("/?id=" + id)));
    socket_.non_blocking(true);
  }
  void read(std::size_t most) {
    std::vector<char> bytes(most);
    boost::system::error_code error;
    received_ += socket_.read_some(boost::asio::buffer(bytes), error);
  }
  [[nodiscard]] std::size_t received() const { return received_; }

 private:
  tcp::socket socket_;
  std::size_t received_ = 0;
};

TEST_CASE("a link of 512 kbit/s gets the largest message; those that do not read it are dropped",
          "[netns]") {
  test::leave_the_network();
  const test::OtherHost host;
  test::sh("tc qdisc add dev cable0 root tbf rate 512kbit burst 4096 latency 200ms");
  // As large as the kernel likes, which is 20 s of this link: that is not what counts.
  const std::size_t send_buffer_bytes = GENERATE(std::size_t{0}, std::size_t{262'144});
  CAPTURE(send_buffer_bytes);

  boost::asio::io_context context;
  Manager manager(context.get_executor());
  std::vector<std::pair<std::string, Disconnect>> ended;
  manager.on_disconnect([&](Manager::ConnectionPtr connection, const Disconnect& how) {
    ended.emplace_back(connection->id(), how);
  });
  const auto handler = [&](Manager::ConnectionPtr self) -> awaitable<> {
    while (co_await manager.next_text(*self)) {
    }
  };
  auto listener = listen(
      manager, {boost::asio::ip::make_address(test::OtherHost::our_address), 0},
      {.stream = {.send_buffer_bytes = send_buffer_bytes}}, [&](Upgrade upgrade) -> awaitable<> {
        const std::optional<std::string> id = upgrade.query("id");
        auto socket = co_await upgrade.accept();
        co_await manager.session(std::move(socket), {.connection_id = *id}, handler);
      });
  const tcp::endpoint server = listener.local_endpoint();
  Client reads(context, host, server, "reads");
  Client stalls(context, host, server, "stalls");
  Client trickles(context, host, server, "trickles");
  testing::run_until(context, [&] { return manager.total_connections() == 3; });

  constexpr std::size_t bytes = 1'048'576;
  manager.post_text(std::string(bytes, 'm'));
  auto next_bite = std::chrono::steady_clock::now();
  testing::run_until(
      context,
      [&] {
        reads.read(65'536);
        if (std::chrono::steady_clock::now() >= next_bite) {
          trickles.read(100);
          next_bite += 100ms;
        }
        return reads.received() > bytes || !manager.find("reads");
      },
      60s);
  CHECK(reads.received() > bytes);
  CHECK(manager.find("reads"));
  REQUIRE(ended.size() == 2);
  CHECK(ended[0].first != ended[1].first);
  for (const auto& [id, how] : ended) CHECK(how.reason == DisconnectReason::send_timeout);
  testing::run_until(context, [&] { return manager.stats().queued_bytes == 0; });

  listener.stop();
  bool is_closed = false;
  boost::asio::co_spawn(context, manager.close_all(1001, {.deadline = 100ms}),
                        [&](std::exception_ptr, std::size_t) { is_closed = true; });
  testing::run_until(context, [&] { return is_closed; });
}

}  // namespace
}  // namespace roost
