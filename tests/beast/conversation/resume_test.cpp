// SPDX-License-Identifier: MIT
// Clients with and without a line for their position, compressed and not, over real sockets.
#include <roost/backplane/local_backplane.hpp>
#include <roost/beast/conversation/deflate.hpp>
#include <roost/roost.hpp>

#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "beast/support/server.hpp"
#include "catch.hpp"

namespace roost::test {
namespace {

/// A server whose room "lobby" has a history.
struct RecordingServer : Server {
  RecordingServer() : Server({.listen = {.stream = {.compression = Compression{}}}}) {
    on_upgrade = [this](Upgrade upgrade) { return serve_with_resume(std::move(upgrade)); };
    run(backplane.start());
  }

  RawClient come(bool is_compressed, const std::string& resume = {}) {
    return request("/?room=lobby" + resume, is_compressed
                                                ? "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                                                : std::string());
  }
  std::string say(const std::string& text) {
    return run(cluster.broadcast_text(text, {.room = "lobby"})).at.value();
  }
  std::size_t frames_memory() const { return manager.stats().outbox_memory; }

  awaitable<> serve_with_resume(Upgrade upgrade) {
    const std::optional<std::string> resume = upgrade.query("resume");
    std::shared_ptr<BeastWebSocket> socket = co_await upgrade.accept();
    ConnectOptions options{.rooms = "lobby"};
    if (resume) options.resume = *resume;
    const ConnectionPtr connection = co_await manager.connect(std::move(socket), options);
    try {
      co_await swallow(connection);
    } catch (const Error&) {  // it has left
    }
  }

  LocalHub hub{{.rules = {{.rooms = "*"}}}, clock};
  LocalBackplane backplane{context.get_executor(), hub};
  Cluster cluster = bind_manager(backplane, manager);
};

/// Text that is compressed to about three quarters.
std::string rough_text(std::size_t size) {
  std::mt19937 random(1);
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>('0' + random() % 64);
  return text;
}

std::string payload_of(const ServerFrame& frame) {
  if (!frame.is_compressed) return frame.payload;
  std::string deflated = frame.payload;
  std::string payload;
  REQUIRE(detail::inflate(deflated, payload, 0) == detail::Inflated::whole);
  return payload;
}

std::size_t compressed_size(const std::string& text) {
  return detail::deflated(Frame::text(text), detail::DeflateForm{}).size();
}

}  // namespace

TEST_CASE(
    "resume: a message exists once in each form, compressed and not, with a line and without") {
  RecordingServer server;
  // Runs between the fan-out of a message and the writing of its frames.
  std::size_t queued = 0;
  server.backplane.on([&](const nlohmann::json&) { queued = server.frames_memory(); });
  std::vector<RawClient> clients;
  constexpr std::size_t of_each = 4;
  for (std::size_t i = 0; i < 4 * of_each; ++i) {
    clients.push_back(server.come(i % 2 == 1, i % 4 >= 2 ? "&resume=" : ""));
  }
  const auto is_lined = [](std::size_t i) { return i % 4 >= 2; };
  server.until([&] {
    std::size_t joined = 0;
    for (const RawClient& client : clients) joined += client.count(Opcode::text);
    return joined == 2 * of_each && server.manager.total_connections() == clients.size();
  });
  std::vector<std::size_t> before;
  before.reserve(clients.size());
  for (const RawClient& client : clients) before.push_back(client.bytes_read());

  const std::string text = rough_text(20'000);
  const std::string lined = "lobby:" + server.say(text) + "\n" + text;
  server.until([&] {
    std::size_t got = 0;
    for (std::size_t i = 0; i < clients.size(); ++i) {
      got += clients[i].count(Opcode::text) - (is_lined(i) ? 1 : 0);
    }
    return got == clients.size();
  });
  for (std::size_t i = 0; i < clients.size(); ++i) {
    CAPTURE(i);
    const ServerFrame& frame = clients[i].frames().back();
    const std::string& expected = is_lined(i) ? lined : text;
    CHECK(frame.is_compressed == (i % 2 == 1));
    CHECK((payload_of(frame) == expected));
    // To clients without a line nothing else is sent than without a history.
    const std::size_t size = i % 2 == 1 ? compressed_size(expected) : Frame::text(expected).size();
    CHECK(clients[i].bytes_read() - before[i] == size);
  }
  const std::size_t once = Frame::text(text).size() + Frame::text(lined).size() +
                           compressed_size(text) + compressed_size(lined);
  CHECK(queued >= once);
  CHECK(queued < once + 5'000);  // the queues themselves
}

TEST_CASE("resume: clients that return one after another share what was compressed") {
  RecordingServer server;
  const std::string first = server.say("first");
  const std::string text = rough_text(20'000);
  const std::string lined = "lobby:" + server.say(text) + "\n" + text;
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(server.come(true, "&resume=lobby:" + first));
    const RawClient& client = clients.back();
    server.until([&] { return client.count(Opcode::text) == 2; });
    CHECK(payload_of(client.frames()[0]) == "lobby:" + first + " joined recovered");
    CHECK(client.frames()[1].is_compressed);
    CHECK((payload_of(client.frames()[1]) == lined));
    // The message as it came, and the form of these clients.
    const std::size_t once = Frame::text(text).size() + compressed_size(lined);
    CHECK(server.frames_memory() >= once);
    CHECK(server.frames_memory() < once + 2'000);
  }
}

}  // namespace roost::test
