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

#include "roost/runtime/detail/callback.hpp"

namespace roost::detail {

/// What the kernel knows about the progress of a peer. How much the kernel has accepted says
/// little: its buffer may hold as much as a slow link takes twenty seconds for, and the kernel asks
/// for more only when a third of the buffer is free.
struct KernelProgress {
  /// Bytes that the peer has acknowledged. Not set: unknown.
  std::optional<std::uint64_t> acknowledged = {};
  /// Bytes in the kernel's buffer: on their way, or not sent yet.
  std::size_t unacknowledged = 0;
  /// How long an acknowledgement may take before the kernel retransmits; 0: unknown.
  std::chrono::steady_clock::duration round_trip = {};
};

using boost::system::error_code;

/// Carries bytes to and from a peer: the boundary between roost and the network. It has virtual
/// functions, which are called per read and per flush, never per frame. A handler is never called
/// from inside the function to which it was given.
class Transport {
 public:
  /// The buffer is valid during the call only, and may be changed.
  /// Without a block of memory for the handler of a conversation, which waits most of the time.
  using ReadHandler = Callback<void(error_code, boost::asio::mutable_buffer), 4 * sizeof(void*)>;
  using WriteHandler = boost::asio::any_completion_handler<void(error_code, std::size_t)>;
  using Buffers = std::span<const boost::asio::const_buffer>;

  using Handler = boost::asio::any_completion_handler<void(error_code)>;

  virtual ~Transport() = default;

  /// Whether `async_open` must complete before the first read: it performs the TLS handshake.
  [[nodiscard]] virtual bool needs_open() const noexcept { return false; }
  virtual void async_open(Handler) {}

  /// Reads the bytes that are available, at most @p max.
  virtual void async_read(std::size_t max, ReadHandler handler) = 0;

  /// Writes what can be written immediately. `would_block`: the rest needs `async_write`. The next
  /// call must begin with the bytes that were not written: with TLS they are encrypted already.
  virtual std::size_t write_some(Buffers buffers, error_code& error) = 0;
  /// Waits until more can be written, and may write some of it. The bytes must stay unchanged until
  /// the handler is called with the number of written bytes; the sequence of buffers need not.
  virtual void async_write(Buffers buffers, WriteHandler handler) = 0;

  /// Whether `async_write` only waits, so that `write_some` may be called meanwhile.
  [[nodiscard]] virtual bool only_waits() const noexcept { return false; }
  /// What the kernel knows about the progress of the peer.
  [[nodiscard]] virtual KernelProgress progress() noexcept { return {}; }

  /// Tells the peer that nothing more will come. Call it while no read or write is under way.
  virtual void async_shutdown(Handler handler) = 0;
  /// Closes; the kernel may still deliver buffered bytes.
  virtual void close() noexcept = 0;
  /// Closes, and discards the bytes that the kernel has buffered.
  virtual void abort() noexcept = 0;
};

/// Makes a transport from a stream of the application. Each transport specialises it.
template <class Stream>
struct TransportOf;

}  // namespace roost::detail
