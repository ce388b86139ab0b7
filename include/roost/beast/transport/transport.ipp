// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/beast/transport/transport.hpp"

#if defined(__linux__)
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#endif

namespace roost::detail {

ROOST_DECL KernelProgress kernel_progress([[maybe_unused]] int socket) noexcept {
  KernelProgress progress;
#if defined(__linux__)
  int queued = 0;
  if (::ioctl(socket, SIOCOUTQ, &queued) == 0 && queued > 0) {
    progress.unacknowledged = static_cast<std::size_t>(queued);
  }
  // The kernel's `tcp_info`, of which the C library knows only the first 104 bytes:
  // `tcpi_rto` in microseconds is at 8, `tcpi_bytes_acked` (Linux 4.1) at 120.
  std::array<unsigned char, 128> info{};
  socklen_t size = info.size();
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, info.data(), &size) != 0 || size < info.size()) {
    return progress;
  }
  std::uint32_t rto = 0;
  std::uint64_t acknowledged = 0;
  std::memcpy(&rto, &info[8], sizeof rto);
  std::memcpy(&acknowledged, &info[120], sizeof acknowledged);
  progress.acknowledged = acknowledged;
  progress.round_trip = std::chrono::microseconds(rto);
#endif
  return progress;
}

}  // namespace roost::detail

#if __has_include(<fcntl.h>)
#include <fcntl.h>
#endif

namespace roost::detail {

ROOST_DECL void close_on_exec([[maybe_unused]] int descriptor) noexcept {
#if defined(FD_CLOEXEC)
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
#endif
}

// One for all connections of a thread: what is not taken at once is copied out of it.
ROOST_DECL std::array<char, 65'536>& read_buffer() noexcept {
  static thread_local std::array<char, 65'536> buffer;
  return buffer;
}

ROOST_DECL TcpTransport::TcpTransport(Socket socket, std::shared_ptr<ReadPoller> poller)
    : socket_(std::move(socket)), poller_(std::move(poller)) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
}
ROOST_DECL TcpTransport::TcpTransport(Socket socket)
    : TcpTransport(std::move(socket), ReadPoller::of(socket.get_executor())) {}

ROOST_DECL void TcpTransport::abort(Socket& socket) noexcept {
  error_code ignored;
  socket.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

ROOST_DECL void TcpTransport::async_read(std::size_t max, ReadHandler handler) {
  max_ = max;
#if defined(__linux__)
  handler_.swap(handler);  // its move assignment never ends in Boost 1.81
  if (poller_ && poller_->wait(*this, socket_.native_handle())) return;
  handler_.swap(handler);
#endif
  socket_.async_wait(Socket::wait_read,
                     [this, handler = std::move(handler)](error_code error) mutable {
                       if (error) return std::move(handler)(error, boost::asio::mutable_buffer());
                       read(std::move(handler));
                     });
}

ROOST_DECL void TcpTransport::on_readable() { read(std::move(handler_)); }

ROOST_DECL void TcpTransport::read(ReadHandler handler) {
  auto& scratch = read_buffer();
  error_code error;
  const std::size_t n =
      socket_.read_some(boost::asio::buffer(scratch.data(), std::min(max_, scratch.size())), error);
  if (error == boost::asio::error::would_block) return async_read(max_, std::move(handler));
  std::move(handler)(error, boost::asio::mutable_buffer(scratch.data(), n));
}

ROOST_DECL void TcpTransport::stop_reading() noexcept {
#if defined(__linux__)
  if (poller_) poller_->forget(*this);
#endif
  if (!handler_) return;
  boost::asio::post(socket_.get_executor(), [handler = std::move(handler_)]() mutable {
    std::move(handler)(boost::asio::error::operation_aborted, boost::asio::mutable_buffer());
  });
}

ROOST_DECL std::size_t TcpTransport::write_some(Buffers buffers, error_code& error) {
  // One buffer is a send(), which costs less than a sendmsg().
  if (buffers.size() == 1) return socket_.write_some(buffers.front(), error);
  return socket_.write_some(buffers, error);
}

ROOST_DECL void TcpTransport::async_write(Buffers, WriteHandler handler) {
  socket_.async_wait(Socket::wait_write, [handler = std::move(handler)](error_code error) mutable {
    std::move(handler)(error, 0);
  });
}

ROOST_DECL void TcpTransport::async_shutdown(Handler handler) {
  error_code error;
  socket_.shutdown(Socket::shutdown_send, error);
  boost::asio::post(socket_.get_executor(),
                    [error, handler = std::move(handler)]() mutable { std::move(handler)(error); });
}

ROOST_DECL void TcpTransport::abort() noexcept {
  stop_reading();
  abort(socket_);
}

ROOST_DECL void TcpTransport::close() noexcept {
  stop_reading();
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace roost::detail
