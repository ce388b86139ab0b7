// SPDX-License-Identifier: MIT
// The floor: epoll, one send() per recipient per loop turn, frames of a turn joined. No library.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>
struct Room {
  std::vector<int> members;
  std::string pending;
};
struct Conn {
  int fd;
  bool up = false;
  std::string in;
  Room* room = nullptr;
};
// a socket that would block is waited for: the floor has no outboxes
static void write_all(int fd, const std::string& b) {
  size_t o = 0;
  while (o < b.size()) {
    ssize_t k = send(fd, b.data() + o, b.size() - o, MSG_NOSIGNAL);
    if (k > 0) {
      o += k;
      continue;
    }
    if (k < 0 && errno == EAGAIN) {
      pollfd p{fd, POLLOUT, 0};
      poll(&p, 1, 1000);
      continue;
    }
    return;
  }
}
int main(int ac, char** av) {
  int port = ac > 1 ? atoi(av[1]) : 9001;
  int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(INADDR_ANY);
  if (bind(l, (sockaddr*)&a, sizeof a)) {
    perror("bind");
    return 1;
  }
  listen(l, 4096);
  fcntl(l, F_SETFL, O_NONBLOCK);
  int ep = epoll_create1(0);
  epoll_event ev{};
  ev.events = EPOLLIN;
  ev.data.ptr = nullptr;
  epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
  std::unordered_map<std::string, Room> rooms;
  std::vector<Room*> dirty;
  std::vector<epoll_event> evs(1024);
  char buf[65536];
  for (;;) {
    int k = epoll_wait(ep, evs.data(), evs.size(), -1);
    for (int i = 0; i < k; i++) {
      if (!evs[i].data.ptr) {
        int fd;
        while ((fd = accept4(l, 0, 0, SOCK_NONBLOCK)) >= 0) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          auto c = new Conn{fd};
          ev.events = EPOLLIN;
          ev.data.ptr = c;
          epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
        }
        continue;
      }
      Conn* c = (Conn*)evs[i].data.ptr;
      ssize_t g = read(c->fd, buf, sizeof buf);
      if (g <= 0) {
        if (g < 0 && errno == EAGAIN) continue;
        if (c->room) {
          auto& m = c->room->members;
          for (auto& x : m)
            if (x == c->fd) {
              x = m.back();
              m.pop_back();
              break;
            }
        }
        close(c->fd);
        delete c;
        continue;
      }
      c->in.append(buf, g);
      if (!c->up) {
        if (c->in.find("\r\n\r\n") == std::string::npos) continue;
        auto s = c->in.find("/ws/");
        auto e = c->in.find(' ', s);
        std::string room = c->in.substr(s + 4, e - s - 4);
        auto kp = c->in.find("Sec-WebSocket-Key: ") + 19;
        std::string key = c->in.substr(kp, 24) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        unsigned char d[20], o[32];
        SHA1((const unsigned char*)key.data(), key.size(), d);
        EVP_EncodeBlock(o, d, 20);
        std::string r = std::string(
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                            "Upgrade\r\nSec-WebSocket-Accept: ") +
                        (char*)o + "\r\n\r\n";
        if (write(c->fd, r.data(), r.size()) < 0) {
        }
        c->up = true;
        c->in.clear();
        c->room = &rooms[room];
        c->room->members.push_back(c->fd);
        continue;
      }
      size_t p = 0;
      auto& in = c->in;
      while (in.size() - p >= 6) {
        unsigned char* b = (unsigned char*)in.data() + p;
        size_t len = b[1] & 127, hd = 6;
        if (len == 126) {
          if (in.size() - p < 8) break;
          len = b[2] << 8 | b[3];
          hd = 8;
        }
        if (in.size() - p < hd + len) break;
        for (size_t q = 0; q < len; q++) b[hd + q] ^= b[hd - 4 + (q & 3)];
        auto& pe = c->room->pending;
        if (pe.empty()) dirty.push_back(c->room);
        pe.push_back((char)0x81);
        if (len < 126)
          pe.push_back((char)len);
        else {
          pe.push_back(126);
          pe.push_back(char(len >> 8));
          pe.push_back(char(len));
        }
        pe.append((char*)b + hd, len);
        p += hd + len;
      }
      in.erase(0, p);
    }
    for (auto* r : dirty) {
      for (int fd : r->members) write_all(fd, r->pending);
      r->pending.clear();
    }
    dirty.clear();
  }
}
