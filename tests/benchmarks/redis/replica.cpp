// SPDX-License-Identifier: MIT
// One end of a measurement over Redis: a replica of roost, or nothing but sockets.
//
//   redis_replica receive SOCKET CHANNEL COUNT           a manager that gets COUNT messages
//   redis_replica publish SOCKET CHANNEL COUNT IN_FLIGHT INTERVAL_US
//   redis_replica receive-recorded, publish-recorded     likewise, with a history of the room
//   redis_replica resumes SOCKET CHANNEL COUNT MISSED    clients that come, and that come back
//   redis_replica raw-receive SOCKET CHANNEL COUNT       the floor: reads and parses replies
//   redis_replica raw-publish SOCKET CHANNEL COUNT INTERVAL_US
//   redis_replica rooms SOCKET CHANNEL COUNT             how long it takes to subscribe COUNT rooms
//   redis_replica message                                prints a message as it is on the wire
//
// Receivers print "ready", and at the end messages per second and the median latency in us.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <roost/redis.hpp>
#include <roost/redis/history.hpp>
#include <roost/roost.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using SteadyClock = std::chrono::steady_clock;

// All processes of a machine share this clock.
std::int64_t now_ns() { return SteadyClock::now().time_since_epoch().count(); }

/// What a client gets: a text of 64 bytes that begins with the time at which it was sent.
std::string payload() {
  std::string text = std::to_string(now_ns());
  text.resize(64, '.');
  return text;
}

class Meter {
 public:
  explicit Meter(std::size_t count) : count_(count) { latencies_.reserve(count); }

  /// @returns whether that was the last one
  bool note(std::string_view payload) {
    const std::int64_t now = now_ns();
    if (latencies_.empty()) first_ = now;
    latencies_.push_back(now - std::strtoll(payload.data(), nullptr, 10));
    last_ = now;
    return latencies_.size() == count_;
  }
  void print() {
    std::sort(latencies_.begin(), latencies_.end());
    const double seconds = static_cast<double>(last_ - first_) * 1e-9;
    std::cout << static_cast<double>(count_ - 1) / seconds << ' '
              << static_cast<double>(latencies_[latencies_.size() / 2]) * 1e-3 << std::endl;
  }

 private:
  const std::size_t count_;
  std::int64_t first_ = 0;
  std::int64_t last_ = 0;
  std::vector<std::int64_t> latencies_;
};

/// A client that takes every frame immediately.
struct Sink {
  Meter* meter = nullptr;
  asio::io_context* context = nullptr;
  std::size_t* to_come = nullptr;  ///< Without a meter: how many frames are still to come.

  bool try_send(const roost::Frame& frame) {
    if (!meter) {
      if (--*to_come == 0) context->stop();
      return true;
    }
    const auto bytes = frame.payload();
    if (meter->note({reinterpret_cast<const char*>(bytes.data()), bytes.size()})) context->stop();
    return true;
  }
  awaitable<void> send_text(std::string_view) { co_return; }
  awaitable<void> send_bytes(std::span<const std::byte>) { co_return; }
  awaitable<void> close(std::uint16_t) { co_return; }
};
using Manager = roost::ConnectionManager<Sink>;

struct Replica {
  asio::io_context context{1};
  roost::RedisBackplane backplane;
  Manager manager{context.get_executor()};
  roost::Cluster cluster = roost::bind_manager(backplane, manager);

  Replica(const std::string& socket, const std::string& channel, bool has_history = false)
      : backplane(context.get_executor(), {.url = "unix://" + socket,
                                           .channel = channel,
                                           .history = has_history ? kept() : nullptr,
                                           .max_queued_messages = 1'000'000,
                                           .max_queued_bytes = 1'000'000'000,
                                           .logger = [](const roost::LogEvent& event) {
                                             if (event.severity >= roost::Severity::warning) {
                                               std::cerr << event.to_string() << '\n';
                                             }
                                           }}) {}

  static std::shared_ptr<const roost::detail::RedisHistoryFactory> kept() {
    return roost::redis_history({.rules = {{.rooms = "*"}}});
  }
};

void spawn(asio::io_context& context, awaitable<void> coroutine) {
  asio::co_spawn(context, std::move(coroutine), [](const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
  });
}

awaitable<void> listen(Replica& replica, std::shared_ptr<Sink> sink) {
  co_await replica.manager.connect(sink, {.rooms = "lobby"});
  co_await replica.backplane.start();
  std::cout << "ready" << std::endl;
}

void receive(const std::string& socket, const std::string& channel, std::size_t count,
             bool has_history) {
  Replica replica(socket, channel, has_history);
  Meter meter(count);
  const auto sink = std::make_shared<Sink>(Sink{&meter, &replica.context});
  spawn(replica.context, listen(replica, sink));
  replica.context.run();
  meter.print();
}

awaitable<void> publish_some(Replica& replica, std::size_t& to_send, std::size_t& to_come,
                             std::chrono::microseconds pause) {
  asio::steady_timer timer(replica.context);
  while (to_send > 0) {
    --to_send;
    co_await replica.cluster.broadcast_text(payload(), {.room = "lobby"});
    if (--to_come == 0) replica.context.stop();
    if (pause.count() == 0) continue;
    timer.expires_after(pause);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void publish(const std::string& socket, const std::string& channel, std::size_t count,
             std::size_t in_flight, std::chrono::microseconds pause, bool has_history) {
  Replica replica(socket, channel, has_history);
  std::size_t to_send = count;
  std::size_t to_come = count;
  for (std::size_t i = 0; i < in_flight; ++i) {
    spawn(replica.context, publish_some(replica, to_send, to_come, pause));
  }
  replica.context.run();
}

awaitable<void> record(Replica& replica, std::size_t count, std::string& first) {
  co_await replica.backplane.start();
  for (std::size_t i = 0; i <= count; ++i) {
    const roost::Published sent =
        co_await replica.cluster.broadcast_text(payload(), {.room = "lobby"});
    if (!sent.at) throw std::runtime_error("a message was not recorded");
    if (i == 0) first = "lobby:" + *sent.at;
  }
  replica.context.stop();
}

awaitable<void> come(Replica& replica, std::shared_ptr<Sink> sink, std::string_view resume) {
  co_await replica.manager.connect(sink, {.rooms = "lobby", .resume = resume});
}

// Until each of COUNT clients has what it missed, in ms.
double come_all(const std::string& socket, const std::string& channel, std::string_view resume,
                std::size_t count, std::size_t frames) {
  Replica replica(socket, channel, true);
  spawn(replica.context, [](Replica& its) -> awaitable<void> {
    co_await its.backplane.start();
    its.context.stop();
  }(replica));
  replica.context.run();
  replica.context.restart();
  std::size_t to_come = count * frames;
  const std::int64_t begin = now_ns();
  for (std::size_t i = 0; i < count; ++i) {
    const auto sink = std::make_shared<Sink>(Sink{nullptr, &replica.context, &to_come});
    spawn(replica.context, come(replica, sink, resume));
  }
  replica.context.run();
  return static_cast<double>(now_ns() - begin) * 1e-6;
}

// Prints how long it takes until COUNT clients are members, in ms: new ones, and then as many that
// have missed some messages.
void resume(const std::string& socket, const std::string& channel, std::size_t count,
            std::size_t missed) {
  std::string first;
  {
    Replica replica(socket, channel, true);
    spawn(replica.context, record(replica, missed, first));
    replica.context.run();
  }
  const double came = come_all(socket, channel, "", count, 1);  // the line that says `joined`
  const double came_back = come_all(socket, channel, first, count, 1 + missed);
  std::cout << came << ' ' << came_back << std::endl;
}

// From the beginning of `start` to the last acknowledgement, in ms.
void subscribe_rooms(const std::string& socket, const std::string& channel, std::size_t count) {
  asio::io_context context(1);
  roost::RedisBackplane backplane(
      context.get_executor(),
      {.url = "unix://" + socket, .channel = channel, .routing = roost::Routing::per_room});
  const auto rooms = backplane.room_routing();
  for (std::size_t i = 0; i < count; ++i) rooms->enter("room-" + std::to_string(i));
  context.poll();
  context.restart();
  const std::int64_t begin = now_ns();
  asio::co_spawn(context, backplane.start(), [&](const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
    context.stop();
  });
  context.run();
  std::cout << static_cast<double>(now_ns() - begin) * 1e-6 << std::endl;
}

// --- the floor ---

class RawSocket {
 public:
  explicit RawSocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("cannot connect to " + path);
    }
  }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;
  ~RawSocket() { ::close(fd_); }

  void send(std::initializer_list<std::string_view> command) {
    std::string bytes;
    roost::detail::append_command(bytes, command);
    if (::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      throw std::runtime_error("cannot write");
    }
  }
  roost::detail::RedisReply& receive() {
    roost::detail::RedisReply* reply = nullptr;
    while (!(reply = reader_.next())) {
      const ssize_t size = ::read(fd_, buffer_.data(), buffer_.size());
      if (size <= 0) throw std::runtime_error("cannot read");
      reader_.feed({buffer_.data(), static_cast<std::size_t>(size)});
    }
    return *reply;
  }

 private:
  const int fd_;
  roost::detail::RedisReader reader_;
  std::array<char, 16'384> buffer_;
};

std::string message() {
  const std::string text = payload();
  return R"({"v":1,"node":"0123456789abcdef0123456789abcdef","epoch":1764074000000,"seq":1000,)"
         R"("exclude":[],"kind":"text","payload":")" +
         text + R"(","room":"lobby"})";
}

void raw_receive(const std::string& path, const std::string& channel, std::size_t count) {
  RawSocket socket(path);
  socket.send({"SUBSCRIBE", channel});
  socket.receive();
  std::cout << "ready" << std::endl;
  Meter meter(count);
  constexpr std::string_view before = R"("payload":")";
  bool is_last = false;
  while (!is_last) {
    const roost::detail::RedisReply& reply = socket.receive();
    const std::string_view text = reply.elements.at(2).text;
    const std::size_t at = text.find(before);
    is_last = meter.note(at == text.npos ? "0" : text.substr(at + before.size()));
  }
  meter.print();
}

void raw_publish(const std::string& path, const std::string& channel, std::size_t count,
                 std::chrono::microseconds pause) {
  RawSocket socket(path);
  asio::io_context context;
  asio::steady_timer timer(context);
  for (std::size_t i = 0; i < count; ++i) {
    socket.send({"PUBLISH", channel, message()});
    socket.receive();
    timer.expires_after(pause);
    timer.wait();
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string& what = arguments.at(0);
  if (what == "message") {
    std::cout << message() << std::endl;
    return 0;
  }
  const std::string& socket = arguments.at(1);
  const std::string& channel = arguments.at(2);
  const auto number = [&](std::size_t i) { return std::stoul(arguments.at(i)); };
  if (what == "receive" || what == "receive-recorded") {
    receive(socket, channel, number(3), what == "receive-recorded");
  } else if (what == "publish" || what == "publish-recorded") {
    publish(socket, channel, number(3), number(4), std::chrono::microseconds(number(5)),
            what == "publish-recorded");
  } else if (what == "resumes") {
    resume(socket, channel, number(3), number(4));
  } else if (what == "rooms") {
    subscribe_rooms(socket, channel, number(3));
  } else if (what == "raw-receive") {
    raw_receive(socket, channel, number(3));
  } else if (what == "raw-publish") {
    raw_publish(socket, channel, number(3), std::chrono::microseconds(number(4)));
  } else {
    throw std::invalid_argument("unknown: " + what);
  }
} catch (const std::exception& error) {
  std::cerr << "redis_replica: " << error.what() << '\n';
  return 1;
}
