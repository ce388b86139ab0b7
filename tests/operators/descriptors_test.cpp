// SPDX-License-Identifier: MIT
// A program that a server starts gets none of the server's descriptors.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "beast/support/server.hpp"

namespace roost {
namespace {

using namespace test;

bool is_inherited(int descriptor) { return (::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0; }

/// The sockets, and what Asio and roost need to wait for them, that a program would inherit.
std::set<int> inherited() {
  std::set<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string what = std::filesystem::read_symlink(entry.path(), gone).string();
    const bool is_ours = what.starts_with("socket:") || what.starts_with("anon_inode:");
    const int descriptor = std::stoi(entry.path().filename());
    if (is_ours && is_inherited(descriptor)) found.insert(descriptor);
  }
  return found;
}

TEST_CASE("a server has no descriptor that a program would inherit", "[descriptors]") {
  const std::set<int> before = inherited();
  Server server;
  CHECK(inherited() == before);
  RawClient client = server.join("alice");
  std::set<int> now = inherited();
  for (const int descriptor : before) now.erase(descriptor);
  CHECK(now.size() == 1);  // the client's own
}

TEST_CASE("a socket that is handed over is kept from programs too", "[descriptors]") {
  boost::asio::io_context context;
  tcp::acceptor acceptor(context, any_port());
  tcp::socket client(context);
  client.connect(acceptor.local_endpoint());
  tcp::socket socket = acceptor.accept();
  const int descriptor = socket.native_handle();
  CHECK(is_inherited(descriptor));
  boost::beast::http::request<boost::beast::http::empty_body> request;
  request.version(11);
  request.method(boost::beast::http::verb::get);
  request.target("/");
  request.set("Connection", "Upgrade");
  request.set("Upgrade", "websocket");
  request.set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  request.set("Sec-WebSocket-Version", "13");
  const Upgrade upgrade(context.get_executor(), std::move(socket), request);
  CHECK_FALSE(is_inherited(descriptor));
}

}  // namespace
}  // namespace roost
