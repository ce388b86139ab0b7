// Shows: live cursors. Everybody on a board sees the others' pointers; only the latest position of
//        a pointer counts, so a slow client skips positions instead of falling behind.
// Run:   cmake --build build/chat --target cursors && build/chat/examples/cursors [PORT]
// Try:   python3 -m websockets ws://127.0.0.1:8080/boards/plan in two terminals. Type
//        {"x": 1, "y": 2} in one of them; the other prints {"id":"...","x":1,"y":2}.
//
// `sh cmake/chat.sh` makes the folder build/chat. The default port is 8080.

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <roost/beast.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "port.hpp"

using boost::asio::awaitable;
using nlohmann::json;
using Ws = roost::BeastWebSocket;
using Manager = roost::ConnectionManager<Ws>;

bool is_position(const json& at) {
  return at.is_object() && at.contains("x") && at["x"].is_number() && at.contains("y") &&
         at["y"].is_number();
}

// The parser refuses some texts that are legal JSON (RFC 8259): a string with half of an emoji that
// the client has cut in two, or a number that is too large for a `double`. Such a text must not end
// the session, so it is skipped.
bool may_be_legal(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  if (text.find_first_not_of(space) == std::string_view::npos) return false;
  text.remove_prefix(text.find_first_not_of(space));
  text = text.substr(0, text.find_last_not_of(space) + 1);
  if (text.find_first_not_of("0123456789+-.eE") == std::string_view::npos) return true;
  const std::pair ends{text.front(), text.back()};
  return text.size() > 1 && (ends == std::pair('{', '}') || ends == std::pair('[', ']') ||
                             ends == std::pair('"', '"'));
}

awaitable<void> serve(Manager& manager, roost::Upgrade upgrade) {
  const auto board = upgrade.path_after("/boards/");
  if (!board) {
    co_await upgrade.reject(404);
    co_return;
  }
  auto socket = co_await upgrade.accept();
  auto handler = [&](Manager::ConnectionPtr self) -> awaitable<void> {
    for (;;) {
      // A position is short. A client that sends a longer message is closed with 1009.
      const std::string text = co_await manager.receive_text(*self, /*max_bytes=*/256);
      const json at = json::parse(text, nullptr, /*allow_exceptions=*/false);
      if (at.is_discarded() && may_be_legal(text)) continue;
      if (!is_position(at)) {
        const auto code = at.is_discarded() ? roost::close_code::invalid_payload
                                            : roost::close_code::policy_violation;
        co_await manager.close(self->id(), code, "x and y wanted");
        co_return;
      }
      const json moved = {{"id", self->id()}, {"x", at["x"]}, {"y", at["y"]}};
      // With a key, a position replaces the previous one of this pointer where that is still
      // queued.
      co_await manager.broadcast_json(moved,
                                      {.room = *board, .exclude = self->id(), .key = self->id()});
    }
  };
  co_await manager.session(socket, {.rooms = *board}, handler);
}

int main(int argc, char** argv) {
  boost::asio::io_context context(1);
  auto& service = roost::init_websockets<Ws>(context);
  Manager& manager = service.manager();
  manager.on_left([&](Manager::ConnectionPtr self, std::string_view board) {
    const json gone = {{"id", self->id()}};  // without a position: remove the pointer
    manager.post_json(gone, {.room = board});
  });
  const auto handler = [&](roost::Upgrade upgrade) { return serve(manager, std::move(upgrade)); };
  auto listener = roost::listen(manager, endpoint_of(argc, argv), {}, handler);
  service.shutdown_on_signals({SIGINT, SIGTERM});
  say("cursors: ws://", listener.local_endpoint(), '/');
  context.run();
}
