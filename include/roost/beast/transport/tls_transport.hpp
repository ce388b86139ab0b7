// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "roost/base/error.hpp"
#include "roost/beast/options.hpp"
#include "roost/beast/transport/tcp_transport.hpp"

namespace roost::detail {

/// TLS over TCP.
class TlsTransport final : public Transport {
 public:
  using Stream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

  /// @param is_open  whether the TLS handshake is done
  TlsTransport(Stream stream, bool is_open);

  [[nodiscard]] bool needs_open() const noexcept override { return !is_open_; }
  void async_open(Handler handler) override;
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
  bool is_open_;
  bool is_shut_down_ = false;
};

// A TLS stream has a handshake behind it, and state that refers to its executor.
template <>
struct TransportOf<TlsTransport::Stream> {
  static std::unique_ptr<Transport> make(const boost::asio::any_io_executor& executor,
                                         TlsTransport::Stream&& stream,
                                         const StreamOptions& options) {
    if (stream.get_executor() != executor) {
      throw Error(errc::wrong_executor, "a TLS stream must be on the executor of its manager");
    }
    set_options(stream.next_layer(), options.send_buffer_bytes);
    close_on_exec(stream.next_layer().native_handle());
    return std::make_unique<TlsTransport>(std::move(stream), /*is_open=*/true);
  }
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/tls_transport.ipp"
#endif
