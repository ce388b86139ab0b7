// SPDX-License-Identifier: MIT
// What it costs to watch over connections that say nothing: CPU time of a server with a heartbeat
// and without one, the same connections in turn.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <roost/beast.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "idle_clients.hpp"

namespace {

using namespace std::chrono_literals;
using Manager = roost::ConnectionManager<roost::BeastWebSocket>;

struct Settings {
  std::size_t connections = 10'000;
  std::size_t rounds = 9;
  std::size_t seconds = 30;   // of one round
  std::size_t interval = 30;  // of the pings, in seconds
  std::string json;
};

constexpr std::string_view usage = R"(Usage: idle [options]
  --connections N  idle connections (default 10000; each takes a file of server and clients)
  --rounds N       with and without a heartbeat, in turn (default 9)
  --seconds N      of each round (default 30)
  --interval N     seconds between the pings of a connection (default 30)
  --json FILE      write the result there too
)";

Settings parse(const std::vector<std::string>& arguments) {
  Settings settings;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string& flag = arguments[i];
    if (flag == "--help") {
      std::cout << usage;
      std::exit(0);
    }
    if (i + 1 == arguments.size()) throw std::invalid_argument(flag + " needs a value");
    const std::string& value = arguments[i + 1];
    if (flag == "--json") {
      settings.json = value;
      continue;
    }
    std::size_t& number = flag == "--connections" ? settings.connections
                          : flag == "--rounds"    ? settings.rounds
                          : flag == "--seconds"   ? settings.seconds
                          : flag == "--interval"
                              ? settings.interval
                              : throw std::invalid_argument("unknown option " + flag);
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || *end != '\0' || number == 0) {
      throw std::invalid_argument(flag + " must be a number of at least 1, not " + value);
    }
  }
  return settings;
}

void allow_open_files(std::size_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < count) {
    throw std::runtime_error("only " + std::to_string(limit.rlim_max) +
                             " files may be open (ulimit -Hn): ask for fewer --connections");
  }
  limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, count);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// User and system time of this process.
double cpu_ms() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto ms = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
  };
  return ms(used.ru_utime) + ms(used.ru_stime);
}

/// The clients, in a process of their own, so that only the server is measured.
class Clients {
 public:
  explicit Clients(std::size_t count) {
    if (::pipe(pipe_) != 0) throw std::runtime_error("pipe");
    child_ = ::fork();
    if (child_ != 0) return;
    ::close(pipe_[1]);
    std::uint16_t port = 0;
    if (::read(pipe_[0], &port, sizeof port) == sizeof port) {
      bench::run_idle_clients(port, count, pipe_[0]);
    }
    ::_exit(0);
  }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;
  ~Clients() {
    ::close(pipe_[1]);  // tells them to leave
    ::waitpid(child_, nullptr, 0);
  }
  void connect_to(std::uint16_t port) const {
    if (::write(pipe_[1], &port, sizeof port) != sizeof port) throw std::runtime_error("pipe");
  }

 private:
  int pipe_[2] = {};
  pid_t child_ = 0;
};

struct Spread {
  double median = 0, lowest = 0, highest = 0;
};
Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

int run(const Settings& settings) {
  allow_open_files(settings.connections + 100);
  const Clients clients(settings.connections);  // before there is anything that a fork would copy

  boost::asio::io_context context(1);
  Manager manager(context.get_executor(), {.max_connections = std::nullopt});
  const std::chrono::seconds interval(settings.interval);
  roost::HeartbeatMonitor monitor(manager, {.interval = interval, .timeout = 3 * interval});
  auto handler = [&](Manager::ConnectionPtr self) -> boost::asio::awaitable<void> {
    while (co_await manager.next_text(*self)) {
    }
  };
  auto serve = [&](roost::Upgrade upgrade) -> boost::asio::awaitable<void> {
    auto socket = co_await upgrade.accept();
    co_await manager.session(socket, {}, handler);
  };
  auto listener = roost::listen(manager, {boost::asio::ip::address_v4::loopback(), 0}, {}, serve);
  clients.connect_to(listener.port());
  while (manager.total_connections() < settings.connections) context.run_one();

  const auto measure = [&] {
    const double before = cpu_ms();
    context.run_for(std::chrono::seconds(settings.seconds));
    return (cpu_ms() - before) / static_cast<double>(settings.seconds);
  };
  std::vector<double> with;
  std::vector<double> without;
  for (std::size_t round = 0; round < settings.rounds; ++round) {
    without.push_back(measure());
    monitor.start();
    with.push_back(measure());
    bool is_stopped = false;
    boost::asio::co_spawn(context, monitor.stop(),
                          [&](const std::exception_ptr&) { is_stopped = true; });
    while (!is_stopped) context.run_one();
  }
  if (manager.total_connections() != settings.connections) {
    throw std::runtime_error("only " + std::to_string(manager.total_connections()) +
                             " connections are left");
  }

  const Spread idle = spread_of(without);
  const Spread watched = spread_of(with);
  const double pings =
      static_cast<double>(settings.connections) / static_cast<double>(settings.interval);
  std::printf(
      "%zu idle connections, pings every %zu s; medians (lowest-highest) of %zu rounds of "
      "%zu s\n",
      settings.connections, settings.interval, settings.rounds, settings.seconds);
  std::printf("  without a heartbeat  %8.3f ms CPU per second (%.3f-%.3f)\n", idle.median,
              idle.lowest, idle.highest);
  std::printf("  with a heartbeat     %8.3f ms CPU per second (%.3f-%.3f)\n", watched.median,
              watched.lowest, watched.highest);
  std::printf("  that is              %8.3f us per ping and pong\n",
              (watched.median - idle.median) * 1e3 / pings);
  if (!settings.json.empty()) {
    std::ofstream(settings.json) << nlohmann::json{{"connections", settings.connections},
                                                   {"interval_s", settings.interval},
                                                   {"round_s", settings.seconds},
                                                   {"without_ms_per_s", without},
                                                   {"with_ms_per_s", with}}
                                        .dump(2)
                                 << '\n';
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  return run(parse({argv + 1, argv + argc}));
} catch (const std::exception& error) {
  std::cerr << "idle: " << error.what() << '\n';
  return 1;
}
