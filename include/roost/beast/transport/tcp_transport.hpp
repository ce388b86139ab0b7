// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>
#include <memory>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/epoll.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#endif

#include "roost/base/build/config.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/transport/transport.hpp"
#include "roost/runtime/detail/executor.hpp"

namespace roost::detail {

/// The progress of a TCP socket; hardly anything if the system does not provide it.
[[nodiscard]] KernelProgress kernel_progress(int socket) noexcept;

/// Sets the options of a connected socket, or of one that accepts: on Linux accepted sockets
/// inherit them, which saves system calls for each.
/// @param send_buffer_bytes  0: the system's default
template <class Socket>
void set_options(Socket& socket, std::size_t send_buffer_bytes) {
  error_code ignored;
  socket.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  if (send_buffer_bytes > 0) {
    socket.set_option(
        boost::asio::socket_base::send_buffer_size(static_cast<int>(send_buffer_bytes)), ignored);
  }
}

/// Keeps programs that this process starts from inheriting a descriptor. Such a program would
/// occupy the port after a restart, and a client would not learn that its connection was closed.
void close_on_exec(int descriptor) noexcept;

class TcpTransport;

/// Tells many sockets of one executor when they are readable.
///
/// Asio re-arms its epoll set for every single wait, which costs a system call each. Here a socket
/// is added once to a set of our own, and stays in it while it is read repeatedly; Asio waits for
/// the set.
///
/// A child process shares the set: until it calls `exec` or `_exit`, it must not use its copies of
/// the sockets.
class ReadPoller final : public std::enable_shared_from_this<ReadPoller>, private ContextGuard {
 public:
  /// The poller that all sockets of @p executor share. It is null where the system has no epoll, or
  /// has no file descriptor left; then the sockets wait through Asio. From any thread.
  static std::shared_ptr<ReadPoller> of(const boost::asio::any_io_executor& executor) noexcept;

#if defined(__linux__)
  explicit ReadPoller(const boost::asio::any_io_executor& executor);

  [[nodiscard]] boost::asio::any_io_executor get_executor() noexcept { return set_.get_executor(); }

  /// Makes @p waiting read once its socket is readable or has failed.
  /// @returns false if the socket cannot be watched.
  bool wait(TcpTransport& waiting);
  /// Removes @p transport. Call it before its socket is closed.
  void forget(TcpTransport& transport) noexcept;

 private:
  // Limits per turn: the loop has other work.
  static constexpr std::size_t max_events = 256;
  static constexpr std::chrono::milliseconds longest_turn{1};

  void wait_for_set();
  void on_set_readable();
  void read_from_some();
  void remove(TcpTransport& transport) noexcept;
  void on_context_destroyed() noexcept override;

  boost::asio::posix::stream_descriptor set_;
  std::vector<TcpTransport*> watched_;  // transports whose sockets are in the set
  std::size_t waiting_ = 0;             // how many of them wait
  bool is_waiting_ = false;             // whether Asio waits for the set
  std::array<epoll_event, max_events> events_;
  std::span<epoll_event> left_;  // events still to be handled
#endif
};

/// A plain TCP socket.
class TcpTransport final : public Transport {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  /// @param socket  connected, on the executor on which it will be used
  /// @param poller  null: Asio waits until the socket is readable
  TcpTransport(Socket socket, std::shared_ptr<ReadPoller> poller);
  explicit TcpTransport(Socket socket);
  ~TcpTransport() override { stop_reading(); }

  static void abort(Socket& socket) noexcept;

  void async_read(std::size_t max, ReadHandler handler) override;
  std::size_t write_some(Buffers buffers, error_code& error) override;
  void async_write(Buffers buffers, WriteHandler handler) override;
  [[nodiscard]] bool only_waits() const noexcept override { return true; }
  [[nodiscard]] KernelProgress progress() noexcept override {
    return kernel_progress(socket_.native_handle());
  }
  void async_shutdown(Handler handler) override;
  void close() noexcept override;
  void abort() noexcept override;

  // For the poller.
  struct Polled {
    ReadHandler handler;  ///< Set while it waits for the poller; owns the owner of the transport.
    std::size_t position = 0;  ///< In the poller's `watched_`.
    bool is_watched = false;
  };
  Polled polled;
  [[nodiscard]] int descriptor() noexcept { return socket_.native_handle(); }
  void read(ReadHandler handler);

 private:
  void stop_reading() noexcept;

  Socket socket_;
  const std::shared_ptr<ReadPoller> poller_;
  std::size_t max_ = 0;
};

/// Moves a socket to @p executor, if it is on another.
template <class SocketExecutor>
boost::asio::ip::tcp::socket move_to(
    const boost::asio::any_io_executor& executor,
    boost::asio::basic_stream_socket<boost::asio::ip::tcp, SocketExecutor>&& socket) {
  using boost::asio::ip::tcp;
  if (boost::asio::any_io_executor(socket.get_executor()) == executor) {
    return tcp::socket(std::move(socket));
  }
  const tcp protocol = socket.local_endpoint().protocol();
  return tcp::socket(executor, protocol, socket.release());
}

template <class SocketExecutor>
struct TransportOf<boost::asio::basic_stream_socket<boost::asio::ip::tcp, SocketExecutor>> {
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, SocketExecutor>;
  static std::unique_ptr<Transport> make(const boost::asio::any_io_executor& executor,
                                         Socket&& socket, const StreamOptions& options) {
    set_options(socket, options.send_buffer_bytes);
    close_on_exec(socket.native_handle());
    return std::make_unique<TcpTransport>(move_to(executor, std::move(socket)));
  }
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/tcp_transport.ipp"
#endif
