// SPDX-License-Identifier: MIT
#include <roost/beast/conversation/deflate.hpp>
#include <roost/beast/conversation/message_reader.hpp>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "beast/support/frames.hpp"
#include "catch.hpp"

namespace roost::test {
namespace {

using detail::DeflateForm;
using detail::MessageReader;
using Event = MessageReader::Event;

/// What a reader made of some bytes.
struct Read {
  Event event;
  std::string payload;
  std::uint16_t code = 0;
  bool is_text = false;

  bool operator==(const Read&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Read& read) {
  return out << "event " << static_cast<int>(read.event) << ", code " << read.code << ", "
             << read.payload.size() << " bytes";
}

Read text(std::string payload) { return {Event::message, std::move(payload), 0, true}; }
Read failed(std::uint16_t code) { return {Event::failure, "", code, false}; }

/// Feeds @p bytes in pieces of @p piece, until they are used up or all is over.
std::vector<Read> read(MessageReader& reader, std::string bytes, std::size_t piece) {
  std::vector<Read> all;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    auto part = std::as_writable_bytes(std::span(bytes)).subspan(at);
    part = part.first(std::min(piece, part.size()));
    while (!part.empty()) {
      const Event event = reader.next(part);
      switch (event) {
        case Event::none: REQUIRE(part.empty()); break;
        case Event::message: {
          Message message = reader.take_message();
          all.push_back({event, std::move(message.payload), 0, message.is_text});
          break;
        }
        case Event::ping:
        case Event::pong: all.push_back({event, std::string(reader.control_payload())}); break;
        case Event::close:
          all.push_back({event, std::string(reader.close_reason()), reader.close_code()});
          return all;
        case Event::failure: all.push_back(failed(reader.close_code())); return all;
      }
    }
  }
  return all;
}

std::vector<Read> read(const std::string& bytes, std::size_t piece = SIZE_MAX / 2,
                       std::size_t max_message_bytes = 1'000'000, bool inflates = false) {
  MessageReader reader(max_message_bytes, inflates);
  return read(reader, bytes, piece);
}

std::vector<Read> read_deflated(const std::string& bytes, std::size_t max_message_bytes = 1'000'000,
                                std::size_t piece = 1'000) {
  return read(bytes, piece, max_message_bytes, true);
}

/// The payload of a compressed message, as a client that compresses as we do would send it.
std::string deflated(std::string_view text, DeflateForm form = {}) {
  const Frame frame = detail::deflated(Frame::text(text), form);
  REQUIRE(frame.wire()[0] == std::byte{0xC1});  // else it did not get smaller
  return std::string(frame.payload_text());
}

constexpr ClientFrameOptions compressed{.reserved_bits = 4};

std::string noise(std::size_t size) {
  std::minstd_rand random(1);
  std::string text;
  while (text.size() < size) text += static_cast<char>('!' + random() % 90);
  return text;
}

}  // namespace

TEST_CASE("MessageReader: messages of every form of length, in pieces of every size") {
  const std::size_t size = GENERATE(as<std::size_t>(), 0, 1, 3, 8, 125, 126, 127, 65'535, 65'536);
  const std::size_t piece = GENERATE(as<std::size_t>(), 1, 2, 3, 5, 7, 13, 4'096, SIZE_MAX / 2);
  const std::string payload(noise(size));
  CHECK(
      read(text_frame(payload) + client_frame(Opcode::binary, "\xFF") + text_frame("end"), piece) ==
      std::vector<Read>{text(payload), {Event::message, "\xFF", 0, false}, text("end")});
}

TEST_CASE("MessageReader: fragments are one message, whatever comes between them") {
  const std::size_t piece = GENERATE(as<std::size_t>(), 1, 2, 3, 1'000);
  const std::string bytes =
      client_frame(Opcode::text, "one \xE2", {.is_final = false}) +
      client_frame(Opcode::ping, "?") + client_frame(0, "\x82", {.is_final = false}) +
      client_frame(0, "", {.is_final = false}) + client_frame(Opcode::pong, "!") +
      client_frame(0, "\xAC two") + close_frame(1000, "done");
  CHECK(read(bytes, piece) == std::vector<Read>{{Event::ping, "?"},
                                                {Event::pong, "!"},
                                                text("one \xE2\x82\xAC two"),
                                                {Event::close, "done", 1000, false}});
}

TEST_CASE("MessageReader: one event at a time, and no byte more") {
  MessageReader reader(100, false);
  std::string bytes = text_frame("first") + text_frame("second");
  auto rest = std::as_writable_bytes(std::span(bytes));
  CHECK(reader.next(rest) == Event::message);
  CHECK(rest.size() == text_frame("second").size());
  CHECK(reader.take_message().payload == "first");
}

TEST_CASE("MessageReader: a close frame without a code is 1005") {
  CHECK(read(client_frame(Opcode::close, "")) ==
        std::vector<Read>{{Event::close, "", 1005, false}});
}

TEST_CASE("MessageReader: says how much is known to be missing") {
  MessageReader reader(0, false);
  std::string bytes = client_frame(Opcode::binary, "12345", {.length = 100'000});
  auto rest = std::as_writable_bytes(std::span(bytes));
  CHECK(reader.expected() == 0);
  CHECK(reader.next(rest) == Event::none);
  CHECK(reader.expected() == 99'995);
}

TEST_CASE("MessageReader: each rule that a client may break") {
  const auto [what, bytes, code] = GENERATE(table<std::string, std::string, int>({
      {"no mask", client_frame(Opcode::text, "x", {.is_masked = false}), 1002},
      {"RSV1 without compression", client_frame(Opcode::text, "x", {.reserved_bits = 4}), 1002},
      {"RSV2", client_frame(Opcode::text, "x", {.reserved_bits = 2}), 1002},
      {"RSV3 of a ping", client_frame(Opcode::ping, "x", {.reserved_bits = 1}), 1002},
      {"a reserved opcode", client_frame(3, "x"), 1002},
      {"the last reserved opcode", client_frame(7, "x"), 1002},
      {"a reserved control opcode", client_frame(11, "x"), 1002},
      {"a fragmented ping", client_frame(Opcode::ping, "x", {.is_final = false}), 1002},
      {"a ping of 126 bytes", client_frame(Opcode::ping, std::string(126, 'p')), 1002},
      {"a ping of 1 byte that says so in 2", std::string("\x89\xFE\x00\x01\x00\x00\x00\x00x", 9),
       1002},
      {"a continuation of nothing", client_frame(0, "x"), 1002},
      {"a message within a message",
       client_frame(Opcode::text, "x", {.is_final = false}) + text_frame("x"), 1002},
      {"125 in 2 bytes", std::string("\x82\xFE\x00\x7D\x00\x00\x00\x00", 8), 1002},
      {"65535 in 8 bytes", std::string("\x82\xFF\0\0\0\0\0\0\xFF\xFF\0\0\0\0", 14), 1002},
      {"a length with the highest bit", std::string("\x82\xFF\x80\0\0\0\0\0\0\0\0\0\0\0", 14),
       1002},
      {"more than the limit", client_frame(Opcode::text, "", {.length = 1'000'001}), 1009},
      {"a close frame of one byte", client_frame(Opcode::close, "x"), 1002},
      {"a close code that must not be sent", close_frame(1006), 1002},
      {"a close reason that is no UTF-8", close_frame(1000, "\xFF"), 1002},
      {"text that is no UTF-8", text_frame("\xFF"), 1007},
      {"text that ends within a character", text_frame("cut \xE2\x82"), 1007},
  }));
  CAPTURE(what);
  const std::size_t piece = GENERATE(as<std::size_t>(), 1, 1'000);
  const std::vector<Read> all = read(bytes, piece);
  REQUIRE(all.size() == 1);
  CHECK(all[0] == failed(static_cast<std::uint16_t>(code)));
}

TEST_CASE("MessageReader: the limit is on the whole message, and may be none") {
  const std::string half = client_frame(Opcode::binary, std::string(5, 'x'), {.is_final = false});
  CHECK(read(half + client_frame(0, std::string(5, 'x')), 100, 10).at(0).event == Event::message);
  CHECK(read(half + client_frame(0, std::string(6, 'x')), 100, 10) ==
        std::vector<Read>{failed(1009)});
  CHECK(read(text_frame(std::string(2'000'000, 'x')), 65'536, 0).at(0).payload.size() == 2'000'000);
}

TEST_CASE("MessageReader: compressed messages, whole and in fragments") {
  // Sizes around that of the pieces in which it is inflated, too.
  const std::size_t size = GENERATE(as<std::size_t>(), 5'000, 16'184, 16'185, 40'000);
  const std::string payload = noise(100) + noise(100) + std::string(size, 'x');
  const unsigned window_bits = GENERATE(9U, 12U, 15U);
  const std::string wire = deflated(payload, {.window_bits = window_bits});
  SECTION("each stands for itself") {
    const std::string frame = client_frame(Opcode::text, wire, compressed);
    CHECK(read_deflated(frame + frame + text_frame("plain")) ==
          std::vector<Read>{text(payload), text(payload), text("plain")});
  }
  SECTION("fragments: only the first says that it is compressed") {
    const std::string head = wire.substr(0, 10);
    CHECK(read_deflated(client_frame(Opcode::text, head, {.is_final = false, .reserved_bits = 4}) +
                        client_frame(Opcode::ping, "?") + client_frame(0, wire.substr(10))) ==
          std::vector<Read>{{Event::ping, "?"}, text(payload)});
    CHECK(read_deflated(client_frame(Opcode::text, head, {.is_final = false, .reserved_bits = 4}) +
                        client_frame(0, wire.substr(10), compressed)) ==
          std::vector<Read>{failed(1002)});
  }
}

TEST_CASE("MessageReader: compressed messages of unusual form (RFC 7692, section 7.2.3)") {
  const auto [what, wire, payload] = GENERATE(table<std::string, std::string, std::string>({
      {"fixed codes", std::string("\xf2\x48\xcd\xc9\xc9\x07\x00", 7), "Hello"},
      {"no compression", std::string("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11), "Hello"},
      {"a final block", std::string("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8), "Hello"},
      {"two blocks", std::string("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13),
       "Hello"},
      {"nothing", std::string("\x00", 1), ""},
      {"nothing, by fixed codes", std::string("\x02\x00", 2), ""},
  }));
  CAPTURE(what);
  CHECK(read_deflated(client_frame(Opcode::text, wire, compressed)) ==
        std::vector<Read>{text(payload)});
}

TEST_CASE("MessageReader: compressed messages are limited too, before and after inflating") {
  const std::string bomb = deflated(std::string(900'000, 'x'));
  REQUIRE(bomb.size() < 2'000);
  CHECK(read_deflated(client_frame(Opcode::binary, bomb, compressed), 900'000).at(0).event ==
        Event::message);
  CHECK(read_deflated(client_frame(Opcode::binary, bomb, compressed), 899'999) ==
        std::vector<Read>{failed(1009)});
  std::string empty_blocks;
  while (empty_blocks.size() < 1'300) empty_blocks += std::string("\x00\x00\x00\xFF\xFF", 5);
  CHECK(read_deflated(client_frame(Opcode::binary, empty_blocks, compressed), 1'000) ==
        std::vector<Read>{failed(1009)});
  empty_blocks.resize(1'001);
  CHECK(read_deflated(client_frame(Opcode::binary, empty_blocks, compressed), 1'000).at(0) ==
        Read{Event::message, "", 0, false});
}

TEST_CASE("MessageReader: data that do not inflate are 1007") {
  const std::string whole = deflated(std::string(100, 'a') + noise(200) + std::string(100, 'a'));
  const std::string wire =
      GENERATE_COPY(as<std::string>(), "\xFF\xFF\xFF", std::string("\x00\x05\x00\x00\x00", 5),
                    whole.substr(0, 50), std::string("\x00\xFF\x00\x00\xFFtoo short", 14),
                    deflated(std::string(100, '\xFF')));
  CHECK(read_deflated(client_frame(Opcode::text, wire, compressed)) ==
        std::vector<Read>{failed(1007)});
}

TEST_CASE("MessageReader: with any bytes it neither crashes nor goes over the limit") {
  std::mt19937 random(7);
  const std::string valid =
      client_frame(Opcode::text, deflated(std::string(300, 'y')), compressed) +
      client_frame(Opcode::ping, "abc") + text_frame(noise(200));
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = valid;
    for (unsigned changes = random() % 4; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    for (const Read& each : read_deflated(bytes, 400, 1 + random() % 64)) {
      if (each.payload.size() > 400) FAIL("a message of " << each.payload.size() << " bytes");
    }
  }
}

// --- sending ---

TEST_CASE("deflated: small messages, control frames and what does not shrink stay as they are") {
  const std::string text(100, 'x');
  CHECK(detail::deflated(Frame::text(text), {.min_bytes = 100}).size() < text.size());
  const Frame unchanged = GENERATE_COPY(Frame::text(text.substr(1)), Frame::text(""),
                                        Frame::ping(text), Frame::close(1000, text));
  const Frame result = detail::deflated(unchanged, {.min_bytes = 100});
  CHECK(result.data() == unchanged.data());
  const Frame incompressible = Frame::text(noise(20));
  CHECK(detail::deflated(incompressible, {}).data() == incompressible.data());
}

TEST_CASE("DeflateForm: a number and back, and never 0") {
  const DeflateForm form{.window_bits = 9, .level = 1, .min_bytes = 16'777'215};
  const DeflateForm again = DeflateForm::of(form.value());
  CHECK(again.window_bits == 9);
  CHECK(again.level == 1);
  CHECK(again.min_bytes == 16'777'215);
  CHECK(DeflateForm{}.value() != 0);
}

}  // namespace roost::test
