// SPDX-License-Identifier: MIT
// Many clients that say nothing, but answer pings: plain sockets and epoll.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace bench {

/// One connection, from the request to the last pong.
class IdleClient {
 public:
  explicit IdleClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(port);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) {
      throw std::runtime_error("a client cannot connect");
    }
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    send(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  }
  IdleClient(const IdleClient&) = delete;
  IdleClient& operator=(const IdleClient&) = delete;
  ~IdleClient() { ::close(fd_); }

  [[nodiscard]] int fd() const noexcept { return fd_; }

  /// Reads what there is, and answers it. @returns false at the end.
  bool answer() {
    std::array<char, 1'024> bytes;
    const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (n <= 0) return false;
    received_.append(bytes.data(), static_cast<std::size_t>(n));
    if (!is_open_) {
      const std::size_t end = received_.find("\r\n\r\n");
      if (end == std::string::npos) return true;
      is_open_ = true;
      received_.erase(0, end + 4);
    }
    while (received_.size() >= 2) {
      const auto size = static_cast<std::size_t>(received_[1]);  // of a control frame: below 126
      if (received_.size() < 2 + size) break;
      if (static_cast<unsigned char>(received_[0]) == 0x89) pong(received_.substr(2, size));
      received_.erase(0, 2 + size);
    }
    return true;
  }

 private:
  void send(std::string_view bytes) {
    if (::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) ::shutdown(fd_, SHUT_RDWR);
  }
  void pong(const std::string& payload) {
    std::string frame("\x8A");
    frame += static_cast<char>(0x80 | payload.size());
    frame.append(4, '\0');  // a mask that changes nothing
    send(frame + payload);
  }

  const int fd_;
  bool is_open_ = false;
  std::string received_;
};

/// Connects @p count clients and answers for them until @p stop_fd can be read.
inline void run_idle_clients(std::uint16_t port, std::size_t count, int stop_fd) {
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [&](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
  };
  watch(stop_fd);
  std::unordered_map<int, std::unique_ptr<IdleClient>> clients;
  std::array<epoll_event, 256> events;
  std::size_t connected = 0;
  for (;;) {
    // A few at a time, so that those that are connected are answered meanwhile.
    for (int batch = 0; batch < 50 && connected < count; ++batch, ++connected) {
      auto client = std::make_unique<IdleClient>(port);
      watch(client->fd());
      const int fd = client->fd();
      clients.emplace(fd, std::move(client));
    }
    const int n = ::epoll_wait(poll, events.data(), events.size(), connected < count ? 0 : -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == stop_fd) return;
      const auto client = clients.find(fd);
      if (client != clients.end() && !client->second->answer()) clients.erase(client);
    }
  }
}

}  // namespace bench
