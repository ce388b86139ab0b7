// SPDX-License-Identifier: MIT
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

#include "roost/beast/transport/tls_transport.hpp"

namespace roost::detail {

/// The oldest error that OpenSSL has noted on this thread.
ROOST_DECL error_code last_tls_error() noexcept {
  const auto code = ::ERR_get_error();
  if (code == 0) return boost::asio::ssl::error::unspecified_system_error;
  return {static_cast<int>(code), boost::asio::error::get_ssl_category()};
}

ROOST_DECL TlsEngine::TlsEngine(SSL_CTX* context, Transport& lower)
    : lower_(lower), ssl_(::SSL_new(context)) {
  if (!ssl_) throw boost::system::system_error(last_tls_error(), "a TLS connection");
  BIO* const bio = make_bio(*this);
  ::SSL_set_bio(ssl_.get(), bio, bio);
  ::SSL_set_accept_state(ssl_.get());
  ::SSL_set_mode(ssl_.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A handshake costs the server more than the client.
  ::SSL_set_options(ssl_.get(), SSL_OP_NO_RENEGOTIATION);
}

// --- operations ---

ROOST_DECL void TlsEngine::feed(boost::asio::const_buffer input) noexcept { input_ = input; }

ROOST_DECL TlsEngine::Status TlsEngine::handshake() {
  return perform([this] { return ::SSL_do_handshake(ssl_.get()); });
}

ROOST_DECL TlsEngine::Status TlsEngine::read(boost::asio::mutable_buffer to, std::size_t& n) {
  n = 0;
  const Status status = perform([&] {
    int result = 1;
    for (std::size_t piece = 0; result == 1 && n < to.size(); n += piece) {
      result = ::SSL_read_ex(ssl_.get(), static_cast<char*>(to.data()) + n, to.size() - n, &piece);
      if (result != 1) piece = 0;
    }
    return result;
  });
  is_drained_ = status == Status::wants_input;
  return status;
}

ROOST_DECL TlsEngine::Status TlsEngine::write(boost::asio::const_buffer from, std::size_t& n) {
  n = 0;
  return perform([&] { return ::SSL_write_ex(ssl_.get(), from.data(), from.size(), &n); });
}

ROOST_DECL TlsEngine::Status TlsEngine::shut_down() {
  if (::SSL_in_init(ssl_.get()) != 0) return Status::done;
  // Neither 0 nor 1 is an error, but 0 means that the peer has not sent its own.
  return perform([this] { return ::SSL_shutdown(ssl_.get()) >= 0 ? 1 : -1; });
}

template <class Operation>
TlsEngine::Status TlsEngine::perform(Operation operation) {
  if (has_failed_) return Status::failed;
  if (input_.size() == 0) input_ = boost::asio::buffer(kept_);
  ::ERR_clear_error();
  const Status status = status_of(operation());
  keep_input();
  return status;
}

ROOST_DECL TlsEngine::Status TlsEngine::status_of(int result) {
  switch (::SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE: return Status::done;
    case SSL_ERROR_WANT_READ: return Status::wants_input;
    case SSL_ERROR_WANT_WRITE: return Status::wants_output;
    case SSL_ERROR_ZERO_RETURN: error_ = boost::asio::error::eof; return Status::failed;
    case SSL_ERROR_SSL: error_ = last_tls_error(); break;
    case SSL_ERROR_SYSCALL: error_ = lower_error_ ? lower_error_ : last_tls_error(); break;
    default: error_ = boost::asio::ssl::error::unexpected_result; break;
  }
  has_failed_ = true;
  return Status::failed;
}

ROOST_DECL void TlsEngine::keep_input() {
  const boost::asio::const_buffer rest = std::exchange(input_, boost::asio::const_buffer());
  if (rest.size() == kept_.size()) return;  // both empty, or nothing was taken of `kept_`
  std::string copy(static_cast<const char*>(rest.data()), rest.size());
  kept_.swap(copy);  // an idle connection keeps no memory
}

// --- for OpenSSL ---

ROOST_DECL BIO* TlsEngine::make_bio(TlsEngine& engine) {
  static BIO_METHOD* const method = [] {  // never freed: connections may be static, too
    BIO_METHOD* const made = ::BIO_meth_new(BIO_TYPE_SOURCE_SINK | ::BIO_get_new_index(), "roost");
    if (!made) throw std::bad_alloc();
    ::BIO_meth_set_read(made, on_read);
    ::BIO_meth_set_write(made, on_write);
    ::BIO_meth_set_ctrl(made, on_control);
    return made;
  }();
  BIO* const bio = ::BIO_new(method);
  if (!bio) throw std::bad_alloc();
  ::BIO_set_data(bio, &engine);
  ::BIO_set_init(bio, 1);
  return bio;
}

ROOST_DECL int TlsEngine::on_read(BIO* bio, char* to, int size) noexcept {
  TlsEngine& self = *static_cast<TlsEngine*>(::BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (self.input_.size() == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t n = boost::asio::buffer_copy(
      boost::asio::buffer(to, static_cast<std::size_t>(size)), self.input_);
  self.input_ += n;
  return static_cast<int>(n);
}

ROOST_DECL int TlsEngine::on_write(BIO* bio, const char* from, int size) noexcept {
  TlsEngine& self = *static_cast<TlsEngine*>(::BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const boost::asio::const_buffer bytes(from, static_cast<std::size_t>(size));
  error_code error;
  const std::size_t n = self.lower_.write_some({&bytes, 1}, error);
  if (!error) return static_cast<int>(n);
  if (error == boost::asio::error::would_block) {
    BIO_set_retry_write(bio);
  } else {
    self.lower_error_ = error;
  }
  return -1;
}

ROOST_DECL long TlsEngine::on_control(BIO*, int command, long, void*) noexcept {
  return command == BIO_CTRL_FLUSH ? 1 : 0;  // nothing is buffered here
}

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

// --- a TLS stream of the application ---

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
