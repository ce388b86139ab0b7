// SPDX-License-Identifier: MIT
// The floor: what this costs with epoll alone. Per turn of its loop one send() for each recipient,
// with all frames of the turn joined. Knows nothing of backpressure, pings, closes or bad clients.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

struct Room {
  std::vector<int> members;
  std::string pending;  // the frames of this turn
};

struct Connection {
  int fd;
  std::string in = {};
  Room* room = nullptr;  // null: not upgraded yet
};

class Server {
 public:
  explicit Server(std::uint16_t port)
      : listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), epoll_(epoll_create1(0)) {
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_, 4096) != 0) {
      std::perror("bind");
      std::exit(1);
    }
    watch(listener_, nullptr);
  }

  [[noreturn]] void run() {
    for (;;) {
      const int n = epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), -1);
      for (int i = 0; i < n; ++i) {
        void* const data = events_[static_cast<std::size_t>(i)].data.ptr;
        if (data) {
          on_readable(static_cast<Connection*>(data));
        } else {
          accept_all();
        }
      }
      for (Room* room : dirty_) {
        for (const int fd : room->members) write_all(fd, room->pending);
        room->pending.clear();
      }
      dirty_.clear();
    }
  }

 private:
  void watch(int fd, Connection* connection) const {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = connection}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void accept_all() const {
    int fd;
    while ((fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      watch(fd, std::make_unique<Connection>(Connection{fd}).release());
    }
  }

  void on_readable(Connection* connection) {
    const ssize_t n = read(connection->fd, buffer_.data(), buffer_.size());
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return end(std::unique_ptr<Connection>(connection));
    connection->in.append(buffer_.data(), static_cast<std::size_t>(n));
    if (connection->room) {
      take_frames(*connection);
    } else if (connection->in.find("\r\n\r\n") != std::string::npos) {
      upgrade(*connection);
    }
  }

  static void end(std::unique_ptr<Connection> connection) {
    if (connection->room) {
      auto& members = connection->room->members;
      const auto found = std::find(members.begin(), members.end(), connection->fd);
      *found = members.back();
      members.pop_back();
    }
    close(connection->fd);
  }

  void upgrade(Connection& connection) {
    const std::string& in = connection.in;
    const auto path = in.find("/ws/") + 4;
    const std::string room = in.substr(path, in.find(' ', path) - path);
    const auto key_at = in.find("Sec-WebSocket-Key: ") + 19;
    const std::string key = in.substr(key_at, 24) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
    std::array<unsigned char, 32> base64{};
    SHA1(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
    EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(digest.size()));
    write_all(connection.fd,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: " +
                  std::string(reinterpret_cast<const char*>(base64.data())) + "\r\n\r\n");
    connection.in.clear();
    connection.room = &rooms_[room];
    connection.room->members.push_back(connection.fd);
  }

  void take_frames(Connection& connection) {
    std::string& in = connection.in;
    std::size_t taken = 0;
    while (in.size() - taken >= 6) {
      auto* const frame = reinterpret_cast<unsigned char*>(in.data()) + taken;
      std::size_t length = frame[1] & 127u;
      std::size_t header = 6;
      if (length == 126) {
        if (in.size() - taken < 8) break;
        length = static_cast<std::size_t>(frame[2] << 8 | frame[3]);
        header = 8;
      }
      if (in.size() - taken < header + length) break;
      for (std::size_t i = 0; i < length; ++i) frame[header + i] ^= frame[header - 4 + (i & 3)];
      broadcast(*connection.room, {reinterpret_cast<char*>(frame) + header, length});
      taken += header + length;
    }
    in.erase(0, taken);
  }

  void broadcast(Room& room, std::string_view payload) {
    std::string& to = room.pending;
    if (to.empty()) dirty_.push_back(&room);
    to.push_back(static_cast<char>(0x81));
    if (payload.size() < 126) {
      to.push_back(static_cast<char>(payload.size()));
    } else {
      to.push_back(126);
      to.push_back(static_cast<char>(payload.size() >> 8));
      to.push_back(static_cast<char>(payload.size() & 255));
    }
    to.append(payload);
  }

  // A socket that would block is waited for: the floor has no outboxes.
  static void write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(n));
      } else if (n < 0 && errno == EAGAIN) {
        pollfd waiting{fd, POLLOUT, 0};
        poll(&waiting, 1, 1000);
      } else {
        return;
      }
    }
  }

  int listener_;
  int epoll_;
  std::unordered_map<std::string, Room> rooms_;
  std::vector<Room*> dirty_;
  std::vector<epoll_event> events_ = std::vector<epoll_event>(1024);
  std::array<char, 65'536> buffer_{};
};

}  // namespace

int main(int argc, char** argv) {
  const auto server =
      std::make_unique<Server>(static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 9001));
  server->run();
}
