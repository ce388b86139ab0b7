// SPDX-License-Identifier: MIT
// A primary, a replica of it and three Sentinels, on free ports.
#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "redis/redis_server.hpp"

namespace roost::test {

/// A redis-server that listens on a port.
struct PortServer {
  explicit PortServer(std::vector<std::string> more = {})
      : server(options(std::move(more), port)) {}

  static std::vector<std::string> options(std::vector<std::string> more, const std::string& port) {
    for (const char* word : {"--port", port.c_str(), "--bind", "127.0.0.1"}) more.push_back(word);
    return more;
  }
  /// Empty while it answers nothing: a Sentinel ends the connections of a server that it promotes.
  [[nodiscard]] std::string role() const {
    try {
      return server.ask({"ROLE"}).elements.at(0).text;
    } catch (const std::runtime_error&) {
      return {};
    }
  }

  const std::string port = std::to_string(free_port());
  RedisServer server;
};

/// One Sentinel, which knows the primary as "main".
class Sentinel {
 public:
  explicit Sentinel(const std::string& primary_port, const std::string& more = {}) {
    const std::string file = folder_.file("sentinel.conf");
    std::ofstream(file) << "port " << port << "\nbind 127.0.0.1\ndir " << folder_.file("")
                        << "\nunixsocket " << socket() << "\nsentinel monitor main 127.0.0.1 "
                        << primary_port << " 2\nsentinel down-after-milliseconds main 500\n"
                        << "sentinel failover-timeout main 3000\n"
                        << more;
    output_.emplace();
    process_.emplace(std::vector<std::string>{"redis-server", file, "--sentinel"},
                     output_->writer());
    output_->close_writer();
    output_->read_until("+monitor");
  }

  [[nodiscard]] std::string socket() const { return folder_.file("sentinel.sock"); }
  void kill() { process_.reset(); }
  void freeze() const { process_->signal(SIGSTOP); }
  void thaw() const { process_->signal(SIGCONT); }

  const std::string port = std::to_string(free_port());

 private:
  const TemporaryFolder folder_;
  std::optional<Pipe> output_;
  std::optional<Process> process_;
};

struct Sentinels {
  explicit Sentinels(const std::string& more = {}) {
    for (int i = 0; i < 3; ++i) all.push_back(std::make_unique<Sentinel>(primary->port, more));
  }
  /// @param count  of the Sentinels that it names
  [[nodiscard]] std::string url(std::size_t count = 3) const {
    std::string url = "redis+sentinel://";
    for (std::size_t i = 0; i < count; ++i) {
      url += (i == 0 ? "127.0.0.1:" : ",127.0.0.1:") + all[i]->port;
    }
    return url + "/main";
  }

  std::unique_ptr<PortServer> primary = std::make_unique<PortServer>();
  std::unique_ptr<PortServer> replica = std::make_unique<PortServer>(
      std::vector<std::string>{"--replicaof", "127.0.0.1", primary->port});
  std::vector<std::unique_ptr<Sentinel>> all;
};

}  // namespace roost::test
