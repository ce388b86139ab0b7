// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/ssl/stream.hpp>

#include "roost/beast/transport/tcp_transport.hpp"

namespace roost::detail {

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
#include "roost/beast/transport/tls_stream_transport.ipp"
#endif
