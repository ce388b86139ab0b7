// SPDX-License-Identifier: MIT
// Many clients that come at once: first new ones, then, after all of them were cut off and missed
// some messages, the same ones again with their positions.
//
//   history_returns PORT PID CLIENTS MISSED BYTES
//
// Prints for both what it took until all were members and had what they missed: seconds, CPU
// seconds of the server, and its peak of memory.
#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "load/process.hpp"
#include "load/socket.hpp"
#include "load/wire.hpp"

namespace load {
namespace {

// Fewer than `ListenOptions::max_handshakes`, over which the oldest would give way.
constexpr std::size_t concurrent = 900;

struct Client {
  explicit Client(std::uint16_t port) : socket(port, nullptr) {}

  Socket socket;
  std::string in;
  std::string position;
  std::size_t messages = 0;
  bool is_upgraded = false;
  bool was_asked = false;
  bool is_joined = false;
};

class Returns {
 public:
  Returns(std::uint16_t port, int pid, std::size_t clients)
      : port_(port),
        server_(pid),
        pid_(pid),
        count_(clients),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  void run(std::size_t missed, std::size_t bytes) {
    std::printf("{");
    come("first", "", 0);
    std::string position = clients_.front()->position;
    for (const auto& client : clients_) {
      if (client->position != position) throw std::runtime_error("positions differ");
    }
    clients_.clear();
    publish(missed, bytes);
    std::printf(", ");
    come("again", "room-0:" + position, missed);
    std::puts("}");
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// All clients, until each is a member and has so many messages.
  void come(const char* name, const std::string& resume, std::size_t messages) {
    std::ofstream("/proc/" + std::to_string(pid_) + "/clear_refs") << "5";  // the peak of memory
    const double memory = status("VmRSS:");
    const Usage before = server_.usage();
    const auto began = Clock::now();
    resume_ = resume;
    wanted_ = messages;
    ready_ = upgraded_ = 0;
    while (ready_ < count_) {
      while (clients_.size() < count_ && clients_.size() - upgraded_ < concurrent) connect();
      poll();
      if (Clock::now() - began > std::chrono::minutes(2)) {
        throw std::runtime_error("only " + std::to_string(ready_) + " are there");
      }
    }
    const double took = std::chrono::duration<double>(Clock::now() - began).count();
    const Usage used = server_.usage() - before;
    std::printf("\"%s\": {\"seconds\": %.4f, \"cpu\": %.4f, \"memory\": %.0f, \"peak\": %.0f}",
                name, took, used.cpu, memory, status("VmHWM:"));
  }

  void publish(std::size_t missed, std::size_t bytes) {
    resume_.clear();
    wanted_ = missed;
    ready_ = upgraded_ = 0;
    const std::size_t all = std::exchange(count_, 1);
    connect();
    while (!clients_.front()->is_joined) poll();
    std::string frames;
    for (std::size_t i = 0; i < missed; ++i) append_frame(frames, text, std::string(bytes, '.'));
    if (clients_.front()->socket.write(frames.data(), frames.size()).bytes != frames.size()) {
      throw std::runtime_error("it takes no messages");
    }
    while (ready_ < 1) poll();
    clients_.clear();
    count_ = all;
  }

  void connect() {
    auto client = std::make_unique<Client>(port_);
    if (client->socket.fd() < 0) throw std::runtime_error(std::strerror(errno));
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = client.get()}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client->socket.fd(), &event);
    clients_.push_back(std::move(client));
  }

  void poll() {
    const int n = epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), 1000);
    for (int i = 0; i < n; ++i) {
      Client& client = *static_cast<Client*>(events_[static_cast<std::size_t>(i)].data.ptr);
      if (!client.was_asked) {
        const std::string request = upgrade_request("/ws/room-0?resume=" + resume_, false);
        client.was_asked = client.socket.write(request.data(), request.size()).bytes > 0;
      }
      read(client);
    }
  }

  void read(Client& client) {
    for (;;) {
      const auto [status, n] = client.socket.read(buffer_.data(), buffer_.size());
      if (status == Socket::Status::would_block) return;
      if (status == Socket::Status::closed) throw std::runtime_error("it closed a connection");
      client.in.append(buffer_.data(), n);
      take(client);
    }
  }

  void take(Client& client) {
    std::string_view data = client.in;
    if (!client.is_upgraded) {
      const std::size_t end = data.find("\r\n\r\n");
      if (end == data.npos) return;
      if (!data.starts_with("HTTP/1.1 101")) throw std::runtime_error("it did not upgrade");
      client.is_upgraded = true;
      ++upgraded_;
      data.remove_prefix(end + 4);
    }
    for (;;) {
      const FrameHead head = parse_frame(data.data(), data.size());
      if (head.status != FrameHead::Status::complete) break;
      if (head.opcode == text) take_text(client, data.substr(head.header_size, head.payload_size));
      data.remove_prefix(head.header_size + head.payload_size);
    }
    client.in.erase(0, client.in.size() - data.size());
  }

  void take_text(Client& client, std::string_view message) {
    const std::string_view line = message.substr(0, message.find('\n'));
    if (line.size() < message.size()) {
      if (!client.is_joined || ++client.messages > wanted_) {
        throw std::runtime_error("a message too many");
      }
    } else {
      const bool is_recovered = line.ends_with(" joined recovered");
      if (is_recovered == resume_.empty()) throw std::runtime_error(std::string(line));
      const std::size_t colon = line.find(':') + 1;
      client.position = line.substr(colon, line.find(' ') - colon);
      client.is_joined = true;
    }
    if (client.messages == wanted_) ++ready_;
  }

  /// In bytes.
  [[nodiscard]] double status(std::string_view field) const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(field)) return std::stod(line.substr(field.size())) * 1024;
    }
    return 0;
  }

  const std::uint16_t port_;
  const Process server_;
  const int pid_;
  std::size_t count_;
  const int epoll_;
  std::string resume_;
  std::size_t wanted_ = 0;
  std::size_t ready_ = 0;
  std::size_t upgraded_ = 0;
  std::vector<std::unique_ptr<Client>> clients_;
  std::array<epoll_event, 1024> events_{};
  std::array<char, 65'536> buffer_{};
};

}  // namespace
}  // namespace load

int main(int argc, char** argv) try {
  if (argc != 6) throw std::invalid_argument("PORT PID CLIENTS MISSED BYTES");
  const auto number = [&](int i) { return std::stoul(argv[i]); };
  load::Returns returns(static_cast<std::uint16_t>(number(1)), static_cast<int>(number(2)),
                        number(3));
  returns.run(number(4), number(5));
} catch (const std::exception& error) {
  std::fprintf(stderr, "history_returns: %s\n", error.what());
  return 1;
}
