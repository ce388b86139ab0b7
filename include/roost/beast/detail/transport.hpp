// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <span>
#include <utility>

namespace roost::detail {

using boost::system::error_code;

/// Bytes to and from a peer: the seam between roost and the network. Virtual, but called per read
/// and per flush, never per frame. Handlers are never called from inside the function they were
/// given to.
class Transport {
 public:
  /// The data are valid during the call only.
  using ReadHandler =
      boost::asio::any_completion_handler<void(error_code, boost::asio::const_buffer)>;
  using WriteHandler = boost::asio::any_completion_handler<void(error_code, std::size_t)>;
  using Buffers = std::span<const boost::asio::const_buffer>;

  using Handler = boost::asio::any_completion_handler<void(error_code)>;

  virtual ~Transport() = default;

  /// What must happen before the first read: a TLS handshake.
  [[nodiscard]] virtual bool needs_open() const noexcept { return false; }
  virtual void async_open(Handler) {}

  /// Reads what there is, at most @p max bytes.
  virtual void async_read(std::size_t max, ReadHandler handler) = 0;

  /// Writes what can be written at once. `would_block`: the rest is up to `async_write`.
  virtual std::size_t write_some(Buffers buffers, error_code& error) = 0;
  /// Waits until more can be written, and may write some of it; the bytes stay as they are until
  /// the handler is called with how much was written, the sequence of buffers does not.
  virtual void async_write(Buffers buffers, WriteHandler handler) = 0;

  /// Tells the peer that nothing more will come. No read or write is under way.
  virtual void async_shutdown(Handler handler) = 0;
  /// Ends it; the kernel may still deliver what it has.
  virtual void close() noexcept = 0;
  /// Ends it, and throws away what the kernel still has.
  virtual void abort() noexcept = 0;
};

/// A plain TCP socket.
class TcpTransport final : public Transport {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  /// @param socket             connected, on the executor that will use it
  /// @param send_buffer_bytes  0: the system's default
  TcpTransport(Socket socket, std::size_t send_buffer_bytes) : socket_(std::move(socket)) {
    prepare(socket_, send_buffer_bytes);
  }

  static void prepare(Socket& socket, std::size_t send_buffer_bytes) {
    error_code ignored;
    socket.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
    if (send_buffer_bytes > 0) {
      socket.set_option(
          boost::asio::socket_base::send_buffer_size(static_cast<int>(send_buffer_bytes)), ignored);
    }
    socket.non_blocking(true, ignored);
  }
  static void abort(Socket& socket) noexcept {
    error_code ignored;
    socket.set_option(boost::asio::socket_base::linger(true, 0), ignored);
    socket.close(ignored);
  }

  void async_read(std::size_t max, ReadHandler handler) override {
    socket_.async_wait(
        Socket::wait_read, [this, max, handler = std::move(handler)](error_code error) mutable {
          if (error) return std::move(handler)(error, boost::asio::const_buffer());
          // The handler owns what owns this.
          auto& scratch = read_buffer();
          const std::size_t n = socket_.read_some(
              boost::asio::buffer(scratch.data(), std::min(max, scratch.size())), error);
          if (error == boost::asio::error::would_block) return async_read(max, std::move(handler));
          std::move(handler)(error, boost::asio::const_buffer(scratch.data(), n));
        });
  }

  std::size_t write_some(Buffers buffers, error_code& error) override {
    return socket_.write_some(buffers, error);
  }

  void async_write(Buffers, WriteHandler handler) override {
    socket_.async_wait(
        Socket::wait_write,
        [handler = std::move(handler)](error_code error) mutable { std::move(handler)(error, 0); });
  }

  void async_shutdown(Handler handler) override {
    error_code error;
    socket_.shutdown(Socket::shutdown_send, error);
    boost::asio::post(socket_.get_executor(), [error, handler = std::move(handler)]() mutable {
      std::move(handler)(error);
    });
  }
  void close() noexcept override {
    error_code ignored;
    socket_.close(ignored);
  }
  void abort() noexcept override { abort(socket_); }

 private:
  // One for all connections of a thread: what is not taken at once is copied out of it.
  static std::array<char, 65'536>& read_buffer() noexcept {
    static thread_local std::array<char, 65'536> buffer;
    return buffer;
  }

  Socket socket_;
};

}  // namespace roost::detail
