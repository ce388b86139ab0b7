// SPDX-License-Identifier: MIT
// Names of Redis that lead nowhere: one with two addresses of which the first does not answer, and
// a DNS that does not answer. In a network, and with files in /etc, of this process only.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <roost/runtime/running.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "netns/other_host.hpp"
#include "redis/fake_redis.hpp"
#include "redis/redis_world.hpp"
#include "roost/redis/connection/lookup.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using namespace std::chrono_literals;

void replace_file(const char* path, const std::string& text) {
  static TemporaryFolder folder;
  const std::string mine = folder.file(std::filesystem::path(path).filename().string());
  std::ofstream(mine) << text;
  if (::mount(mine.c_str(), path, nullptr, MS_BIND, nullptr) != 0) {
    throw std::system_error(errno, std::generic_category(), path);
  }
}

/// A socket of the kernel's that nobody reads.
class DeafSocket {
 public:
  DeafSocket(int type, const char* address, std::uint16_t port)
      : fd_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    const sockaddr_in where = at(address, port);
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
      throw std::system_error(errno, std::generic_category(), address);
    }
  }
  DeafSocket(const DeafSocket&) = delete;
  DeafSocket& operator=(const DeafSocket&) = delete;
  ~DeafSocket() {
    for (const int fd : visitors_) ::close(fd);
    ::close(fd_);
  }

  /// Fills the backlog: from then on a connect gets no answer.
  void fill(const char* address, std::uint16_t port) {
    ::listen(fd_, 0);
    const sockaddr_in where = at(address, port);
    for (int i = 0; i < 4; ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      ::connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof where);
      visitors_.push_back(fd);
    }
  }

 private:
  static sockaddr_in at(const char* address, std::uint16_t port) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    ::inet_pton(AF_INET, address, &where.sin_addr);
    return where;
  }

  const int fd_;
  std::vector<int> visitors_;
};

// Moves this process, once.
void enter_our_world() {
  static const bool is_there = [] {
    leave_the_network();
    sh("ip link set lo up");
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      throw std::system_error(errno, std::generic_category(), "no mount namespace");
    }
    replace_file("/etc/hosts", "127.0.0.1 localhost\n127.0.0.2 redis.test\n127.0.0.3 redis.test\n");
    replace_file("/etc/resolv.conf", "nameserver 127.0.0.1\n");
    replace_file("/etc/nsswitch.conf", "hosts: files dns\n");
    return true;
  }();
  static_cast<void>(is_there);
}

TEST_CASE("a name with two addresses is reached though the first does not answer", "[operators]") {
  enter_our_world();
  const std::uint16_t port = free_port();
  const std::string text = std::to_string(port);
  DeafSocket black_hole(SOCK_STREAM, "127.0.0.2", port);
  black_hole.fill("127.0.0.2", port);
  RedisServer server({"--port", text, "--bind", "127.0.0.3"});
  RedisWorld world(server);
  const auto backplane = world.make({.url = "redis://redis.test:" + text, .connect_timeout = 4s});
  const auto begin = std::chrono::steady_clock::now();
  world.run(backplane->start());
  CHECK(std::chrono::steady_clock::now() - begin >= 1s);  // the share of the first, nearly 2 s
  // The next attempt begins with the other address, which takes no time.
  server.ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  world.until([&] { return backplane->state() == RedisState::down; });
  const auto again = std::chrono::steady_clock::now();
  world.until([&] { return backplane->state() == RedisState::subscribed; });
  CHECK(std::chrono::steady_clock::now() - again < 1900ms);
}

TEST_CASE("why none of several addresses can be used is said for each", "[operators]") {
  enter_our_world();
  const std::uint16_t port = free_port();
  const std::string text = std::to_string(port);
  DeafSocket black_hole(SOCK_STREAM, "127.0.0.2", port);
  black_hole.fill("127.0.0.2", port);
  RedisWorld world;
  const auto backplane =
      world.make({.url = "redis://redis.test:" + text, .connect_timeout = 200ms});
  const std::string message = message_of([&] { world.run(backplane->start()); });
  CHECK(contains(message, "redis.test:" + text));
  CHECK(contains(message, "127.0.0.2: no answer within"));
  CHECK(contains(message, "127.0.0.3: Connection refused"));
}

// A DNS that answers when it is told to, and never again.
class LateDns {
 public:
  explicit LateDns(boost::asio::io_context& context)
      : socket_(context, {boost::asio::ip::make_address("127.0.0.1"), 53}) {
    listen();
  }
  [[nodiscard]] std::size_t questions() const { return questions_.size(); }
  void answer() {
    for (const auto& [from, question] : questions_) {
      socket_.send_to(boost::asio::buffer(answer_to(question)), from);
    }
  }

 private:
  using udp = boost::asio::ip::udp;

  void listen() {
    socket_.async_receive_from(boost::asio::buffer(buffer_), from_, [this](auto error, auto size) {
      if (error) return;
      questions_.emplace_back(from_, std::string(buffer_.data(), size));
      listen();
    });
  }
  static std::string answer_to(std::string text) {
    constexpr std::size_t header = 12;
    const bool is_for_v4 = text[text.find('\0', header) + 2] == 1;
    text[2] = static_cast<char>(0x81);
    text[3] = static_cast<char>(0x80);
    if (!is_for_v4) return text;  // no address
    text[7] = 1;
    const std::string_view record("\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\3", 16);
    return text.append(record);
  }

  udp::socket socket_;
  udp::endpoint from_;
  std::array<char, 512> buffer_{};
  std::vector<std::pair<udp::endpoint, std::string>> questions_;
};

TEST_CASE("a DNS that takes longer than an attempt to connect may take is of use", "[operators]") {
  enter_our_world();
  const std::string text = std::to_string(free_port());
  RedisServer server({"--port", text, "--bind", "127.0.0.3"});
  RedisWorld world(server);
  LateDns dns(world.context);
  const auto backplane = world.make({.url = "redis://slow.example:" + text,
                                     .connect_timeout = 100ms,
                                     .min_retry_delay = 1ms,
                                     .max_retry_delay = 1ms});
  world.run(backplane->start_anyway());
  world.until([&] { return world.log.count("redis_lost") == 2 && dns.questions() >= 4; });
  CHECK(contains(world.log.last("redis_lost"), "no answer within 100 ms"));
  dns.answer();
  world.until([&] { return backplane->stats().connects == 2; });
  CHECK(backplane->state() == RedisState::subscribed);
}

// A process that looks for a name until it is told to end.
TEST_CASE("a process whose DNS does not answer", "[.dns]") {
  boost::asio::io_context context;
  boost::asio::signal_set signals(context, SIGTERM);
  RedisBackplane backplane(context.get_executor(), {.url = "redis://nowhere.example"});
  signals.async_wait([&](auto, int) { context.stop(); });
  const auto start = detail::Child<void>::start(context.get_executor(), backplane.start_anyway());
  // Until a look-up is under way.
  while (detail::lookups_under_way == 0) context.run_one_for(10ms);
  std::cout << "looking" << std::endl;
  context.run();
  std::cout << "ended" << std::endl;
}

TEST_CASE("a process ends though the DNS does not answer", "[operators]") {
  enter_our_world();
  DeafSocket dns(SOCK_DGRAM, "127.0.0.1", 53);
  Pipe pipe;
  auto process = std::make_unique<Process>(
      std::vector<std::string>{std::filesystem::read_symlink("/proc/self/exe"), "[.dns]"},
      pipe.writer());
  pipe.close_writer();
  pipe.read_until("looking\n");
  const auto told = std::chrono::steady_clock::now();
  process->signal(SIGTERM);
  CHECK(contains(pipe.read_all(), "ended\n"));  // and the test program's own last words
  // The resolver gives up after 10 s at the earliest.
  CHECK(std::chrono::steady_clock::now() - told < 5s);
}

TEST_CASE("a look-up that gets no answer goes with its backplane, or its io_context",
          "[operators]") {
  enter_our_world();
  DeafSocket dns(SOCK_DGRAM, "127.0.0.1", 53);
  const bool is_context_first = GENERATE(true, false);
  auto context = std::make_unique<boost::asio::io_context>();
  auto backplane = std::make_unique<RedisBackplane>(context->get_executor(),
                                                    RedisOptions{.url = "redis://nowhere.example"});
  const int before = detail::lookups_under_way;
  const auto start = detail::Child<void>::start(context->get_executor(), backplane->start());
  testing::run_until(*context, [&] { return detail::lookups_under_way == before + 2; });
  if (is_context_first) {
    context.reset();
  } else {
    backplane.reset();
    testing::run_until(*context, [&] { return running(*context) == 0; });
  }
  CHECK(detail::lookups_under_way > before);
}

TEST_CASE("a socket to Redis is not inherited, and an idle one is watched", "[operators]") {
  enter_our_world();
  RedisWorld world;
  FakeRedis fake(world.context);
  const auto backplane = world.make({.url = fake.url()});
  world.run(backplane->start());
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    if (ntohs(peer.sin_port) != fake.acceptor.local_endpoint().port()) continue;
    ++found;
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    const auto option = [&](int level, int name) {
      int value = 0;
      socklen_t its_size = sizeof value;
      ::getsockopt(fd, level, name, &value, &its_size);
      return value;
    };
    CHECK(option(SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option(IPPROTO_TCP, TCP_KEEPIDLE) <= 60);
    CHECK(option(IPPROTO_TCP, TCP_USER_TIMEOUT) > 0);
  }
  CHECK(found >= 1);
}

}  // namespace
}  // namespace roost
