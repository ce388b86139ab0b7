// SPDX-License-Identifier: MIT
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <stdexcept>

#include "roost/redis/connection/url.hpp"
#include "roost/redis/options.hpp"

namespace roost::detail {

/// Says why Redis cannot be used, for the log or an `Error`.
struct RedisTrouble : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The transport to Redis: TCP, a unix socket, or TLS.
class RedisStream {
 public:
  virtual ~RedisStream() = default;
  virtual boost::asio::awaitable<std::size_t> read_some(boost::asio::mutable_buffer buffer) = 0;
  virtual boost::asio::awaitable<void> write(boost::asio::const_buffer buffer) = 0;
  /// Writes what can be written without waiting. @returns how many bytes; errors are left to
  /// `write`.
  virtual std::size_t write_now(boost::asio::const_buffer buffer) = 0;
  /// Closes the stream, so that its operations fail.
  virtual void close() noexcept = 0;
};

template <class Stream>
class RedisStreamOver : public RedisStream {
 public:
  explicit RedisStreamOver(Stream stream) : stream_(std::move(stream)) {
    if constexpr (!is_tls) stream_.non_blocking(true);
  }

  boost::asio::awaitable<std::size_t> read_some(boost::asio::mutable_buffer buffer) override {
    return stream_.async_read_some(buffer, boost::asio::use_awaitable);
  }
  boost::asio::awaitable<void> write(boost::asio::const_buffer buffer) override {
    co_await boost::asio::async_write(stream_, buffer, boost::asio::use_awaitable);
  }
  std::size_t write_now(boost::asio::const_buffer buffer) override {
    if constexpr (is_tls) {
      return 0;  // a write that would block halfway loses bytes
    } else {
      boost::system::error_code ignored;
      return stream_.write_some(buffer, ignored);
    }
  }
  void close() noexcept override {
    boost::system::error_code ignored;
    stream_.lowest_layer().close(ignored);
  }

 private:
  static constexpr bool is_tls = requires(Stream& stream) { stream.next_layer(); };

  Stream stream_;
};

/// Opens a socket that child processes of the application do not inherit: they would keep the
/// connection open after the end of this process.
template <class Socket>
void open_private(Socket& socket, const typename Socket::protocol_type& protocol) {
  const int fd = ::socket(protocol.family(), protocol.type() | SOCK_CLOEXEC, protocol.protocol());
  if (fd < 0) {
    throw boost::system::system_error(errno, boost::system::system_category());
  }
  boost::system::error_code error;
  socket.assign(protocol, fd, error);
  if (!error) return;
  ::close(fd);
  throw boost::system::system_error(error);
}

/// Enables TCP keep-alive, so that the kernel ends a connection to a dead peer, also one that a NAT
/// between has forgotten. The system's default times are hours.
inline void watch_peer(boost::asio::ip::tcp::socket& socket) {
  socket.set_option(boost::asio::socket_base::keep_alive(true));
  const auto set = [&](int option, int value) {
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
  };
  set(TCP_KEEPIDLE, 15);
  set(TCP_KEEPINTVL, 5);
  set(TCP_KEEPCNT, 3);
  set(TCP_USER_TIMEOUT, 30'000);  // in milliseconds, all others in seconds
  // Few bytes may wait in the kernel. So a written command is nearly sent, and the time for its
  // answer begins then, also on a slow link.
  set(TCP_NOTSENT_LOWAT, 131'072);  // bytes
}

/// Connects over TCP.
/// @par Errors  those of Asio.
inline boost::asio::awaitable<boost::asio::ip::tcp::socket> connect_tcp(
    boost::asio::any_io_executor executor, boost::asio::ip::tcp::endpoint endpoint) {
  using boost::asio::ip::tcp;
  tcp::socket socket(executor);
  open_private(socket, endpoint.protocol());
  co_await socket.async_connect(endpoint, boost::asio::use_awaitable);
  socket.set_option(tcp::no_delay(true));
  watch_peer(socket);
  co_return socket;
}

/// Calls @p load; its error names the option and the file.
template <class Load>
void load_file(const char* option, const std::string& file, Load load) {
  try {
    load(file);
  } catch (const boost::system::system_error& error) {
    throw RedisTrouble(std::string(option) + " " + file + ": " + error.code().message());
  }
}

/// Makes the TLS context for the options.
/// @par Errors  `RedisTrouble`, and those of OpenSSL.
inline boost::asio::ssl::context tls_context(const RedisOptions& options) {
  namespace ssl = boost::asio::ssl;
  ssl::context context(ssl::context::tls_client);
  context.set_verify_mode(ssl::verify_peer);
  if (options.ca_file.empty()) {
    context.set_default_verify_paths();
  } else {
    load_file("ca_file", options.ca_file,
              [&](const auto& file) { context.load_verify_file(file); });
  }
  if (!options.certificate_file.empty()) {
    load_file("certificate_file", options.certificate_file,
              [&](const auto& file) { context.use_certificate_chain_file(file); });
    load_file("private_key_file", options.private_key_file,
              [&](const auto& file) { context.use_private_key_file(file, ssl::context::pem); });
  }
  return context;
}

/// Connects over TLS.
/// @par Errors  those of Asio and OpenSSL.
inline boost::asio::awaitable<std::unique_ptr<RedisStream>> connect_tls(
    boost::asio::any_io_executor executor, std::string name, const RedisOptions& options,
    boost::asio::ip::tcp::endpoint endpoint) {
  namespace ssl = boost::asio::ssl;
  using Stream = ssl::stream<boost::asio::ip::tcp::socket>;
  ssl::context context = tls_context(options);
  auto socket = co_await connect_tcp(executor, endpoint);
  Stream stream(std::move(socket), context);  // keeps what it needs of the context
  stream.set_verify_callback(ssl::host_name_verification(name));
  boost::system::error_code no_address;
  boost::asio::ip::make_address(name, no_address);
  if (no_address) SSL_set_tlsext_host_name(stream.native_handle(), name.c_str());
  co_await stream.async_handshake(Stream::client, boost::asio::use_awaitable);
  co_return std::make_unique<RedisStreamOver<Stream>>(std::move(stream));
}

/// Connects over the transport that the URL names.
/// @param host      the name to expect in the certificate, unless `server_name` is set
/// @param endpoint  one of the addresses of the host; unused for a unix socket
/// @param options   must live as long as the coroutine
inline boost::asio::awaitable<std::unique_ptr<RedisStream>> connect_stream(
    boost::asio::any_io_executor executor, const RedisUrl& url, const RedisOptions& options,
    std::string host, boost::asio::ip::tcp::endpoint endpoint) {
  using boost::asio::local::stream_protocol;
  if (url.transport == RedisUrl::Transport::unix_socket) {
    stream_protocol::socket socket(executor);
    open_private(socket, stream_protocol());
    co_await socket.async_connect(stream_protocol::endpoint(url.path), boost::asio::use_awaitable);
    co_return std::make_unique<RedisStreamOver<stream_protocol::socket>>(std::move(socket));
  }
  if (url.transport == RedisUrl::Transport::tls) {
    std::string name = options.server_name;
    if (name.empty()) name = std::move(host);
    co_return co_await connect_tls(executor, std::move(name), options, endpoint);
  }
  auto socket = co_await connect_tcp(executor, endpoint);
  co_return std::make_unique<RedisStreamOver<boost::asio::ip::tcp::socket>>(std::move(socket));
}

}  // namespace roost::detail
