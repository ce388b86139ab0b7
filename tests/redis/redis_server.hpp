// SPDX-License-Identifier: MIT
// A redis-server of the tests' own: on a unix socket in a folder of its own, and on a free port if
// asked for. It ends with its object, and with the test program however that ends.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <roost/redis/connection/codec.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roost::test {

/// A folder that goes with its object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = std::filesystem::temp_directory_path() / "roost-redis-XXXXXX";
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

/// A port that was free a moment ago.
inline std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("there is no free port");
  }
  ::close(fd);
  return ntohs(address.sin_port);
}

/// A program that runs beside the tests.
class Process {
 public:
  /// @param output  what it prints goes there; -1: to that of the tests
  Process(const std::vector<std::string>& command, int output) {
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (output >= 0) ::dup2(output, STDOUT_FILENO);
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    signal(SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }

  void signal(int number) const {
    if (pid_ > 0) ::kill(pid_, number);
  }

 private:
  pid_t pid_ = -1;
};

/// Both ends of a pipe.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_writer();
    ::close(ends_[0]);
  }

  int writer() const { return ends_[1]; }
  void close_writer() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  /// Reads until @p text has come. @returns what came.
  std::string read_until(std::string_view text) {
    std::string all;
    while (all.find(text) == std::string::npos) {
      char buffer[4096];
      const ssize_t size = ::read(ends_[0], buffer, sizeof buffer);
      if (size <= 0) throw std::runtime_error("the program ended; it had printed " + all);
      all.append(buffer, static_cast<std::size_t>(size));
    }
    return all;
  }
  /// Reads to the end.
  std::string read_all() {
    close_writer();
    std::string all;
    char buffer[4096];
    for (ssize_t size = 0; (size = ::read(ends_[0], buffer, sizeof buffer)) > 0;) {
      all.append(buffer, static_cast<std::size_t>(size));
    }
    return all;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

/// Runs a program to its end. @returns what it prints.
inline std::string output_of(const std::vector<std::string>& command) {
  Pipe pipe;
  const Process process(command, pipe.writer());
  return pipe.read_all();
}

class RedisServer {
 public:
  /// @param options  of redis-server; "--port 0" and the like may be overruled
  explicit RedisServer(std::vector<std::string> options = {}) : options_(std::move(options)) {
    start();
  }

  std::string socket() const { return folder_.file("redis.sock"); }
  std::string url() const { return "unix://" + socket(); }

  void start() {
    std::vector<std::string> command = {
        "redis-server", "--port", "0",     "--unixsocket",   socket(),      "--save", "",
        "--appendonly", "no",     "--dir", folder_.file(""), "--daemonize", "no",     "--loglevel",
        "notice"};
    command.insert(command.end(), options_.begin(), options_.end());
    output_.emplace();
    process_.emplace(command, output_->writer());
    output_->close_writer();
    output_->read_until("eady to accept connections");
  }
  /// As `kill -9`.
  void kill() { process_.reset(); }
  /// It is still there, and does nothing.
  void freeze() const { process_->signal(SIGSTOP); }
  void thaw() const { process_->signal(SIGCONT); }

  /// Sends a command on a connection of its own. @returns the answer.
  detail::RedisReply ask(std::initializer_list<std::string_view> command) const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct Closed {
      int fd;
      ~Closed() { ::close(fd); }
    };
    const Closed closed{fd};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket().c_str(), sizeof address.sun_path - 1);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("the redis-server cannot be reached");
    }
    std::string bytes;
    detail::append_command(bytes, command);
    for (std::string_view rest = bytes; !rest.empty();) {
      const ssize_t size = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (size <= 0) throw std::runtime_error("the redis-server does not listen");
      rest.remove_prefix(static_cast<std::size_t>(size));
    }
    detail::RedisReader reader;
    detail::RedisReply* reply = nullptr;
    while (!(reply = reader.next())) {
      char buffer[4096];
      const ssize_t size = ::read(fd, buffer, sizeof buffer);
      if (size <= 0) throw std::runtime_error("the redis-server does not answer");
      reader.feed({buffer, static_cast<std::size_t>(size)});
    }
    return std::move(*reply);
  }

 private:
  const TemporaryFolder folder_;
  const std::vector<std::string> options_;
  std::optional<Pipe> output_;
  std::optional<Process> process_;
};

}  // namespace roost::test
