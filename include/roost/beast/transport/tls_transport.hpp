// SPDX-License-Identifier: MIT
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/ssl/stream.hpp>
#include <string>

#include "roost/base/build/config.hpp"
#include "roost/beast/transport/tcp_transport.hpp"
#include "roost/beast/transport/transport.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// The server's end of TLS by OpenSSL: the owner feeds it the bytes of the peer, and it writes to
/// the transport below. It never waits.
///
/// OpenSSL takes bytes from the owner's buffer and writes records to the socket immediately, so an
/// idle connection has no buffer. Meanwhile OpenSSL keeps a part of a record, either way.
class TlsEngine {
 public:
  /// How an operation ended.
  enum class Status : std::uint8_t {
    done,
    wants_input,   ///< Call it again after `feed`.
    wants_output,  ///< Call it again once the transport below is writable.
    failed,        ///< See `error`.
  };

  /// @param context  the certificate, the key and all settings; used beyond this call
  /// @param lower    transport to which records are written
  /// @par Errors  `boost::system::system_error` if there is no memory
  TlsEngine(SSL_CTX* context, Transport& lower);
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  /// Sets the input of the next operation, which copies what it does not need yet. @p input must
  /// be valid until then.
  /// @pre the last operation wanted input
  void feed(boost::asio::const_buffer input) noexcept;

  [[nodiscard]] Status handshake();
  /// Decrypts as many bytes as have arrived and fit; @p n is their number. If it is not 0, any
  /// error is reported again by the next call. `eof`: the peer has sent its close_notify.
  [[nodiscard]] Status read(boost::asio::mutable_buffer to, std::size_t& n);
  /// Encrypts and writes bytes as one record; @p n is their number. Unless the result is `done`,
  /// the next call must begin with the same bytes: OpenSSL keeps the rest of the record.
  /// @pre @p from is not empty, and has at most `largest_record` bytes
  [[nodiscard]] Status write(boost::asio::const_buffer from, std::size_t& n);
  /// Sends a close_notify, and does not wait for that of the peer.
  [[nodiscard]] Status shut_down();

  // RFC 8446, sections 5.1 and 5.2
  static constexpr std::size_t largest_record = 16'384;  ///< Its content, in bytes.
  static constexpr std::size_t largest_encrypted_record = 5 + largest_record + 256;

  /// Whether there is nothing to read without more input.
  [[nodiscard]] bool is_drained() const noexcept { return is_drained_; }
  [[nodiscard]] const error_code& error() const noexcept { return error_; }

 private:
  struct Free {
    void operator()(SSL* ssl) const noexcept { ::SSL_free(ssl); }
  };

  template <class Operation>
  Status perform(Operation operation);
  Status status_of(int result);
  /// Copies the input that was not taken.
  void keep_input();

  // For OpenSSL.
  static BIO* make_bio(TlsEngine& engine);
  static int on_read(BIO* bio, char* to, int size) noexcept;
  static int on_write(BIO* bio, const char* from, int size) noexcept;
  static long on_control(BIO* bio, int command, long number, void* pointer) noexcept;

  Transport& lower_;
  const std::unique_ptr<SSL, Free> ssl_;
  boost::asio::const_buffer input_;  // set during an operation, and before it by `feed`
  std::string kept_;                 // input that was not taken; usually empty
  error_code error_;
  error_code lower_error_;   // of the transport below
  bool has_failed_ = false;  // for ever
  bool is_drained_ = false;
};

/// TLS over TCP, for connections that roost accepts. All connections of a thread share the buffers.
class TlsTransport final : public Transport {
 public:
  /// @param socket   connected, on the executor on which it will be used
  /// @param context  see `TlsEngine`
  TlsTransport(TcpTransport::Socket socket, SSL_CTX* context);

  [[nodiscard]] bool needs_open() const noexcept override { return !is_open_; }
  void async_open(Handler handler) override;
  void async_read(std::size_t max, ReadHandler handler) override;
  std::size_t write_some(Buffers buffers, error_code& error) override;
  void async_write(Buffers buffers, WriteHandler handler) override;
  [[nodiscard]] bool only_waits() const noexcept override { return true; }
  [[nodiscard]] KernelProgress progress() noexcept override { return tcp_.progress(); }
  void async_shutdown(Handler handler) override;
  void close() noexcept override;
  void abort() noexcept override;

 private:
  /// Waits for what the engine wants, then calls `step(error)`. Input is valid during that call.
  template <class Step>
  void wait_for(TlsEngine::Status wanted, std::size_t max, Step step);
  void continue_open(TlsEngine::Status wanted, Handler handler);
  void continue_read(TlsEngine::Status wanted, std::size_t max, ReadHandler handler);
  void read(std::size_t max, ReadHandler handler);

  const boost::asio::any_io_executor executor_;
  TcpTransport tcp_;
  TlsEngine engine_;
  WaitList fed_;  // notified when the engine has input, or at the end
  bool is_open_ = false;
  bool is_shut_down_ = false;
  bool is_closed_ = false;
  bool write_wants_input_ = false;  // the peer has begun a handshake message
};

/// TLS over TCP through a stream of the application, which has done the handshake. Asio keeps 68
/// KiB of buffers for each such stream.
class TlsStreamTransport final : public Transport {
 public:
  using Stream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

  explicit TlsStreamTransport(Stream stream);

  void async_read(std::size_t max, ReadHandler handler) override;
  std::size_t write_some(Buffers buffers, error_code& error) override;
  void async_write(Buffers buffers, WriteHandler handler) override;
  [[nodiscard]] KernelProgress progress() noexcept override {
    return kernel_progress(stream_.next_layer().native_handle());
  }
  void async_shutdown(Handler handler) override;
  void close() noexcept override;
  void abort() noexcept override;

 private:
  Stream stream_;
  bool is_shut_down_ = false;
};

// A TLS stream cannot be moved to another executor: its state refers to its own.
template <>
struct TransportOf<TlsStreamTransport::Stream> {
  static std::unique_ptr<Transport> make(const boost::asio::any_io_executor& executor,
                                         TlsStreamTransport::Stream&& stream,
                                         const StreamOptions& options) {
    if (stream.get_executor() != executor) {
      throw Error(errc::wrong_executor, "a TLS stream must be on the executor of its manager");
    }
    set_options(stream.next_layer(), options.send_buffer_bytes);
    close_on_exec(stream.next_layer().native_handle());
    return std::make_unique<TlsStreamTransport>(std::move(stream));
  }
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/tls_transport.ipp"
#endif
