// The same peer over every kind of socket: what it does, and what it has seen.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <roost/beast/tls.hpp>
#include <roost/testing.hpp>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/wrapped.hpp"
#include "support/tls_contexts.hpp"

namespace roost::test {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

class FakePeer {
 public:
  using WebSocket = testing::FakeWebSocket;
  static constexpr bool has_network = false;

  FakePeer(asio::io_context&, Clock&) {}

  [[nodiscard]] std::shared_ptr<WebSocket> socket() const { return socket_; }
  void sends(Message message) { socket_->peer_sends(std::move(message)); }
  [[nodiscard]] std::vector<Message> received() const { return socket_->sent(); }
  void closes(std::uint16_t code, std::string reason) { socket_->peer_closes(code, reason); }
  void vanishes() { socket_->peer_vanishes(); }
  void stops_reading() {
    socket_->stall_sends();
    socket_->ignore_pings();
  }
  [[nodiscard]] std::optional<std::uint16_t> close_code() const { return socket_->close_code(); }
  [[nodiscard]] bool is_cut_off() const { return socket_->is_aborted(); }

 private:
  std::shared_ptr<WebSocket> socket_ = std::make_shared<WebSocket>();
};

/// A client over a stream of Beast's, with coroutines that outlive it on purpose.
template <class Stream>
struct Client {
  explicit Client(Stream s) : stream(std::move(s)) {}

  Stream stream;
  std::vector<Message> received;
  std::deque<Message> outbound;
  bool is_writing = false;
  bool is_reading = true;
  bool has_ended = false;

  static asio::awaitable<void> read_all(std::shared_ptr<Client> self) {
    beast::flat_buffer buffer;
    try {
      while (self->is_reading) {
        co_await self->stream.async_read(buffer, asio::use_awaitable);
        self->received.push_back(
            {self->stream.got_text(), beast::buffers_to_string(buffer.data())});
        buffer.clear();
      }
      co_return;
    } catch (const boost::system::system_error&) {
    }
    self->has_ended = true;
  }
  static asio::awaitable<void> write_all(std::shared_ptr<Client> self) {
    try {
      while (!self->outbound.empty()) {
        self->stream.text(self->outbound.front().is_text);
        co_await self->stream.async_write(asio::buffer(self->outbound.front().payload),
                                          asio::use_awaitable);
        self->outbound.pop_front();
      }
    } catch (const boost::system::system_error&) {
    }
    self->is_writing = false;
  }
};

struct Plain {
  using Next = tcp::socket;
  static Next next(tcp::socket socket) { return socket; }
  static asio::awaitable<void> handshake(Next&) { co_return; }
  static tcp::socket& lowest(Next& next) { return next; }
  static Listener listen(ConnectionManager<BeastWebSocket>& manager, ListenOptions options,
                         std::function<asio::awaitable<void>(Upgrade)> handler) {
    return roost::listen(manager, {asio::ip::address_v4::loopback(), 0}, std::move(options),
                         std::move(handler));
  }
};

struct Tls {
  using Next = asio::ssl::stream<tcp::socket>;
  static Next next(tcp::socket socket) {
    static asio::ssl::context context = client_tls();
    return {std::move(socket), context};
  }
  static asio::awaitable<void> handshake(Next& next) {
    co_await next.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
  }
  static tcp::socket& lowest(Next& next) { return next.next_layer(); }
  static Listener listen(ConnectionManager<BeastWebSocket>& manager, ListenOptions options,
                         std::function<asio::awaitable<void>(Upgrade)> handler) {
    static asio::ssl::context context = server_tls();
    return roost::listen(manager, {asio::ip::address_v4::loopback(), 0}, context,
                         std::move(options), std::move(handler));
  }
};

/// A peer over the loopback. The class that derives from it makes the server's end.
template <class Kind>
class BeastPeer {
 public:
  using WebSocket = BeastWebSocket;
  using Stream = beast::websocket::stream<typename Kind::Next>;
  static constexpr bool has_network = true;

  [[nodiscard]] std::shared_ptr<WebSocket> socket() {
    auto socket = std::move(socket_);  // the manager is to be its only owner
    return socket;
  }
  void sends(Message message) {
    client_->outbound.push_back(std::move(message));
    if (std::exchange(client_->is_writing, true)) return;
    co_spawn(context_, Client<Stream>::write_all(client_), asio::detached);
  }
  /// A frame of a message that is not complete.
  void sends_part(std::string text) {
    auto part = std::make_shared<std::string>(std::move(text));
    client_->stream.async_write_some(
        false, asio::buffer(*part),
        [client = client_, part](const beast::error_code&, std::size_t) {});
  }
  [[nodiscard]] const std::vector<Message>& received() const { return client_->received; }
  void closes(std::uint16_t code, std::string reason) {
    const beast::websocket::close_reason why(static_cast<beast::websocket::close_code>(code),
                                             reason.c_str());
    client_->stream.async_close(why, [client = client_](const beast::error_code&) {});
  }
  void vanishes() {
    tcp::socket& lowest = Kind::lowest(client_->stream.next_layer());
    lowest.set_option(asio::socket_base::linger(true, 0));
    lowest.close();
  }
  void stops_reading() { client_->is_reading = false; }
  [[nodiscard]] std::optional<std::uint16_t> close_code() const {
    if (!client_->has_ended || client_->stream.reason().code == 0) return std::nullopt;
    return client_->stream.reason().code;
  }
  [[nodiscard]] bool is_cut_off() const { return ended_without_close(); }

 protected:
  explicit BeastPeer(asio::io_context& context) : context_(context) {}

  void connect(std::uint16_t port) {
    co_spawn(context_, run_connect(*this, port), asio::detached);
    testing::run_until(context_, [&] { return client_ && socket_; });
    co_spawn(context_, Client<Stream>::read_all(client_), asio::detached);
  }

  asio::io_context& context_;
  std::shared_ptr<WebSocket> socket_;
  std::shared_ptr<Client<Stream>> client_;

 private:
  [[nodiscard]] bool ended_without_close() const {
    return client_->has_ended && client_->stream.reason().code == 0;
  }

  static asio::awaitable<void> run_connect(BeastPeer& self, std::uint16_t port) {
    tcp::socket socket(self.context_, tcp::v4());
    // Before it is connected: what the kernel holds for a peer that does not read is no more.
    socket.set_option(asio::socket_base::receive_buffer_size(65'536));
    const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
    co_await socket.async_connect(endpoint, asio::use_awaitable);
    Stream stream(Kind::next(std::move(socket)));
    co_await Kind::handshake(stream.next_layer());
    co_await stream.async_handshake("127.0.0.1", "/ws/contract", asio::use_awaitable);
    stream.read_message_max(0);
    self.client_ = std::make_shared<Client<Stream>>(std::move(stream));
  }
};

/// Accepted by `listen`, over TCP or TLS.
template <class Kind>
class ListenedPeer : public BeastPeer<Kind> {
 public:
  ListenedPeer(asio::io_context& context, Clock& clock)
      : BeastPeer<Kind>(context), doorman_(context.get_executor(), {.clock = &clock}) {
    ListenOptions options;
    options.stream.clock = &clock;
    const Listener listener = Kind::listen(
        doorman_, options, [this](Upgrade upgrade) { return accept(*this, std::move(upgrade)); });
    this->connect(listener.port());
  }

 private:
  static asio::awaitable<void> accept(ListenedPeer& self, Upgrade upgrade) {
    self.socket_ = co_await upgrade.accept();
  }

  ConnectionManager<BeastWebSocket> doorman_;  // lends its executor only
};

/// Accepted by Beast, and wrapped when it was open.
class WrappedPeer : public BeastPeer<Plain> {
 public:
  WrappedPeer(asio::io_context& context, Clock& clock) : BeastPeer<Plain>(context) {
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    const std::uint16_t port = acceptor.local_endpoint().port();
    co_spawn(context, accept(*this, std::move(acceptor), clock), asio::detached);
    this->connect(port);
  }

 private:
  static asio::awaitable<void> accept(WrappedPeer& self, tcp::acceptor acceptor, Clock& clock) {
    tcp::socket accepted = co_await acceptor.async_accept(asio::use_awaitable);
    const StreamOptions options{.clock = &clock};
    self.socket_ = co_await accept_wrapped(std::move(accepted), options);
  }
};

}  // namespace roost::test
