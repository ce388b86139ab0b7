// Shows: a Beast HTTP server with several threads that gets WebSocket rooms on the same port.
// Run:   cmake --build build/chat --target existing_server && build/chat/examples/existing_server
// Try:   curl http://127.0.0.1:8080/page
//        python3 -m websockets ws://127.0.0.1:8080/ws/lobby in two terminals
//
// `sh cmake/chat.sh` makes the folder build/chat. The only argument is the port, by default 8080.
//
// `+` marks what roost adds: a manager on a strand, and the branch that hands each upgrade over to
// it, with the bytes that were read after the request. `listen` would check the drain and the
// Origin by itself; here `chat` does.

#include <fcntl.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <csignal>
#include <roost/beast.hpp>
#include <thread>
#include <vector>

#include "port.hpp"

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using namespace std::chrono_literals;
using Service = roost::Service<roost::BeastWebSocket>;            // +
using Manager = roost::ConnectionManager<roost::BeastWebSocket>;  // +

// + One member of a room. Runs on the manager's strand, whichever thread accepted the socket.
asio::awaitable<void> chat(Manager& manager, roost::Upgrade upgrade) {
  const auto room = upgrade.path_after("/ws/");
  if (manager.is_draining()) {
    co_await upgrade.reject(503, {}, {.retry_after = 10s});
  } else if (!room || !manager.check_origin(upgrade)) {
    co_await upgrade.reject(room ? 403 : 404);
  } else {
    auto socket = co_await upgrade.accept();
    auto handler = [&](Manager::ConnectionPtr self) -> asio::awaitable<void> {
      while (auto text = co_await manager.next_text(*self)) {
        co_await manager.broadcast_text(*text, {.room = *room, .exclude = self->id()});
      }
    };
    co_await manager.session(socket, {.rooms = *room}, handler);
  }
}

// Serves one HTTP connection, until the client closes it or a request does not ask to keep it.
asio::awaitable<void> serve(Manager& manager, tcp::socket socket) try {
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer;
  for (bool keep_alive = true; keep_alive;) {
    stream.expires_after(30s);
    http::request_parser<http::string_body> parser;
    parser.header_limit(32 * 1024);  // Beast's default of 8 KiB is too small for many cookies
    co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
    const http::request<http::string_body> request = parser.release();
    if (roost::is_upgrade(request)) {  // +
      roost::Upgrade upgrade(manager.get_executor(), stream.release_socket(), request,
                             buffer.data());
      co_spawn(manager.get_executor(), chat(manager, std::move(upgrade)), asio::detached);
      co_return;
    }
    http::response<http::string_body> response(http::status::ok, request.version());
    response.body() = "You asked for " + std::string(request.target()) + "\n";
    response.keep_alive(request.keep_alive());
    response.prepare_payload();
    co_await http::async_write(stream, response, asio::use_awaitable);
    keep_alive = response.keep_alive();
  }
} catch (const boost::system::system_error&) {
  // The client has gone.
}

void log_accept_failed(const beast::error_code& error) {
  static const roost::Logger log = roost::log_to_stderr();  // It never blocks the event loop.
  const roost::LogField why("why", error.message());
  log({roost::Severity::error, "accept_failed", {&why, 1}});
}

// Keeps the sockets from programs that the server starts: such a program would keep the port in use
// and the connections open after the server has ended.
template <class Socket>
void close_on_exec(Socket& socket) {
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
}

// Goes on after every error. If it ended when no file descriptor is left, for example, the server
// would keep running without accepting anybody.
asio::awaitable<void> accept_all(Manager& manager, tcp::acceptor& acceptor) {
  asio::steady_timer pause(acceptor.get_executor());
  while (acceptor.is_open()) {
    auto strand = asio::make_strand(acceptor.get_executor());
    beast::error_code error;
    tcp::socket socket =
        co_await acceptor.async_accept(strand, asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      close_on_exec(socket);
      co_spawn(strand, serve(manager, std::move(socket)), asio::detached);
      continue;
    }
    log_accept_failed(error);
    pause.expires_after(100ms);  // until some connections have ended
    co_await pause.async_wait(asio::use_awaitable);
  }
}

// At a signal, `shutdown` tells the members when to reconnect. Then the server stops as before.
asio::awaitable<void> end_at_signal(asio::io_context& context, Service& service) {
  asio::signal_set signals(context, SIGINT, SIGTERM);
  co_await signals.async_wait(asio::use_awaitable);
  co_await service.shutdown();  // +
  context.stop();
}

int main(int argc, char** argv) {
  asio::io_context context;
  Manager manager(asio::make_strand(context),
                  {.allowed_origins = roost::OriginPolicy::same_host()});  // +
  Service& service = roost::init_websockets(context, manager);             // +
  tcp::acceptor acceptor(context, endpoint_of(argc, argv));
  close_on_exec(acceptor);
  say("existing_server: http://", acceptor.local_endpoint(), '/');
  co_spawn(context, accept_all(manager, acceptor), asio::detached);
  co_spawn(context, end_at_signal(context, service), asio::detached);

  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { context.run(); });
  context.run();
  for (std::thread& thread : threads) thread.join();
}
