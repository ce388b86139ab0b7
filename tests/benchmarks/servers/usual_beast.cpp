// SPDX-License-Identifier: MIT
// Naive Beast: one coroutine per reader, one writer coroutine draining a queue with ws.async_write
// per message.
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
namespace net = boost::asio;
namespace beast = boost::beast;
namespace ws = beast::websocket;
using tcp = net::ip::tcp;
using Stream = ws::stream<net::basic_stream_socket<tcp, net::io_context::executor_type>>;
struct Session {
  Stream s;
  std::deque<std::shared_ptr<const std::string>> q;
  bool writing = false;
  Session(net::basic_stream_socket<tcp, net::io_context::executor_type> x) : s(std::move(x)) {}
};
std::unordered_map<std::string, std::set<std::shared_ptr<Session>>> rooms;
net::awaitable<void, net::io_context::executor_type> writer(std::shared_ptr<Session> c) {
  try {
    while (!c->q.empty()) {
      auto m = c->q.front();
      co_await c->s.async_write(net::buffer(*m),
                                net::use_awaitable_t<net::io_context::executor_type>());
      c->q.pop_front();
    }
  } catch (...) {
  }
  c->writing = false;
}
net::awaitable<void, net::io_context::executor_type> session(
    net::basic_stream_socket<tcp, net::io_context::executor_type> sock) {
  net::use_awaitable_t<net::io_context::executor_type> ua;
  sock.set_option(tcp::no_delay(true));
  auto c = std::make_shared<Session>(std::move(sock));
  std::string room;
  beast::flat_buffer b;
  try {
    beast::http::request<beast::http::string_body> req;
    co_await beast::http::async_read(c->s.next_layer(), b, req, ua);
    room = std::string(req.target().substr(4));
    co_await c->s.async_accept(req, ua);
    c->s.text(true);
    b.clear();
    rooms[room].insert(c);
    for (;;) {
      co_await c->s.async_read(b, ua);
      auto m = std::make_shared<const std::string>(beast::buffers_to_string(b.data()));
      b.clear();
      for (auto& t : rooms[room]) {
        t->q.push_back(m);
        if (!t->writing) {
          t->writing = true;
          net::co_spawn(t->s.get_executor(), writer(t), net::detached);
        }
      }
    }
  } catch (...) {
  }
  rooms[room].erase(c);
}
net::awaitable<void, net::io_context::executor_type> listen(net::io_context& io,
                                                            unsigned short port) {
  net::basic_socket_acceptor<tcp, net::io_context::executor_type> a(io, {tcp::v4(), port});
  for (;;) {
    auto s = co_await a.async_accept(net::use_awaitable_t<net::io_context::executor_type>());
    net::co_spawn(io, session(std::move(s)), net::detached);
  }
}
int main(int ac, char** av) {
  net::io_context io(1);
  net::co_spawn(io, listen(io, ac > 1 ? atoi(av[1]) : 9003), net::detached);
  io.run();
}
