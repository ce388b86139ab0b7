// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "roost/redis/detail/url.hpp"

namespace roost::detail {

/// The bytes of a connection to Redis: over TCP, a unix socket, or TLS.
class RedisStream {
 public:
  virtual ~RedisStream() = default;
  virtual boost::asio::awaitable<std::size_t> read_some(boost::asio::mutable_buffer buffer) = 0;
  virtual boost::asio::awaitable<void> write(boost::asio::const_buffer buffer) = 0;
  /// Writes what can be written without waiting. @returns how many bytes; trouble is for `write`.
  virtual std::size_t write_now(boost::asio::const_buffer buffer) = 0;
  /// What is under way fails.
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

/// @par Errors  those of Asio and OpenSSL.
inline boost::asio::awaitable<boost::asio::ip::tcp::socket> connect_tcp(
    boost::asio::any_io_executor executor, const RedisUrl& url) {
  using boost::asio::ip::tcp;
  tcp::socket socket(executor);
  std::vector<tcp::endpoint> endpoints;
  boost::system::error_code no_address;
  const auto address = boost::asio::ip::make_address(url.host, no_address);
  if (no_address) {
    tcp::resolver resolver(executor);
    const auto found = co_await resolver.async_resolve(url.host, std::to_string(url.port),
                                                       boost::asio::use_awaitable);
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  } else {
    endpoints.emplace_back(address, url.port);  // no resolver, which is a thread
  }
  co_await boost::asio::async_connect(socket, endpoints, boost::asio::use_awaitable);
  socket.set_option(tcp::no_delay(true));
  socket.set_option(boost::asio::socket_base::keep_alive(true));
  co_return socket;
}

inline boost::asio::awaitable<std::unique_ptr<RedisStream>> connect_tls(
    boost::asio::any_io_executor executor, const RedisUrl& url, const std::string& ca_file) {
  namespace ssl = boost::asio::ssl;
  using Stream = ssl::stream<boost::asio::ip::tcp::socket>;
  ssl::context context(ssl::context::tls_client);
  context.set_verify_mode(ssl::verify_peer);
  if (ca_file.empty()) {
    context.set_default_verify_paths();
  } else {
    context.load_verify_file(ca_file);
  }
  Stream stream(co_await connect_tcp(executor, url), context);  // which keeps what it needs of it
  stream.set_verify_callback(ssl::host_name_verification(url.host));
  boost::system::error_code no_address;
  boost::asio::ip::make_address(url.host, no_address);
  if (no_address) SSL_set_tlsext_host_name(stream.native_handle(), url.host.c_str());
  co_await stream.async_handshake(Stream::client, boost::asio::use_awaitable);
  co_return std::make_unique<RedisStreamOver<Stream>>(std::move(stream));
}

inline boost::asio::awaitable<std::unique_ptr<RedisStream>> connect_stream(
    boost::asio::any_io_executor executor, const RedisUrl& url, const std::string& ca_file) {
  using boost::asio::local::stream_protocol;
  if (url.transport == RedisUrl::Transport::unix_socket) {
    stream_protocol::socket socket(executor);
    co_await socket.async_connect(stream_protocol::endpoint(url.path), boost::asio::use_awaitable);
    co_return std::make_unique<RedisStreamOver<stream_protocol::socket>>(std::move(socket));
  }
  if (url.transport == RedisUrl::Transport::tls)
    co_return co_await connect_tls(executor, url, ca_file);
  auto socket = co_await connect_tcp(executor, url);
  co_return std::make_unique<RedisStreamOver<boost::asio::ip::tcp::socket>>(std::move(socket));
}

}  // namespace roost::detail
