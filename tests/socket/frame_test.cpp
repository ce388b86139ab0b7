// SPDX-License-Identifier: MIT
#include <roost/socket/frame.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

std::vector<int> bytes_of(std::span<const std::byte> bytes) {
  std::vector<int> out;
  for (const std::byte b : bytes) out.push_back(std::to_integer<int>(b));
  return out;
}

// Reads a header as a peer would (RFC 6455, section 5.2), independently of how it was written.
struct Parsed {
  int first = 0;
  bool masked = false;
  std::uint64_t length = 0;
  std::size_t header_size = 0;
};
Parsed parse(std::span<const std::byte> wire) {
  Parsed p;
  p.first = std::to_integer<int>(wire[0]);
  const int second = std::to_integer<int>(wire[1]);
  p.masked = (second & 0x80) != 0;
  p.length = static_cast<std::uint64_t>(second & 0x7F);
  p.header_size = 2;
  const std::size_t extended = p.length == 126 ? 2 : p.length == 127 ? 8 : 0;
  if (extended == 0) return p;
  p.length = 0;
  for (std::size_t i = 0; i < extended; ++i) {
    p.length = p.length << 8 | std::to_integer<std::uint64_t>(wire[2 + i]);
  }
  p.header_size += extended;
  return p;
}

TEST_CASE("a frame's header is the shortest that holds its length", "[frame]") {
  const auto [size, header] = GENERATE(table<std::size_t, std::size_t>(
      {{0, 2}, {1, 2}, {125, 2}, {126, 4}, {127, 4}, {65'535, 4}, {65'536, 10}, {70'000, 10}}));
  CAPTURE(size);
  std::string payload(size, 'x');
  for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<char>('a' + i % 26);

  const Frame frame = Frame::text(payload);
  const Parsed p = parse(frame.wire());
  CHECK(p.first == 0x81);  // final, text
  CHECK_FALSE(p.masked);
  CHECK(p.length == size);
  CHECK(p.header_size == header);
  CHECK(frame.size() == header + size);
  CHECK(frame.wire().size() == header + size);
  CHECK(frame.payload_text() == payload);
  CHECK(std::memcmp(frame.wire().data() + header, payload.data(), size) == 0);
}

TEST_CASE("the bytes of small frames are those of RFC 6455", "[frame]") {
  CHECK(bytes_of(Frame::text("Hello").wire()) ==
        std::vector<int>{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f});  // section 5.7
  CHECK(bytes_of(Frame::ping("Hello").wire()) ==
        std::vector<int>{0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f});
  CHECK(bytes_of(Frame::encode(Opcode::pong, "Hello").wire()) ==
        std::vector<int>{0x8a, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f});
  CHECK(bytes_of(Frame::ping().wire()) == std::vector<int>{0x89, 0x00});
  const std::array<std::byte, 2> two{std::byte{0xFF}, std::byte{0x00}};
  CHECK(bytes_of(Frame::binary(two).wire()) == std::vector<int>{0x82, 0x02, 0xFF, 0x00});
  CHECK(bytes_of(Frame::binary({}).wire()) == std::vector<int>{0x82, 0x00});
}

TEST_CASE("a frame knows its opcode", "[frame]") {
  CHECK(Frame::text("").opcode() == Opcode::text);
  CHECK(Frame::binary({}).opcode() == Opcode::binary);
  CHECK(Frame::close(1000).opcode() == Opcode::close);
  CHECK(Frame::ping().opcode() == Opcode::ping);
  CHECK(Frame::encode(Opcode::pong, "").opcode() == Opcode::pong);
}

TEST_CASE("copies of a frame share their bytes, which live as long as the last of them",
          "[frame]") {
  Frame last;
  const std::byte* where = nullptr;
  {
    const Frame first = Frame::text("shared");
    const Frame second = first;  // NOLINT: a copy on purpose
    Frame third;
    third = second;
    CHECK(second.wire().data() == first.wire().data());
    CHECK(third.wire().data() == first.wire().data());
    where = first.wire().data();
    last = std::move(third);
    CHECK_FALSE(third);  // NOLINT: what moving leaves
  }
  REQUIRE(last);
  CHECK(last.wire().data() == where);
  CHECK(last.payload_text() == "shared");

  Frame& same = last;
  last = same;
  CHECK(last.payload_text() == "shared");
  last = Frame();
  CHECK_FALSE(last);
  CHECK(last.size() == 0);
}

TEST_CASE("a frame does not refer to the bytes that it was made of", "[frame]") {
  std::string source = "before";
  const Frame frame = Frame::text(source);
  source = "after!";
  CHECK(frame.payload_text() == "before");
}

TEST_CASE("a close frame carries code and reason", "[frame]") {
  const Frame frame = Frame::close(4321, "bye");
  CHECK(bytes_of(frame.wire()) == std::vector<int>{0x88, 5, 4321 >> 8, 4321 & 0xFF, 'b', 'y', 'e'});
  CHECK(bytes_of(Frame::close(1000).wire()) == std::vector<int>{0x88, 2, 0x03, 0xE8});
}

TEST_CASE("only codes that RFC 6455 lets through are sent", "[frame]") {
  const auto code = GENERATE(values<std::uint16_t>(
      {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65'535}));
  CAPTURE(code);
  CHECK_FALSE(close_code::may_be_sent(code));
  CHECK(bytes_of(Frame::close(code, "why").wire()) == std::vector<int>{0x88, 0});
}

TEST_CASE("registered, library and private close codes are sent", "[frame]") {
  const auto code =
      GENERATE(values<std::uint16_t>({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012,
                                      1013, 1014, 3000, 3999, 4000, 4999}));
  CAPTURE(code);
  CHECK(close_code::may_be_sent(code));
  CHECK(bytes_of(Frame::close(code).wire()) == std::vector<int>{0x88, 2, code >> 8, code & 0xFF});
}

TEST_CASE("a close reason is cut to 123 bytes, at a character", "[frame]") {
  const std::string most(123, 'r');
  CHECK(Frame::close(1000, most).payload_text().substr(2) == most);
  CHECK(Frame::close(1000, most + "s").payload_text().substr(2) == most);
  CHECK(Frame::close(1000, most + "s").size() == 127);

  // A character of 2, 3, 4 bytes that ends behind the limit goes as a whole.
  for (const std::string character : {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\xA6\x85"}) {
    for (std::size_t over = 1; over <= character.size(); ++over) {
      CAPTURE(character, over);
      const std::string start(123 - character.size() + over, 'r');
      const std::string kept = over == character.size() ? most : start;
      CHECK(clip_close_reason(start + character + "tail") == kept);
    }
    const std::string fits = std::string(123 - character.size(), 'r') + character;
    CHECK(clip_close_reason(fits + "tail") == fits);
  }
  CHECK(clip_close_reason(std::string(200, '\x80')).empty());  // no character at all
}

TEST_CASE("a raw frame is as many bytes as asked for, without a header", "[frame]") {
  Frame frame = Frame::raw(5);
  std::memcpy(frame.data(), "HTTP/", 5);
  const Frame shared = frame;
  CHECK(shared.size() == 5);
  CHECK(shared.payload_text() == "HTTP/");
  CHECK(shared.wire().data() == shared.payload().data());
}

}  // namespace
}  // namespace roost
