// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

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

/// How a stream of an application becomes a transport. Each transport specialises it.
template <class Stream>
struct TransportOf;

}  // namespace roost::detail
