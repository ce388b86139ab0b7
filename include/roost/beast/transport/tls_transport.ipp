// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/stream_base.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "roost/base/build/config.hpp"
#include "roost/beast/transport/tls_transport.hpp"

namespace roost::detail {

ROOST_DECL TlsTransport::TlsTransport(Stream stream, bool is_open)
    : stream_(std::move(stream)), is_open_(is_open) {
  error_code ignored;
  stream_.next_layer().non_blocking(true, ignored);
}

ROOST_DECL void TlsTransport::async_open(Handler handler) {
  is_open_ = true;
  stream_.async_handshake(boost::asio::ssl::stream_base::server, std::move(handler));
}

// What a record holds beyond the buffer waits in the TLS engine: no need for a large one.
ROOST_DECL void TlsTransport::async_read(std::size_t max, ReadHandler handler) {
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

// A synchronous write on a non-blocking TLS stream loses what it has encrypted already.
ROOST_DECL std::size_t TlsTransport::write_some(Buffers, error_code& error) {
  error = boost::asio::error::would_block;
  return 0;
}

// One record per flush: the buffers are gathered into one, up to the largest record. A copy, for
// OpenSSL may look at it again when the outbox has long been thrown away.
ROOST_DECL void TlsTransport::async_write(Buffers buffers, WriteHandler handler) {
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

ROOST_DECL void TlsTransport::async_shutdown(Handler handler) {
  stream_.async_shutdown([this, handler = std::move(handler)](error_code) mutable {
    // The handler owns what owns this. Not every peer answers with a close_notify of its own;
    // what comes from here on is discarded below TLS.
    is_shut_down_ = true;
    error_code ignored;
    stream_.next_layer().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
    std::move(handler)(error_code());
  });
}

ROOST_DECL void TlsTransport::close() noexcept {
  error_code ignored;
  stream_.next_layer().close(ignored);
}

ROOST_DECL void TlsTransport::abort() noexcept { TcpTransport::abort(stream_.next_layer()); }

}  // namespace roost::detail
