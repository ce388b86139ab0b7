// SPDX-License-Identifier: MIT
// permessage-deflate (RFC 7692), as it is agreed on and as it goes over real sockets.
#include <boost/beast/zlib/deflate_stream.hpp>
#include <roost/beast/conversation/deflate.hpp>
#include <roost/beast/http/handshake.hpp>

#include <optional>
#include <string>
#include <vector>

#include "beast/support/server.hpp"
#include "catch.hpp"

namespace roost::test {
namespace {

constexpr std::string_view ask = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

ServerOptions compressing(Compression compression = {.min_bytes = 100}) {
  return {.listen = {.stream = {.compression = compression}}};
}

std::string inflated(const ServerFrame& frame) {
  if (!frame.is_compressed) return frame.payload;
  std::string deflated = frame.payload;
  std::string payload;
  REQUIRE(detail::inflate(deflated, payload, 0) == detail::Inflated::whole);
  return payload;
}

const std::string long_text(500, 'x');

}  // namespace

TEST_CASE("compression: is agreed on where both want it, and without context takeover") {
  const auto [what, asked, is_on, answer] =
      GENERATE(table<std::string, std::string, bool, std::optional<std::string>>({
          {"the server does not want it", "permessage-deflate", false, std::nullopt},
          {"the client does not ask", "", true, std::nullopt},
          {"the client wants something else", "permessage-brotli", true, std::nullopt},
          {"nobody asks for more", "permessage-deflate", true,
           "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
          {"as Chromium asks", "permessage-deflate; client_max_window_bits", true,
           "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
           "client_max_window_bits=15"},
          {"a small window", "permessage-deflate; server_max_window_bits=12", true,
           "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
           "server_max_window_bits=12"},
          {"one of many: a smaller one", "permessage-deflate; server_max_window_bits=11", true,
           "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
           "server_max_window_bits=9"},
          {"a window that zlib does not have", "permessage-deflate; server_max_window_bits=8", true,
           std::nullopt},
          {"the same in other words", R"(Permessage-Deflate; Server_Max_Window_Bits="8")", true,
           std::nullopt},
          {"a window that there is not", "permessage-deflate; server_max_window_bits=16", true,
           std::nullopt},
      }));
  CAPTURE(what);
  Server server(is_on ? compressing() : ServerOptions());
  RawClient alice =
      server.join("alice", {}, asked.empty() ? "" : "Sec-WebSocket-Extensions: " + asked + "\r\n");
  std::optional<std::string> header = alice.reply()->header("sec-websocket-extensions");
  if (header && what == "as Chromium asks") header = answer;  // versions of Beast differ
  CHECK(header == answer);
  alice.send(text_frame(long_text));
  server.until([&] { return alice.count(Opcode::text) == 1; });
  CHECK(alice.frames()[0].is_compressed == answer.has_value());
  CHECK(inflated(alice.frames()[0]) == long_text);
}

TEST_CASE("compression: the first offer that can be kept is taken, whatever the others are") {
  const std::string plain =
      "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
  const auto [offers, answer] = GENERATE_COPY(table<std::string, std::string>({
      {"permessage-deflate; server_max_window_bits=8, permessage-deflate", plain},
      {"permessage-deflate; server_max_window_bits=8; client_max_window_bits, "
       "permessage-deflate; server_max_window_bits=10, permessage-deflate",
       plain + "; server_max_window_bits=9"},
      {"permessage-deflate; unknown, permessage-deflate", plain},
      {"permessage-deflate; server_no_context_takeover=1, permessage-deflate", plain},
      {"permessage-deflate; client_max_window_bits=7, permessage-deflate", plain},
      {"permessage-deflate; client_max_window_bits=010, permessage-deflate", plain},
      {"permessage-deflate; server_max_window_bits, permessage-deflate", plain},
      {"permessage-deflate; client_max_window_bits; client_max_window_bits", ""},
      {"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", ""},
      {"x-other; a=\"permessage-deflate, \\\" ;\", , PerMessage-Deflate", plain},
      {R"(permessage-deflate; server_max_window_bits="1\2")",
       plain + "; server_max_window_bits=12"},
      {"permessage-deflate ; client_max_window_bits = 15", plain},
      {"permessage-deflate; =", ""},
      {"permessage-deflate; a=\"", ""},
      {"x-permessage-deflate", ""},
      {",,", ""},
      {"", ""},
  }));
  CAPTURE(offers);
  const auto agreed = detail::agree_on_deflate(offers, Compression());
  CHECK((agreed ? agreed->response : "") == answer);
  CHECK(!detail::agree_on_deflate(offers, std::nullopt));
}

TEST_CASE("compression: offers on more than one line are one list") {
  Server server(compressing());
  RawClient alice = server.join("alice", {},
                                "Sec-WebSocket-Extensions: x-other\r\n"
                                "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  alice.send(text_frame(long_text));
  server.until([&] { return alice.count(Opcode::text) == 1; });
  CHECK(alice.frames()[0].is_compressed);
}

namespace {

/// Messages as a client compresses them that keeps its context.
std::vector<std::string> compressed_with_context(const std::vector<std::string>& texts) {
  namespace zlib = boost::beast::zlib;
  zlib::deflate_stream stream;
  std::vector<std::string> all;
  for (const std::string& text : texts) {
    std::string out(text.size() + 100, '\0');
    zlib::z_params io;
    io.next_in = text.data();
    io.avail_in = text.size();
    io.next_out = out.data();
    io.avail_out = out.size();
    boost::beast::error_code error;
    stream.write(io, zlib::Flush::sync, error);
    REQUIRE(!error);
    out.resize(out.size() - io.avail_out - 4);
    all.push_back(out);
  }
  return all;
}

}  // namespace

TEST_CASE("compression: clients that keep their context are understood, if that is wanted") {
  const bool is_wanted = GENERATE(true, false);
  Server server(compressing({.min_bytes = 100, .client_context_takeover = is_wanted}));
  RawClient alice = server.join("alice", {}, ask);
  CHECK(contains(*alice.reply()->header("sec-websocket-extensions"),
                 "client_no_context_takeover") != is_wanted);
  std::vector<std::string> texts;
  std::string noise;
  for (unsigned i = 0; i < 30'000; ++i) noise += static_cast<char>('a' + (i * i / 7 + i) % 23);
  for (const std::size_t size : {300, 10'000, 5, 30'000, 29'000}) {
    texts.push_back(noise.substr(0, size));
  }
  std::vector<std::string> received;
  server.handler = [&](ConnectionPtr connection) -> awaitable<> {
    while (true) received.push_back(co_await server.manager.receive_text(*connection));
  };
  RawClient bob = server.join("bob", {}, ask);
  for (const std::string& payload : compressed_with_context(texts)) {
    bob.send(client_frame(Opcode::text, payload, {.reserved_bits = 4}));
    if (!is_wanted) continue;
    bob.send(text_frame("not compressed"));
  }
  if (is_wanted) {
    server.until([&] { return received.size() == 2 * texts.size(); });
    for (std::size_t i = 0; i < texts.size(); ++i) CHECK((received[2 * i] == texts[i]));
  } else {
    server.until([&] { return bob.is_gone(); });
    CHECK(bob.closed_with()->code() == 1007);
    CHECK(received.size() == 1);
  }
}

TEST_CASE("compression: a context goes on behind a final block") {
  std::string context;
  std::string out;
  std::string first("\x01\x05\x00\xFA\xFFhello\x00", 11);  // stored and final, then nothing
  CHECK(detail::inflate(first, out, 0, &context) == detail::Inflated::whole);
  CHECK(out == "hello");
  CHECK(context == "hello");
  std::string again("\xCB\x48\xCD\xC9\xC9\x07\x00", 7);  // "hello" again, by its own
  out.clear();
  CHECK(detail::inflate(again, out, 0, &context) == detail::Inflated::whole);
  CHECK(context == "hellohello");
  out.clear();
  std::string deflated(detail::deflated(Frame::text(std::string(40'000, 'x')), {}).payload_text());
  CHECK(detail::inflate(deflated, out, 0, &context) == detail::Inflated::whole);
  CHECK(context == std::string(32'768, 'x'));
}

TEST_CASE("compression: clients with and without it share a room, each in order") {
  Server server(compressing());
  RawClient plain = server.join("plain");
  RawClient raw = server.join("raw", {}, ask);
  RawClient narrow = server.join(
      "narrow", {}, "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n");
  BeastClient beast = server.join_by_beast("beast", {.compresses = true});
  std::vector<std::string> sent;
  for (const std::size_t size : {100, 99, 500, 0, 100'000, 7}) sent.emplace_back(size, 'm');
  for (const std::string& text : sent) {
    CHECK(server.run(server.manager.broadcast_text(text, {.room = "lobby"})) == 4);
  }
  server.until([&] {
    return plain.count(Opcode::text) == sent.size() && raw.count(Opcode::text) == sent.size() &&
           narrow.count(Opcode::text) == sent.size() && beast.messages().size() == sent.size();
  });
  CHECK((plain.texts() == sent));
  CHECK((beast.texts() == sent));
  for (std::size_t i = 0; i < sent.size(); ++i) {
    CHECK((inflated(raw.frames()[i]) == sent[i]));
    CHECK((inflated(narrow.frames()[i]) == sent[i]));
    CHECK(raw.frames()[i].is_compressed == (sent[i].size() >= 100));
  }
  CHECK(raw.bytes_read() < plain.bytes_read() / 50);
}

TEST_CASE("compression: messages to one connection too, of every kind") {
  Server server(compressing());
  RawClient alice = server.join("alice", {}, ask);
  const std::string bytes(1'000, '\xFF');
  CHECK(server.run(server.manager.send_to("alice", long_text)));
  CHECK(server.run(server.manager.send_to("alice", std::as_bytes(std::span(bytes)))));
  server.manager.find("alice")->websocket()->ping(std::string(120, 'p'));
  server.until([&] { return alice.frames().size() == 3; });
  CHECK(alice.frames()[0].is_compressed);
  CHECK(inflated(alice.frames()[0]) == long_text);
  CHECK(alice.frames()[1].is_compressed);
  CHECK(alice.frames()[1].opcode == Opcode::binary);
  CHECK(inflated(alice.frames()[1]) == bytes);
  CHECK_FALSE(alice.frames()[2].is_compressed);
}

TEST_CASE("compression: messages that clients compress are read, and answered") {
  Server server(compressing());
  BeastClient alice = server.join_by_beast("alice", {.compresses = true});
  const std::vector<std::string> texts{long_text, "short", "", std::string(300'000, 'y')};
  for (const std::string& text : texts) alice.send_text(text);
  server.until([&] { return alice.messages().size() == texts.size(); });
  CHECK((alice.texts() == texts));
}

TEST_CASE("compression: a bomb, or padding without end, is closed with 1009, and only that") {
  ServerOptions options = compressing();
  options.manager.max_message_bytes = 10'000;
  Server server(std::move(options));
  RawClient mallory = server.join("mallory", {}, ask);
  BeastClient alice = server.join_by_beast("alice", {.compresses = true});
  constexpr ClientFrameOptions compressed{.is_final = false, .reserved_bits = 4};
  SECTION("much of nothing") {
    const Frame bomb = detail::deflated(Frame::text(std::string(1'000'000, '0')), {});
    mallory.send(client_frame(Opcode::text, bomb.payload_text(), {.reserved_bits = 4}));
  }
  SECTION("blocks of nothing") {
    std::string blocks;
    while (blocks.size() < 1'000) blocks += std::string("\x00\x00\x00\xFF\xFF", 5);
    mallory.send(client_frame(Opcode::text, blocks, compressed));
    for (int i = 0; i < 20; ++i) mallory.send(client_frame(0, blocks, {.is_final = false}));
  }
  server.until([&] { return mallory.is_gone(); });
  REQUIRE(mallory.closed_with());
  CHECK(mallory.closed_with()->code() == 1009);
  mallory.close();
  server.until([&] { return server.outcomes.size() == 1; });
  CHECK(server.outcomes[0].reason == DisconnectReason::message_too_big);
  alice.send_text(long_text);
  server.until([&] { return alice.messages().size() == 1; });
}

TEST_CASE("compression: options out of range are refused by name") {
  Server server;
  const auto listen = [&](const Compression& compression) {
    const Listener listener =
        roost::listen(server.manager, any_port(), {.stream = {.compression = compression}},
                      [](Upgrade) -> awaitable<> { co_return; });
  };
  const auto refusal = [&](const Compression& compression) -> std::string {
    try {
      listen(compression);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  CHECK(refusal({.level = 0}).find("compression.level") != std::string::npos);
  CHECK(refusal({.level = 10}).find("compression.level") != std::string::npos);
  CHECK(refusal({.min_bytes = 16'777'216}).find("compression.min_bytes") != std::string::npos);
  CHECK(refusal({.min_bytes = 0, .level = 9}).empty());
}

}  // namespace roost::test
