// SPDX-License-Identifier: MIT
// A client that knows TCP only: it says what it likes, reads when it likes, leaves as it likes.
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "beast/support/frames.hpp"
#include "catch.hpp"

namespace roost::test {

/// What a server answers to an HTTP request.
struct HttpReply {
  int status = 0;
  std::string head;
  std::string body;

  /// In lower case, as the name is to be given.
  std::optional<std::string> header(const std::string& name) const {
    std::string lower = head;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const std::size_t start = lower.find("\r\n" + name + ": ");
    if (start == std::string::npos) return std::nullopt;
    const std::size_t value = start + name.size() + 4;
    return head.substr(value, lower.find("\r\n", value) - value);
  }
  bool has_whole_body() const { return header("content-length") == std::to_string(body.size()); }
};

/// A request for a WebSocket. @p headers are whole lines with their line breaks.
inline std::string upgrade_request(std::string_view target = "/", std::string_view headers = {}) {
  return std::string("GET ")
      .append(target)
      .append(
          " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
      .append(headers)
      .append("\r\n");
}

struct RawClientOptions {
  /// What the kernel keeps for a client that does not read. 0: the system's default.
  int receive_buffer_bytes = 0;
};

class RawClient {
 public:
  RawClient(boost::asio::io_context& context, const boost::asio::ip::tcp::endpoint& server,
            const RawClientOptions& options = {})
      : state_(std::make_shared<State>(context)) {
    auto& socket = state_->socket;
    socket.open(server.protocol());
    if (options.receive_buffer_bytes > 0) {
      socket.set_option(
          boost::asio::socket_base::receive_buffer_size(options.receive_buffer_bytes));
    }
    socket.connect(server);
    socket.non_blocking(true);
    socket.set_option(boost::asio::ip::tcp::no_delay(true));
    state_->read();
  }
  RawClient(RawClient&&) noexcept = default;
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() {
    if (state_) close();
  }

  // --- to the server ---

  void send(std::string bytes) {
    state_->outgoing.push_back(std::move(bytes));
    if (!std::exchange(state_->is_writing, true)) state_->write();
  }
  /// What the kernel has not taken yet.
  std::size_t unsent() const {
    std::size_t n = 0;
    for (const std::string& bytes : state_->outgoing) n += bytes.size();
    return n - state_->written;
  }
  /// Nothing more will be sent, but answers are still read.
  void shutdown_send() {
    boost::system::error_code ignored;
    state_->socket.shutdown(boost::asio::socket_base::shutdown_send, ignored);
  }
  void close() {
    boost::system::error_code ignored;
    state_->forget_outgoing();
    state_->socket.close(ignored);
  }
  /// Goes without a word: the server gets a reset.
  void vanish() {
    boost::system::error_code ignored;
    state_->socket.set_option(boost::asio::socket_base::linger(true, 0), ignored);
    close();
  }

  // --- from the server ---

  void stop_reading() { state_->allowance = 0; }
  /// Reads at most so much more.
  void read_more(std::size_t n) {
    state_->allowance = n;
    state_->read();
  }
  void resume_reading() { read_more(std::numeric_limits<std::size_t>::max()); }

  std::size_t bytes_read() const { return state_->bytes_read; }
  /// The server has closed its side, and all before that has arrived.
  bool is_at_end() const { return state_->end == boost::asio::error::eof; }
  bool is_reset() const { return state_->end == boost::asio::error::connection_reset; }
  bool is_gone() const { return state_->end.failed(); }
  boost::asio::ip::tcp::endpoint local_endpoint() const { return state_->socket.local_endpoint(); }

  /// The head of the answer, once it is there; the body may still be on its way.
  const std::optional<HttpReply>& reply() const { return state_->reply; }
  bool is_upgraded() const { return state_->reply && state_->reply->status == 101; }

  const std::vector<ServerFrame>& frames() const { return state_->parser.frames(); }
  const FrameParser& parser() const { return state_->parser; }
  std::vector<std::string> texts() const { return payloads(Opcode::text); }
  std::vector<std::string> payloads(Opcode opcode) const {
    std::vector<std::string> found;
    for (const ServerFrame& frame : frames()) {
      if (frame.opcode == opcode) found.push_back(frame.payload);
    }
    return found;
  }
  std::size_t count(Opcode opcode) const {
    return static_cast<std::size_t>(
        std::count_if(frames().begin(), frames().end(),
                      [opcode](const ServerFrame& frame) { return frame.opcode == opcode; }));
  }
  /// The close frame, if that has come.
  std::optional<ServerFrame> closed_with() const {
    if (frames().empty() || frames().back().opcode != Opcode::close) return std::nullopt;
    return frames().back();
  }

 private:
  // Kept by its operations under way.
  struct State : std::enable_shared_from_this<State> {
    explicit State(boost::asio::io_context& context) : socket(context) {}

    void read() {
      if (allowance == 0 || end || std::exchange(is_reading, true)) return;
      socket.async_wait(boost::asio::socket_base::wait_read,
                        [self = shared_from_this()](boost::system::error_code error) {
                          self->is_reading = false;
                          if (!error) self->take();
                        });
    }
    void take() {
      if (allowance == 0) return;
      static std::array<char, 65'536> buffer;
      boost::system::error_code error;
      const std::size_t n = socket.read_some(
          boost::asio::buffer(buffer.data(), std::min(allowance, buffer.size())), error);
      if (allowance != std::numeric_limits<std::size_t>::max()) allowance -= n;
      bytes_read += n;
      understand(std::string_view(buffer.data(), n));
      if (error && error != boost::asio::error::would_block) end = error;
      read();
    }
    void understand(std::string_view bytes) {
      if (!reply) {
        head.append(bytes);
        const std::size_t size = head.find("\r\n\r\n");
        if (size == std::string::npos) return;
        const std::string rest = head.substr(size + 4);
        reply = HttpReply{
            .status = std::stoi(head.substr(9, 3)), .head = head.substr(0, size + 2), .body = {}};
        if (reply->header("sec-websocket-extensions")) parser.allow_compression();
        return understand(rest);
      }
      if (reply->status == 101) {
        parser.feed(bytes);
      } else {
        reply->body.append(bytes);
      }
    }
    void write() {
      if (outgoing.empty()) {
        is_writing = false;
        return;
      }
      socket.async_write_some(
          boost::asio::buffer(outgoing.front()) + written,
          [self = shared_from_this()](boost::system::error_code error, std::size_t n) {
            if (error) return self->forget_outgoing();
            self->written += n;
            if (self->written == self->outgoing.front().size()) {
              self->outgoing.pop_front();
              self->written = 0;
            }
            self->write();
          });
    }
    void forget_outgoing() {
      // An operation under way may still point there.
      if (outgoing.size() > 1) outgoing.erase(outgoing.begin() + 1, outgoing.end());
      if (!outgoing.empty()) written = outgoing.front().size();
    }

    boost::asio::ip::tcp::socket socket;
    std::deque<std::string> outgoing;
    std::size_t written = 0;  // of the first
    bool is_writing = false;
    bool is_reading = false;
    std::size_t allowance = std::numeric_limits<std::size_t>::max();
    std::size_t bytes_read = 0;
    boost::system::error_code end;
    std::string head;
    std::optional<HttpReply> reply;
    FrameParser parser;
  };

  std::shared_ptr<State> state_;
};

}  // namespace roost::test
