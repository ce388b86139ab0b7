// SPDX-License-Identifier: MIT
// The usual Beast: a coroutine that reads, a queue per session, and a coroutine that drains it with
// an async_write per message. Types without type erasure, so that Asio costs what it must and no
// more. No backpressure and no pings.
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <boost/beast/ssl.hpp>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace asio = boost::asio;
namespace beast = boost::beast;
using Executor = asio::io_context::executor_type;
using Tcp = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Tls = asio::ssl::stream<Tcp>;
using Awaitable = asio::awaitable<void, Executor>;
constexpr asio::use_awaitable_t<Executor> use_awaitable;

template <class Next>
struct Session {
  explicit Session(Next next) : stream(std::move(next)) {}

  beast::websocket::stream<Next> stream;
  std::deque<std::shared_ptr<const std::string>> queue;
  bool is_writing = false;
};

template <class Next>
using SessionPtr = std::shared_ptr<Session<Next>>;
template <class Next>
std::unordered_map<std::string, std::set<SessionPtr<Next>>> rooms;

template <class Next>
Awaitable write(SessionPtr<Next> session) {
  try {
    while (!session->queue.empty()) {
      const auto message = session->queue.front();
      co_await session->stream.async_write(asio::buffer(*message), use_awaitable);
      session->queue.pop_front();
    }
  } catch (const std::exception&) {
  }
  session->is_writing = false;
}

template <class Next>
void broadcast(const std::string& room, const std::shared_ptr<const std::string>& message) {
  for (const auto& session : rooms<Next>[room]) {
    session->queue.push_back(message);
    if (session->is_writing) continue;
    session->is_writing = true;
    asio::co_spawn(session->stream.get_executor(), write<Next>(session), asio::detached);
  }
}

bool compresses = false;

template <class Next>
Awaitable serve(Next next) {
  beast::get_lowest_layer(next).set_option(asio::ip::tcp::no_delay(true));
  const auto session = std::make_shared<Session<Next>>(std::move(next));
  std::string room;
  beast::flat_buffer buffer;
  try {
    if constexpr (std::is_same_v<Next, Tls>) {
      co_await session->stream.next_layer().async_handshake(asio::ssl::stream_base::server,
                                                            use_awaitable);
    }
    beast::http::request<beast::http::string_body> request;
    co_await beast::http::async_read(session->stream.next_layer(), buffer, request, use_awaitable);
    room = std::string(request.target().substr(4));
    beast::websocket::permessage_deflate deflate;
    deflate.server_enable = compresses;
    session->stream.set_option(deflate);
    co_await session->stream.async_accept(request, use_awaitable);
    session->stream.text(true);
    buffer.clear();
    rooms<Next>[room].insert(session);
    for (;;) {
      co_await session->stream.async_read(buffer, use_awaitable);
      const auto message =
          std::make_shared<const std::string>(beast::buffers_to_string(buffer.data()));
      buffer.clear();
      broadcast<Next>(room, message);
    }
  } catch (const std::exception&) {
  }
  rooms<Next>[room].erase(session);
}

Awaitable listen(asio::io_context& context, unsigned short port, asio::ssl::context* tls) {
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor(context,
                                                                {asio::ip::tcp::v4(), port});
  for (;;) {
    Tcp socket = co_await acceptor.async_accept(use_awaitable);
    if (tls) {
      asio::co_spawn(context, serve(Tls(std::move(socket), *tls)), asio::detached);
    } else {
      asio::co_spawn(context, serve(std::move(socket)), asio::detached);
    }
  }
}

// usual_beast PORT [--deflate | CERTIFICATE KEY]
int main(int argc, char** argv) {
  compresses = argc == 3;
  asio::io_context context(1);
  asio::ssl::context tls(asio::ssl::context::tls_server);
  if (argc > 3) {
    tls.use_certificate_chain_file(argv[2]);
    tls.use_private_key_file(argv[3], asio::ssl::context::pem);
  }
  const auto port = static_cast<unsigned short>(argc > 1 ? std::atoi(argv[1]) : 9003);
  asio::co_spawn(context, listen(context, port, argc > 3 ? &tls : nullptr), asio::detached);
  context.run();
}
