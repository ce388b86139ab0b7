// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/error.hpp>

#include "roost/beast/transport/tls_stream_transport.hpp"

namespace roost::detail {

ROOST_DECL TlsStreamTransport::TlsStreamTransport(Stream stream) : stream_(std::move(stream)) {
  error_code ignored;
  stream_.next_layer().non_blocking(true, ignored);
}

// A small buffer suffices: the rest of a record waits in the TLS engine.
ROOST_DECL void TlsStreamTransport::async_read(std::size_t max, ReadHandler handler) {
  auto buffer = std::make_unique<std::array<char, 4'096>>();
  const auto space = boost::asio::buffer(*buffer, max);
  auto done = [buffer = std::move(buffer), handler = std::move(handler)](error_code error,
                                                                         std::size_t n) mutable {
    std::move(handler)(error, boost::asio::buffer(buffer->data(), n));
  };
  if (is_shut_down_) {
    stream_.next_layer().async_read_some(space, std::move(done));
  } else {
    stream_.async_read_some(space, std::move(done));
  }
}

// Writes nothing: a synchronous write on a non-blocking TLS stream loses bytes that it has
// encrypted.
ROOST_DECL std::size_t TlsStreamTransport::write_some(Buffers, error_code& error) {
  error = boost::asio::error::would_block;
  return 0;
}

// One record per flush: the buffers are copied into one, up to the size of the largest record.
// OpenSSL may read the copy again when the outbox has been cleared.
ROOST_DECL void TlsStreamTransport::async_write(Buffers buffers, WriteHandler handler) {
  constexpr std::size_t largest_record = 16'384;
  std::size_t size = 0;
  for (const auto& buffer : buffers) size += buffer.size();
  std::vector<char> gathered(std::min(size, largest_record));
  boost::asio::buffer_copy(boost::asio::buffer(gathered), buffers);
  const auto whole = boost::asio::buffer(std::as_const(gathered));
  stream_.async_write_some(
      whole, [gathered = std::move(gathered), handler = std::move(handler)](
                 error_code error, std::size_t n) mutable { std::move(handler)(error, n); });
}

ROOST_DECL void TlsStreamTransport::async_shutdown(Handler handler) {
  stream_.async_shutdown([this, handler = std::move(handler)](error_code) mutable {
    // The handler owns the owner of this. Not every peer answers with a close_notify of its own;
    // bytes that arrive from here on are discarded below TLS.
    is_shut_down_ = true;
    error_code ignored;
    stream_.next_layer().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
    std::move(handler)(error_code());
  });
}

ROOST_DECL void TlsStreamTransport::close() noexcept {
  error_code ignored;
  stream_.next_layer().close(ignored);
}

ROOST_DECL void TlsStreamTransport::abort() noexcept { TcpTransport::abort(stream_.next_layer()); }

}  // namespace roost::detail
