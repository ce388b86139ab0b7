// SPDX-License-Identifier: MIT
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace load {

/// A non-blocking socket, plain or TLS.
class Socket {
 public:
  enum class Status { done, would_block, closed };
  struct Result {
    Status status;
    std::size_t bytes = 0;
  };

  /// Begins to connect. @param tls  null: plain.
  Socket(std::uint16_t port, SSL_CTX* tls)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    if (fd_ < 0) return;
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // Thousands of connections in TIME_WAIT would use up the ports of the rounds to come.
    const linger abort{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int result = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    if (result != 0 && errno != EINPROGRESS) {
      close();
      return;
    }
    if (!tls) return;
    ssl_ = SSL_new(tls);
    SSL_set_fd(ssl_, fd_);
    SSL_set_connect_state(ssl_);  // the handshake is done by the first reads and writes
  }
  Socket(Socket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), ssl_(std::exchange(other.ssl_, nullptr)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() { close(); }

  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// Whether bytes wait here of which epoll knows nothing.
  [[nodiscard]] bool has_pending() const noexcept { return ssl_ && SSL_has_pending(ssl_) == 1; }

  [[nodiscard]] Result read(char* to, std::size_t size) noexcept {
    if (ssl_) {
      std::size_t n = 0;
      const int ok = SSL_read_ex(ssl_, to, size, &n);
      return tls_result(ok, n);
    }
    return result(::recv(fd_, to, size, 0), false);
  }
  [[nodiscard]] Result write(const char* from, std::size_t size) noexcept {
    if (ssl_) {
      std::size_t n = 0;
      const int ok = SSL_write_ex(ssl_, from, size, &n);
      return tls_result(ok, n);
    }
    return result(::send(fd_, from, size, MSG_NOSIGNAL), true);
  }

 private:
  static Result result(ssize_t n, bool is_write) noexcept {
    if (n > 0 || (n == 0 && is_write)) return {Status::done, static_cast<std::size_t>(n)};
    const bool again = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN);
    return {again ? Status::would_block : Status::closed};
  }
  [[nodiscard]] Result tls_result(int ok, std::size_t n) noexcept {
    if (ok == 1) return {Status::done, n};
    const int error = SSL_get_error(ssl_, ok);
    const bool again = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    return {again ? Status::would_block : Status::closed};
  }
  void close() noexcept {
    if (ssl_) SSL_free(std::exchange(ssl_, nullptr));
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  int fd_;
  SSL* ssl_ = nullptr;
};

/// What all TLS sockets share. The server's certificate is its own, so nobody vouches for it.
inline SSL_CTX* make_tls() {
  SSL_CTX* const tls = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(tls, 1);  // else two reads per record
  return tls;
}

}  // namespace load
