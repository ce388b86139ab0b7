// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "roost/beast/transport/read_poller.hpp"

namespace roost::detail {

/// What the kernel knows of how far a peer has come. What it has accepted says little: its buffer
/// may hold what a slow link takes twenty seconds for, and it asks for more only when a third of
/// that is free.
struct KernelProgress {
  /// Bytes that the peer has acknowledged. Not set: unknown.
  std::optional<std::uint64_t> acknowledged = {};
  /// Bytes in the kernel's buffer: on their way, or not even that.
  std::size_t unacknowledged = 0;
  /// How long an acknowledgement may take before the kernel sends again; 0: unknown.
  std::chrono::steady_clock::duration round_trip = {};
};

/// Of a TCP socket; next to nothing where the system does not tell.
[[nodiscard]] KernelProgress kernel_progress(int socket) noexcept;

using boost::system::error_code;

/// Bytes to and from a peer: the seam between roost and the network. Virtual, but called per read
/// and per flush, never per frame. Handlers are never called from inside the function they were
/// given to.
class Transport {
 public:
  /// The data are valid during the call only, and may be changed.
  using ReadHandler =
      boost::asio::any_completion_handler<void(error_code, boost::asio::mutable_buffer)>;
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

  /// Whether `async_write` only waits: `write_some` may be called meanwhile.
  [[nodiscard]] virtual bool only_waits() const noexcept { return false; }
  /// What the kernel knows of how far the peer has come.
  [[nodiscard]] virtual KernelProgress progress() noexcept { return {}; }

  /// Tells the peer that nothing more will come. No read or write is under way.
  virtual void async_shutdown(Handler handler) = 0;
  /// Ends it; the kernel may still deliver what it has.
  virtual void close() noexcept = 0;
  /// Ends it, and throws away what the kernel still has.
  virtual void abort() noexcept = 0;
};

/// Sets the options of a socket that is connected, or of one that accepts: on Linux those that it
/// accepts inherit them, which saves system calls for each.
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

/// Keeps a descriptor from the programs that this process starts: one that still has it would keep
/// the port after a restart, and a client of ours would not learn that it was let go.
ROOST_DECL void close_on_exec(int descriptor) noexcept;

/// A plain TCP socket.
class TcpTransport final : public Transport, private ReadPoller::Source {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  /// @param socket  connected, on the executor that will use it
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

 private:
  void read(ReadHandler handler);
  void on_readable() override;
  void on_context_gone() noexcept override { ReadHandler(std::move(handler_)); }
  void stop_reading() noexcept;

  Socket socket_;
  const std::shared_ptr<ReadPoller> poller_;
  ReadHandler handler_;  // while it waits for the poller; owns what owns this
  std::size_t max_ = 0;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/transport.ipp"
#endif
