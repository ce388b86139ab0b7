// SPDX-License-Identifier: MIT
#pragma once

#include "roost/beast/transport/tcp_transport.hpp"
#include "roost/beast/transport/tls_engine.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

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

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/beast/transport/tls_transport.ipp"
#endif
