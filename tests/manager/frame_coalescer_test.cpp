// SPDX-License-Identifier: MIT
#include <roost/manager/sending/frame_memory.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using detail::FrameCoalescer;

std::string bytes_of(const Frame& frame) {
  return {reinterpret_cast<const char*>(frame.wire().data()), frame.size()};
}

TEST_CASE("a coalesced frame is the same frame", "[frame_coalescer]") {
  FrameCoalescer coalescer;
  for (const std::size_t size : {0, 1, 125, 126, 1'000, 1'020, 1'021, 9'000, 70'000}) {
    CAPTURE(size);
    const Frame original = Frame::text(std::string(size, 'x'));
    const Frame coalesced = coalescer.coalesce(original);
    CHECK(bytes_of(coalesced) == bytes_of(original));
    CHECK(coalesced.payload_text() == original.payload_text());
    CHECK(coalesced.opcode() == Opcode::text);
  }
}

TEST_CASE("frames that follow each other lie side by side", "[frame_coalescer]") {
  FrameCoalescer coalescer;
  Frame whole = coalescer.coalesce(Frame::text("one"));
  const Frame two = coalescer.coalesce(Frame::text("two"));
  const Frame three = coalescer.coalesce(Frame::text("three"));
  CHECK_FALSE(whole.extend_by(three));  // something is missing
  REQUIRE(whole.extend_by(two));
  REQUIRE(whole.extend_by(three));
  CHECK_FALSE(whole.extend_by(three));
  CHECK(bytes_of(whole) == bytes_of(Frame::text("one")) + bytes_of(Frame::text("two")) +
                               bytes_of(Frame::text("three")));
}

TEST_CASE("separate frames are never taken for neighbours", "[frame_coalescer]") {
  Frame one = Frame::text("one");
  CHECK_FALSE(one.extend_by(Frame::text("two")));
  CHECK_FALSE(one.extend_by(Frame()));
}

TEST_CASE("a large frame is shared as it is", "[frame_coalescer]") {
  FrameCoalescer coalescer;
  const Frame large = Frame::text(std::string(2'000, 'x'));
  CHECK(coalescer.coalesce(large).data() == large.data());
}

TEST_CASE("memory is used again once nobody has any of it, and not before", "[frame_coalescer]") {
  FrameCoalescer coalescer;
  const auto placed = [&](std::string_view text) {
    return static_cast<const void*>(coalescer.coalesce(Frame::text(text)).data());
  };
  const void* const begin = placed("one");
  CHECK(placed("two") == begin);
  {
    const Frame unwritten = coalescer.coalesce(Frame::text("three"));
    CHECK(unwritten.data() == begin);
    CHECK(placed("four") != begin);
    CHECK(bytes_of(unwritten) == bytes_of(Frame::text("three")));
  }
  CHECK(placed("five") == begin);
}

TEST_CASE("frames that somebody has still to write are left alone, however much comes",
          "[frame_coalescer]") {
  FrameCoalescer coalescer;
  std::vector<Frame> unwritten;
  std::vector<std::string> expected;
  for (int i = 0; i < 3'000; ++i) {
    const Frame original = Frame::text(
        std::string(static_cast<std::size_t>(i % 700), static_cast<char>('a' + i % 26)));
    const Frame coalesced = coalescer.coalesce(original);
    if (i % 7 != 0) continue;
    unwritten.push_back(coalesced);
    expected.push_back(bytes_of(original));
  }
  for (std::size_t i = 0; i < unwritten.size(); ++i) REQUIRE(bytes_of(unwritten[i]) == expected[i]);
}

}  // namespace
}  // namespace roost
