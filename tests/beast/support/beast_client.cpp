// SPDX-License-Identifier: MIT
#include "beast/support/beast_client.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>
#include <utility>

namespace roost::test {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;

namespace {

auto catching(boost::system::error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

}  // namespace

// Kept by its operations under way.
struct BeastClient::State : std::enable_shared_from_this<State> {
  explicit State(const asio::any_io_executor& executor) : stream(asio::ip::tcp::socket(executor)) {
    stream.read_message_max(0);
  }

  void send(Message message) {
    outgoing.push_back(std::move(message));
    if (is_open) write();
  }
  void write() {
    if (outgoing.empty() || std::exchange(is_writing, true)) return;
    co_spawn(stream.get_executor(), run_writes(shared_from_this()), asio::detached);
  }

  static asio::awaitable<void> run(std::shared_ptr<State> self, std::string target,
                                   std::string subprotocols) {
    self->stream.set_option(
        websocket::stream_base::decorator([subprotocols](websocket::request_type& request) {
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

  static asio::awaitable<void> run_writes(std::shared_ptr<State> self) {
    boost::system::error_code error;
    while (!error && !self->outgoing.empty()) {
      const Message message = std::move(self->outgoing.front());
      self->outgoing.pop_front();
      self->stream.text(message.is_text);
      co_await self->stream.async_write(asio::buffer(message.payload), catching(error));
    }
    self->is_writing = false;
  }

  static asio::awaitable<void> run_close(std::shared_ptr<State> self,
                                         websocket::close_reason reason) {
    boost::system::error_code error;
    co_await self->stream.async_close(reason, catching(error));
    self->is_answered = !error;
  }

  websocket::stream<asio::ip::tcp::socket> stream;
  Response response;
  bool is_open = false;
  bool is_writing = false;
  bool is_answered = false;
  std::deque<Message> outgoing;
  std::vector<Message> messages;
  boost::system::error_code error;
};

BeastClient::BeastClient(const asio::any_io_executor& executor,
                         const asio::ip::tcp::endpoint& server, std::string target,
                         const BeastClientOptions& options)
    : state_(std::make_shared<State>(executor)) {
  state_->stream.next_layer().connect(server);
  state_->stream.next_layer().set_option(asio::ip::tcp::no_delay(true));
  websocket::permessage_deflate deflate;
  deflate.client_enable = options.compresses;
  state_->stream.set_option(deflate);
  co_spawn(executor, State::run(state_, std::move(target), options.subprotocols), asio::detached);
}

BeastClient::~BeastClient() {
  boost::system::error_code ignored;
  if (state_) state_->stream.next_layer().close(ignored);
}

void BeastClient::send_text(std::string text) { state_->send({true, std::move(text)}); }
void BeastClient::send_bytes(std::string bytes) { state_->send({false, std::move(bytes)}); }
void BeastClient::close(std::uint16_t code, const std::string& reason) {
  co_spawn(state_->stream.get_executor(),
           State::run_close(state_, {static_cast<websocket::close_code>(code), reason}),
           asio::detached);
}

bool BeastClient::is_open() const { return state_->is_open; }
const boost::system::error_code& BeastClient::error() const { return state_->error; }
bool BeastClient::is_answered() const { return state_->is_answered; }
std::uint16_t BeastClient::close_code() const { return state_->stream.reason().code; }
std::string BeastClient::close_reason() const {
  const auto& reason = state_->stream.reason().reason;
  return {reason.data(), reason.size()};
}
const BeastClient::Response& BeastClient::response() const { return state_->response; }

const std::vector<Message>& BeastClient::messages() const { return state_->messages; }
std::vector<std::string> BeastClient::texts() const {
  std::vector<std::string> found;
  for (const Message& message : messages()) {
    if (message.is_text) found.push_back(message.payload);
  }
  return found;
}

}  // namespace roost::test
