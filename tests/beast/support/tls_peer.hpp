// SPDX-License-Identifier: MIT
// A client of TLS whose every byte the test has in its hands: OpenSSL encrypts into memory, and the
// test decides which of the bytes go to the socket, and when.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <roost/testing/run.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/tls_contexts.hpp"

namespace roost::test {

class TlsPeer {
 public:
  explicit TlsPeer(boost::asio::io_context& context) : context_(context), socket_(context) {
    BIO* const in = BIO_new(BIO_s_mem());
    BIO* const out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(tls(), in, out);
    SSL_set_connect_state(tls());
    SSL_set_msg_callback(tls(), on_message);
    SSL_set_msg_callback_arg(tls(), this);
  }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  [[nodiscard]] SSL* tls() const { return tls_.get(); }
  void only(int version) {
    SSL_set_min_proto_version(tls(), version);
    SSL_set_max_proto_version(tls(), version);
  }

  /// @param receive_buffer_bytes  0: the system's default
  void connect(const boost::asio::ip::tcp::endpoint& server, int receive_buffer_bytes = 0) {
    socket_.open(server.protocol());
    if (receive_buffer_bytes > 0) {
      socket_.set_option(boost::asio::socket_base::receive_buffer_size(receive_buffer_bytes));
    }
    socket_.connect(server);
    socket_.non_blocking(true);
    socket_.set_option(boost::asio::ip::tcp::no_delay(true));
  }
  /// Shakes hands, and sends its last flight unless @p holds_last.
  void shake_hands(bool holds_last = false) {
    until([&] {
      if (SSL_is_init_finished(tls()) == 0) SSL_do_handshake(tls());
      if (SSL_is_init_finished(tls()) == 0 || !holds_last) send(take_output());
      return SSL_is_init_finished(tls()) != 0;
    });
  }

  // --- to the server ---

  /// The bytes on the wire of what OpenSSL has written.
  [[nodiscard]] std::string take_output() const {
    BIO* const out = SSL_get_wbio(tls());
    std::string bytes(BIO_ctrl_pending(out), '\0');
    if (!bytes.empty()) BIO_read(out, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  [[nodiscard]] std::string encrypt(std::string_view text) const {
    std::size_t n = 0;
    if (SSL_write_ex(tls(), text.data(), text.size(), &n) != 1 || n != text.size()) {
      throw std::runtime_error("TlsPeer: OpenSSL does not write");  // also off the main thread
    }
    return take_output();
  }
  /// Sends bytes as they are, as soon as the socket takes them.
  void send(std::string bytes) {
    pending_ += bytes;
    pump();
  }
  /// Sends bytes as they are, one at a time: the server reads each by itself.
  void trickle(const std::string& bytes) {
    for (const char byte : bytes) {
      send(std::string(1, byte));
      testing::run_ready(context_);
    }
  }
  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }
  void shutdown_send() { socket_.shutdown(boost::asio::socket_base::shutdown_send); }

  // --- from the server ---

  /// Reads and writes what the socket has and takes.
  void pump() {
    boost::system::error_code error;
    if (!pending_.empty()) {
      pending_.erase(0, socket_.write_some(boost::asio::buffer(pending_), error));
    }
    std::array<char, 65'536> buffer;
    while (!is_paused) {
      const std::size_t n = socket_.read_some(boost::asio::buffer(buffer), error);
      if (n == 0) break;
      BIO_write(SSL_get_rbio(tls()), buffer.data(), static_cast<int>(n));
    }
    if (error == boost::asio::error::eof || error == boost::asio::error::connection_reset) {
      is_gone = true;
    }
    if (SSL_is_init_finished(tls()) == 0) return;
    for (std::size_t n = 0; SSL_read_ex(tls(), buffer.data(), buffer.size(), &n) == 1;) {
      received.append(buffer.data(), n);
    }
  }
  /// Runs the server until @p predicate is true.
  template <class Predicate>
  void until(Predicate predicate) {
    testing::run_until(context_, [&] {
      pump();
      return predicate();
    });
  }
  [[nodiscard]] bool got_close_notify() const {
    return (SSL_get_shutdown(tls()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }

  std::string received;          ///< The plaintext.
  std::vector<int> key_updates;  ///< 0: sent, 1: received.
  std::vector<int> alerts;       ///< Descriptions of alerts that came.
  bool is_paused = false;        ///< Reads nothing meanwhile.
  bool is_gone = false;          ///< The server has closed the socket.

 private:
  struct Free {
    void operator()(SSL* tls) const { SSL_free(tls); }
  };

  static void on_message(int is_write, int, int type, const void* data, std::size_t size, SSL*,
                         void* argument) {
    auto& self = *static_cast<TlsPeer*>(argument);
    const auto* const bytes = static_cast<const unsigned char*>(data);
    if (type == SSL3_RT_HANDSHAKE && size > 0 && bytes[0] == SSL3_MT_KEY_UPDATE) {
      self.key_updates.push_back(is_write != 0 ? 0 : 1);
    }
    if (type == SSL3_RT_ALERT && size > 1 && is_write == 0) self.alerts.push_back(bytes[1]);
  }

  boost::asio::io_context& context_;
  boost::asio::ssl::context tls_context_ = client_tls();
  const std::unique_ptr<SSL, Free> tls_{SSL_new(tls_context_.native_handle())};
  boost::asio::ip::tcp::socket socket_;
  std::string pending_;
};

}  // namespace roost::test
