// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/error.hpp>

#if defined(__linux__)
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#endif
#if __has_include(<fcntl.h>)
#include <fcntl.h>
#endif

#include "roost/beast/transport/tcp_transport.hpp"

namespace roost::detail {

ROOST_DECL KernelProgress kernel_progress([[maybe_unused]] int socket) noexcept {
  KernelProgress progress;
#if defined(__linux__)
  int queued = 0;
  if (::ioctl(socket, SIOCOUTQ, &queued) == 0 && queued > 0) {
    progress.unacknowledged = static_cast<std::size_t>(queued);
  }
  // The kernel's `tcp_info`, of which the C library knows only the first 104 bytes: `tcpi_rto` in
  // microseconds is at offset 8, `tcpi_bytes_acked` (Linux 4.1) at offset 120.
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

ROOST_DECL void close_on_exec([[maybe_unused]] int descriptor) noexcept {
#if defined(FD_CLOEXEC)
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
#endif
}

// --- the poller ---

#if defined(__linux__)

ROOST_DECL std::shared_ptr<ReadPoller> ReadPoller::of(
    const boost::asio::any_io_executor& executor) noexcept {
  try {
    return PerExecutor<ReadPoller>::of(executor);
  } catch (...) {
    return nullptr;  // reading through Asio is only slower
  }
}

ROOST_DECL ReadPoller::ReadPoller(const boost::asio::any_io_executor& executor)
    : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)), set_(executor) {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) throw boost::system::system_error(errno, boost::system::system_category());
  boost::system::error_code error;
  set_.assign(set, error);
  if (!error) return;
  ::close(set);
  throw boost::system::system_error(error);
}

ROOST_DECL bool ReadPoller::wait(TcpTransport& waiting) {
  if (!waiting.polled.is_watched) {
    const int socket = waiting.descriptor();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &waiting;
    if (::epoll_ctl(set_.native_handle(), EPOLL_CTL_ADD, socket, &event) != 0) return false;
    waiting.polled.is_watched = true;
    waiting.polled.position = watched_.size();
    watched_.push_back(&waiting);
  }
  ++waiting_;
  wait_for_set();
  return true;
}

ROOST_DECL void ReadPoller::forget(TcpTransport& transport) noexcept {
  if (transport.polled.is_watched) remove(transport);
  if (!transport.polled.handler) return;
  boost::system::error_code ignored;
  if (--waiting_ == 0) set_.cancel(ignored);  // the context may have nothing else to run for
}

// Closing the socket does not suffice: a child process may have it open as well.
ROOST_DECL void ReadPoller::remove(TcpTransport& transport) noexcept {
  epoll_event none{};
  ::epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, transport.descriptor(), &none);
  transport.polled.is_watched = false;
  watched_.back()->polled.position = transport.polled.position;
  watched_[transport.polled.position] = watched_.back();
  watched_.pop_back();
  for (epoll_event& event : left_) {
    if (event.data.ptr == &transport) event.data.ptr = nullptr;
  }
}

ROOST_DECL void ReadPoller::wait_for_set() {
  if (waiting_ == 0 || std::exchange(is_waiting_, true)) return;
  set_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                  [self = shared_from_this()](boost::system::error_code error) {
                    if (!error) return self->on_set_readable();
                    self->is_waiting_ = false;
                    if (error == boost::asio::error::operation_aborted) self->wait_for_set();
                  });
}

ROOST_DECL void ReadPoller::on_set_readable() {
  // Events that the last turn has not handled come first: epoll would return the same ones again.
  if (left_.empty()) {
    const int n = ::epoll_wait(set_.native_handle(), events_.data(), max_events, 0);
    left_ = std::span(events_).first(static_cast<std::size_t>(std::max(n, 0)));
  }
  try {
    read_from_some();
  } catch (...) {
    is_waiting_ = false;
    wait_for_set();  // the other sockets are still to be read
    throw;
  }
  is_waiting_ = false;
  wait_for_set();
}

ROOST_DECL void ReadPoller::read_from_some() {
  const auto end = std::chrono::steady_clock::now() + longest_turn;
  // Handles one at least, however long the thread is suspended.
  for (bool is_first = true; !left_.empty(); is_first = false) {
    if (!is_first && std::chrono::steady_clock::now() >= end) return;
    auto* const transport = static_cast<TcpTransport*>(left_.front().data.ptr);
    left_ = left_.subspan(1);
    if (!transport) continue;
    if (transport->polled.handler) {
      --waiting_;
      transport->read(std::move(transport->polled.handler));
    } else {
      remove(*transport);  // it is not reading now, and would be reported again and again
    }
  }
}

ROOST_DECL void ReadPoller::on_context_destroyed() noexcept {
  const auto self = shared_from_this();
  left_ = {};
  while (!watched_.empty()) {
    TcpTransport& transport = *watched_.back();
    remove(transport);
    // The handler may own the transport.
    TcpTransport::ReadHandler(std::move(transport.polled.handler));
  }
  waiting_ = 0;
}

#else

ROOST_DECL std::shared_ptr<ReadPoller> ReadPoller::of(
    const boost::asio::any_io_executor&) noexcept {
  return nullptr;
}

#endif

// --- the socket ---

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
  polled.handler = std::move(handler);
  if (poller_ && poller_->wait(*this)) return;
  handler = std::move(polled.handler);
#endif
  socket_.async_wait(Socket::wait_read,
                     [this, handler = std::move(handler)](error_code error) mutable {
                       if (error) return std::move(handler)(error, boost::asio::mutable_buffer());
                       read(std::move(handler));
                     });
}

ROOST_DECL void TcpTransport::read(ReadHandler handler) {
  // One buffer for all connections of a thread: bytes that are not taken immediately are copied.
  static thread_local std::array<char, 65'536> buffer;
  error_code error;
  const std::size_t n = socket_.read_some(boost::asio::buffer(buffer, max_), error);
  if (error == boost::asio::error::would_block) return async_read(max_, std::move(handler));
  std::move(handler)(error, boost::asio::buffer(buffer, n));
}

ROOST_DECL void TcpTransport::stop_reading() noexcept {
#if defined(__linux__)
  if (poller_) poller_->forget(*this);
#endif
  if (!polled.handler) return;
  boost::asio::post(socket_.get_executor(), [handler = std::move(polled.handler)]() mutable {
    std::move(handler)(boost::asio::error::operation_aborted, boost::asio::mutable_buffer());
  });
}

ROOST_DECL std::size_t TcpTransport::write_some(Buffers buffers, error_code& error) {
  // A single buffer is written with send(), which costs less than sendmsg().
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
