// SPDX-License-Identifier: MIT
// A well-behaved client: Beast's own, with a read always outstanding.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <roost/message.hpp>
#include <string>
#include <utility>
#include <vector>

namespace roost::test {

class BeastClient {
 public:
  using Stream = boost::beast::websocket::stream<boost::asio::ip::tcp::socket>;
  using Response = boost::beast::websocket::response_type;

  /// Connects at once; the handshake follows when @p executor runs.
  BeastClient(const boost::asio::any_io_executor& executor,
              const boost::asio::ip::tcp::endpoint& server, std::string target,
              std::string subprotocols = {})
      : state_(std::make_shared<State>(executor)) {
    state_->stream.next_layer().connect(server);
    state_->stream.next_layer().set_option(boost::asio::ip::tcp::no_delay(true));
    boost::asio::co_spawn(executor, run(state_, std::move(target), std::move(subprotocols)),
                          boost::asio::detached);
  }
  BeastClient(BeastClient&&) noexcept = default;
  BeastClient& operator=(BeastClient&&) = delete;
  ~BeastClient() {
    boost::system::error_code ignored;
    if (state_) state_->stream.next_layer().close(ignored);
  }

  void send_text(std::string text) { state_->send({true, std::move(text)}); }
  void send_bytes(std::string bytes) { state_->send({false, std::move(bytes)}); }
  void close(std::uint16_t code, const std::string& reason = {}) {
    boost::asio::co_spawn(
        state_->stream.get_executor(),
        run_close(state_, {static_cast<boost::beast::websocket::close_code>(code), reason}),
        boost::asio::detached);
  }

  bool is_open() const { return state_->is_open; }
  /// The conversation is over, in whichever way.
  bool is_over() const { return state_->error.failed(); }
  /// Why: `boost::beast::websocket::error::closed` if it was by a close frame.
  const boost::system::error_code& error() const { return state_->error; }
  /// Its `close` was answered by the server.
  bool is_answered() const { return state_->is_answered; }
  std::uint16_t close_code() const { return state_->stream.reason().code; }
  std::string close_reason() const {
    const auto& reason = state_->stream.reason().reason;
    return {reason.data(), reason.size()};
  }
  const Response& response() const { return state_->response; }

  const std::vector<Message>& messages() const { return state_->messages; }
  std::vector<std::string> texts() const {
    std::vector<std::string> found;
    for (const Message& message : messages()) {
      if (message.is_text) found.push_back(message.payload);
    }
    return found;
  }

 private:
  struct State : std::enable_shared_from_this<State> {
    explicit State(const boost::asio::any_io_executor& executor)
        : stream(boost::asio::ip::tcp::socket(executor)) {
      stream.read_message_max(0);
    }
    void send(Message message) {
      outgoing.push_back(std::move(message));
      if (is_open) write();
    }
    void write() {
      if (outgoing.empty() || std::exchange(is_writing, true)) return;
      boost::asio::co_spawn(stream.get_executor(), run_writes(shared_from_this()),
                            boost::asio::detached);
    }

    Stream stream;
    Response response;
    bool is_open = false;
    bool is_writing = false;
    bool is_answered = false;
    std::deque<Message> outgoing;
    std::vector<Message> messages;
    boost::system::error_code error;
  };

  static auto catching(boost::system::error_code& error) {
    return boost::asio::redirect_error(boost::asio::use_awaitable, error);
  }

  static boost::asio::awaitable<void> run(std::shared_ptr<State> self, std::string target,
                                          std::string subprotocols) {
    self->stream.set_option(boost::beast::websocket::stream_base::decorator(
        [subprotocols](boost::beast::websocket::request_type& request) {
          if (subprotocols.empty()) return;
          request.set(boost::beast::http::field::sec_websocket_protocol, subprotocols);
        }));
    co_await self->stream.async_handshake(self->response, "127.0.0.1", target,
                                          catching(self->error));
    if (self->error) co_return;
    self->is_open = true;
    self->write();
    boost::beast::flat_buffer buffer;
    for (;;) {
      co_await self->stream.async_read(buffer, catching(self->error));
      if (self->error) break;
      const auto data = buffer.cdata();
      self->messages.push_back({self->stream.got_text(),
                                std::string(static_cast<const char*>(data.data()), data.size())});
      buffer.clear();
    }
    self->is_open = false;
  }

  static boost::asio::awaitable<void> run_writes(std::shared_ptr<State> self) {
    boost::system::error_code error;
    while (!error && !self->outgoing.empty()) {
      const Message message = std::move(self->outgoing.front());
      self->outgoing.pop_front();
      self->stream.text(message.is_text);
      co_await self->stream.async_write(boost::asio::buffer(message.payload), catching(error));
    }
    self->is_writing = false;
  }

  static boost::asio::awaitable<void> run_close(std::shared_ptr<State> self,
                                                boost::beast::websocket::close_reason reason) {
    boost::system::error_code error;
    co_await self->stream.async_close(reason, catching(error));
    self->is_answered = !error;
  }

  std::shared_ptr<State> state_;
};

}  // namespace roost::test
