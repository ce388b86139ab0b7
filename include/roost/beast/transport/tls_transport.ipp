// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

#include "roost/beast/transport/tls_transport.hpp"

namespace roost::detail {

ROOST_DECL TlsTransport::TlsTransport(TcpTransport::Socket socket, SSL_CTX* context)
    : executor_(socket.get_executor()), tcp_(std::move(socket)), engine_(context, tcp_) {}

/// The bytes of @p buffers from @p position on that go into one record. Valid until the next call
/// on this thread.
ROOST_DECL boost::asio::const_buffer next_record(Transport::Buffers buffers,
                                                 std::size_t position) noexcept {
  static thread_local std::array<char, TlsEngine::largest_record> gathered;
  while (!buffers.empty() && position >= buffers.front().size()) {
    position -= buffers.front().size();
    buffers = buffers.subspan(1);
  }
  if (buffers.empty()) return {};
  const boost::asio::const_buffer first = buffers.front() + position;
  if (buffers.size() == 1 || first.size() >= gathered.size()) {
    return boost::asio::buffer(first, gathered.size());
  }
  const auto space = boost::asio::buffer(gathered);
  std::size_t n = boost::asio::buffer_copy(space, first);
  n += boost::asio::buffer_copy(space + n, buffers.subspan(1));
  return boost::asio::buffer(gathered, n);
}

template <class Step>
void TlsTransport::wait_for(TlsEngine::Status wanted, std::size_t max, Step step) {
  if (wanted == TlsEngine::Status::wants_output) {
    return tcp_.async_write(
        {}, [step = std::move(step)](error_code error, std::size_t) mutable { step(error); });
  }
  tcp_.async_read(
      std::max(max, TlsEngine::largest_encrypted_record),
      [this, step = std::move(step)](error_code error, boost::asio::mutable_buffer data) mutable {
        // There was no close_notify.
        if (error == boost::asio::error::eof) {
          error = boost::asio::ssl::error::stream_truncated;
        }
        if (!error) engine_.feed(data);
        fed_.notify_all();
        step(error);
      });
}

// --- the handshake ---

ROOST_DECL void TlsTransport::async_open(Handler handler) {
  continue_open(TlsEngine::Status::wants_input, std::move(handler));
}

ROOST_DECL void TlsTransport::continue_open(TlsEngine::Status wanted, Handler handler) {
  wait_for(wanted, 0, [this, handler = std::move(handler)](error_code error) mutable {
    if (error) return std::move(handler)(error);
    const TlsEngine::Status status = engine_.handshake();
    if (status == TlsEngine::Status::failed) return std::move(handler)(engine_.error());
    if (status != TlsEngine::Status::done) return continue_open(status, std::move(handler));
    is_open_ = true;
    std::move(handler)(error_code());
  });
}

// --- reading ---

ROOST_DECL void TlsTransport::async_read(std::size_t max, ReadHandler handler) {
  if (is_shut_down_) return tcp_.async_read(max, std::move(handler));  // only to discard the bytes
  if (engine_.is_drained()) {
    return continue_read(TlsEngine::Status::wants_input, max, std::move(handler));
  }
  boost::asio::post(executor_, [this, max, handler = std::move(handler)]() mutable {
    if (!is_closed_) return read(max, std::move(handler));
    std::move(handler)(boost::asio::error::operation_aborted, boost::asio::mutable_buffer());
  });
}

ROOST_DECL void TlsTransport::continue_read(TlsEngine::Status wanted, std::size_t max,
                                            ReadHandler handler) {
  wait_for(wanted, max, [this, max, handler = std::move(handler)](error_code error) mutable {
    if (!error) return read(max, std::move(handler));
    std::move(handler)(error, boost::asio::mutable_buffer());
  });
}

ROOST_DECL void TlsTransport::read(std::size_t max, ReadHandler handler) {
  // One buffer for all connections of a thread: bytes that are not taken immediately are copied.
  static thread_local std::array<char, 65'536> buffer;
  std::size_t n = 0;
  const TlsEngine::Status status = engine_.read(boost::asio::buffer(buffer, max), n);
  const bool is_done = status == TlsEngine::Status::done || status == TlsEngine::Status::failed;
  if (n == 0 && !is_done) return continue_read(status, max, std::move(handler));
  const bool has_failed = n == 0 && status == TlsEngine::Status::failed;
  std::move(handler)(has_failed ? engine_.error() : error_code(), boost::asio::buffer(buffer, n));
}

// --- writing ---

ROOST_DECL std::size_t TlsTransport::write_some(Buffers buffers, error_code& error) {
  std::size_t written = 0;
  auto status = TlsEngine::Status::done;
  while (status == TlsEngine::Status::done) {
    const boost::asio::const_buffer record = next_record(buffers, written);
    if (record.size() == 0) break;
    std::size_t n = 0;
    status = engine_.write(record, n);
    written += n;
  }
  write_wants_input_ = status == TlsEngine::Status::wants_input;
  if (status == TlsEngine::Status::done) {
    error = {};
  } else if (status == TlsEngine::Status::failed) {
    error = engine_.error();
  } else {
    error = boost::asio::error::would_block;
  }
  return written;
}

ROOST_DECL void TlsTransport::async_write(Buffers buffers, WriteHandler handler) {
  if (!write_wants_input_) return tcp_.async_write(buffers, std::move(handler));
  when_notified(
      fed_, executor_, Clock::system(), Timer::never(),
      [handler = std::move(handler)](bool) mutable { std::move(handler)(error_code(), 0); });
}

// --- the end ---

ROOST_DECL void TlsTransport::async_shutdown(Handler handler) {
  is_shut_down_ = true;
  if (engine_.shut_down() != TlsEngine::Status::wants_output) {
    return tcp_.async_shutdown(std::move(handler));
  }
  wait_for(TlsEngine::Status::wants_output, 0,
           [this, handler = std::move(handler)](error_code error) mutable {
             if (error) return std::move(handler)(error);
             async_shutdown(std::move(handler));
           });
}

ROOST_DECL void TlsTransport::close() noexcept {
  if (!is_shut_down_) static_cast<void>(engine_.shut_down());  // as far as that takes no time
  is_closed_ = true;
  tcp_.close();
  fed_.notify_all();
}

ROOST_DECL void TlsTransport::abort() noexcept {
  is_closed_ = true;
  tcp_.abort();
  fed_.notify_all();
}

}  // namespace roost::detail
