// SPDX-License-Identifier: MIT
// A process that does not run for longer than the time that Redis has to answer: the answers are
// there when it wakes, and it keeps its connections.
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <roost/redis.hpp>
#include <roost/testing.hpp>
#include <string>
#include <vector>

#include "catch.hpp"
#include "redis/fake_redis.hpp"
#include "support/log.hpp"
#include "support/recorder.hpp"

namespace roost {
namespace {

using namespace std::chrono_literals;
constexpr std::chrono::milliseconds limit = 300ms;

TEST_CASE("a process that was late keeps its connections to Redis, whatever it waited for",
          "[operators]") {
  // Redis goes on while the process does not.
  boost::asio::io_context elsewhere;
  test::FakeRedis redis(elsewhere);
  test::Log log;
  boost::asio::io_context context;
  RedisBackplane backplane(context.get_executor(), {.url = redis.url(),
                                                    .connect_timeout = limit,
                                                    .command_timeout = limit,
                                                    .logger = log.logger()});
  const auto starting = detail::Child<void>::start(context.get_executor(), backplane.start());
  const auto publishing =
      detail::Child<Published>::start(context.get_executor(), backplane.publish(test::numbered(1)));

  // So far it has come when it is stopped.
  const int turns = GENERATE(0, 4, 8, 12, 16, 24, 32, 48);
  CAPTURE(turns);
  for (int i = 0; i < turns; ++i) {
    context.restart();
    context.run_one_for(10ms);
    elsewhere.poll();
  }
  const auto end = std::chrono::steady_clock::now() + 3 * limit;
  while (std::chrono::steady_clock::now() < end) elsewhere.poll();

  testing::run_until(context, [&] {
    elsewhere.poll();
    return starting->is_done() && publishing->is_done();
  });
  CHECK_NOTHROW(starting->take());
  CHECK_FALSE(publishing->take().error);
  CHECK(redis.connections == 2);
  CHECK(log.count("redis_lost") == 0);
}

TEST_CASE("a message that takes Redis longer than a command arrives, as long as it gets on",
          "[operators]") {
  constexpr auto command_timeout = 1s;
  boost::asio::io_context elsewhere;
  test::FakeRedis redis(elsewhere);
  redis.acceptor.set_option(boost::asio::socket_base::receive_buffer_size(65'536));
  test::Log log;
  boost::asio::io_context context;
  RedisBackplane backplane(
      context.get_executor(),
      {.url = redis.url(), .command_timeout = command_timeout, .logger = log.logger()});
  // Some 4 MB in a second, read in small pieces.
  auto next_piece = std::chrono::steady_clock::now();
  const auto read_slowly = [&] {
    for (; next_piece <= std::chrono::steady_clock::now(); next_piece += 1ms) elsewhere.poll_one();
  };
  const std::size_t messages = GENERATE(std::size_t{1}, std::size_t{100});
  const std::string text(8'000'000 / messages, 'x');
  std::vector<std::shared_ptr<detail::Child<Published>>> publishing;
  for (std::size_t i = 0; i < messages; ++i) {
    publishing.push_back(detail::Child<Published>::start(
        context.get_executor(), backplane.publish({{"kind", "text"}, {"payload", text}})));
  }
  const auto begun = std::chrono::steady_clock::now();
  testing::run_until(
      context,
      [&] {
        read_slowly();
        return publishing.back()->is_done();
      },
      60s);
  CHECK(std::chrono::steady_clock::now() - begun > command_timeout);
  for (const auto& one : publishing) CHECK_FALSE(one->take().error);
  CHECK(redis.connections == 1);
  CHECK(log.count("redis_lost") == 0);
}

}  // namespace
}  // namespace roost
