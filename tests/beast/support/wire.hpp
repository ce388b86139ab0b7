// SPDX-License-Identifier: MIT
// One TCP connection in memory: what the kernels at its two ends would hold of it. It is as strict
// as TCP may be: whatever a reset may throw away is thrown away.
#pragma once

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <roost/runtime/detail/wait.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roost::test {

class Wire {
 public:
  using error_code = boost::system::error_code;

  /// @param capacity  how many bytes a client that does not read lets the server write
  explicit Wire(std::size_t capacity) : capacity_(capacity) {}

  // --- the server's end; none of this waits ---

  bool is_readable() const { return is_reset_ || client_has_shut_ || !to_server_.empty(); }
  bool is_writable() const {
    return is_reset_ || client_has_shut_ || to_client_.size() < capacity_;
  }

  std::vector<char> read(std::size_t max, error_code& error) {
    if (is_reset_) return error = boost::asio::error::connection_reset, std::vector<char>();
    if (to_server_.empty()) {
      error = client_has_shut_ ? error_code(boost::asio::error::eof)
                               : error_code(boost::asio::error::would_block);
      return {};
    }
    const std::size_t n = std::min(max, to_server_.size());
    const std::vector<char> data(to_server_.begin(),
                                 to_server_.begin() + static_cast<std::ptrdiff_t>(n));
    to_server_.erase(0, n);
    return data;
  }

  std::size_t write(std::span<const boost::asio::const_buffer> buffers, std::size_t max,
                    error_code& error) {
    if (is_reset_) return error = boost::asio::error::connection_reset, 0;
    if (client_has_shut_ || server_has_shut_) return error = boost::asio::error::broken_pipe, 0;
    std::size_t room = std::min(max, capacity_ - to_client_.size());
    std::size_t written = 0;
    for (const auto& buffer : buffers) {
      const std::size_t n = std::min(room, buffer.size());
      to_client_.append(static_cast<const char*>(buffer.data()), n);
      written += n;
      room -= n;
    }
    if (written == 0) error = boost::asio::error::would_block;
    return written;
  }

  void shut_server() {
    server_has_shut_ = true;
    server_changed.notify_all();
  }
  /// With bytes that the server has not read this is a reset, as the kernel does it.
  void close_server() {
    if (!std::exchange(server_is_open_, false)) return;
    if (!to_server_.empty()) return reset();
    shut_server();
  }
  void abort_server() {
    if (std::exchange(server_is_open_, false)) reset();
  }
  bool server_is_open() const { return server_is_open_; }

  /// Notified when the server's end may be more ready than it was.
  detail::WaitList server_changed;

  // --- the client's end ---

  void send(std::string_view bytes) {
    if (is_reset_ || client_has_shut_) return;
    if (!server_is_open_) return reset();
    to_server_.append(bytes);
    server_changed.notify_all();
  }
  /// All that has arrived.
  std::string receive() {
    std::string bytes = std::exchange(to_client_, {});
    if (!bytes.empty()) server_changed.notify_all();
    return bytes;
  }
  bool is_at_end() const { return server_has_shut_ && to_client_.empty(); }
  bool is_reset() const { return is_reset_; }
  void shut_client() {
    client_has_shut_ = true;
    server_changed.notify_all();
  }

  /// By either end, or by the network.
  void reset() {
    is_reset_ = true;
    to_server_.clear();
    to_client_.clear();
    server_changed.notify_all();
  }

 private:
  const std::size_t capacity_;
  std::string to_server_;
  std::string to_client_;
  bool server_is_open_ = true;
  bool server_has_shut_ = false;
  bool client_has_shut_ = false;
  bool is_reset_ = false;
};

}  // namespace roost::test
