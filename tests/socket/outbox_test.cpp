// SPDX-License-Identifier: MIT
#include <roost/socket/detail/outbox.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <random>
#include <roost/manager/sending/frame_memory.hpp>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support/outbox_probe.hpp"

namespace roost {
namespace {

using detail::Outbox;
using test::OutboxProbe;
using test::start;
using Event = OutboxEvent;
using Events = std::vector<OutboxEvent>;
using std::chrono::seconds;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::string wire_of(const Frame& frame) { return text_of(frame.wire()); }

// A frame of exactly this many bytes on the wire.
Frame frame_of(std::size_t size) {
  Frame frame = Frame::raw(size);
  for (std::size_t i = 0; i < size; ++i)
    frame.data()[i] = std::byte(static_cast<char>('a' + i % 26));
  return frame;
}

// Writes up to n bytes, the way a gather-write does.
std::string write(Outbox& outbox, std::size_t n, std::size_t buffers = 64) {
  std::vector<std::span<const std::byte>> gathered(buffers);
  const std::size_t count = outbox.gather(gathered);
  std::string written;
  for (std::size_t i = 0; i < count && written.size() < n; ++i) {
    written += text_of(gathered[i].first(std::min(gathered[i].size(), n - written.size())));
  }
  outbox.consume(written.size());
  return written;
}

TEST_CASE("an outbox gives the bytes back in order, whatever pieces are written", "[outbox]") {
  const std::string all =
      wire_of(Frame::text("one")) + wire_of(Frame::text("")) + wire_of(Frame::text("three"));
  for (std::size_t first = 0; first <= all.size(); ++first) {
    for (std::size_t buffers = 1; buffers <= 4; ++buffers) {
      CAPTURE(first, buffers);
      Outbox outbox;
      outbox.push(Frame::text("one"), start);
      outbox.push(Frame::text(""), start);
      outbox.push(Frame::text("three"), start);
      CHECK(outbox.bytes() == all.size());
      std::string wire = write(outbox, first, buffers);
      CHECK(outbox.bytes() == all.size() - wire.size());
      while (!outbox.empty()) wire += write(outbox, 4, buffers);
      CHECK(wire == all);
      CHECK(outbox.bytes() == 0);
    }
  }
}

TEST_CASE("gathering twice without writing gives the same bytes", "[outbox]") {
  Outbox outbox;
  outbox.push(Frame::text("hello"), start);
  write(outbox, 3);
  std::array<std::span<const std::byte>, 2> first{};
  std::array<std::span<const std::byte>, 2> second{};
  REQUIRE(outbox.gather(first) == 1);
  REQUIRE(outbox.gather(second) == 1);
  CHECK(first[0].data() == second[0].data());
  CHECK(text_of(first[0]) == "ello");
  std::array<std::span<const std::byte>, 0> none{};
  CHECK(outbox.gather(none) == 0);
}

TEST_CASE("gathered bytes stay where they are while more is queued", "[outbox]") {
  Outbox outbox;
  outbox.push(Frame::text("first"), start);
  std::array<std::span<const std::byte>, 1> gathered{};
  REQUIRE(outbox.gather(gathered) == 1);
  for (int i = 0; i < 1000; ++i) outbox.push(Frame::text("more"), start);
  CHECK(text_of(gathered[0]) == wire_of(Frame::text("first")));
}

TEST_CASE("the first frame into an empty outbox says that a flush is due", "[outbox]") {
  Outbox outbox;
  CHECK(outbox.empty());
  CHECK(outbox.push(Frame::text("a"), start));
  CHECK_FALSE(outbox.push(Frame::text("b"), start));
  write(outbox, 1);
  CHECK_FALSE(outbox.push(Frame::text("c"), start));
  write(outbox, 1000);
  CHECK(outbox.push(Frame::text("d"), start));
}

TEST_CASE("the oldest byte is as old as the frame it belongs to, however it trickles", "[outbox]") {
  Outbox outbox;
  CHECK_FALSE(outbox.oldest());
  outbox.push(frame_of(10), start);
  outbox.push(frame_of(10), start + seconds(3));
  CHECK(outbox.oldest() == start);
  write(outbox, 9);
  CHECK(outbox.oldest() == start);
  write(outbox, 1);
  CHECK(outbox.oldest() == start + seconds(3));
  write(outbox, 10);
  CHECK_FALSE(outbox.oldest());
}

TEST_CASE("a frame of which bytes were gathered counts as started", "[outbox]") {
  Outbox outbox;
  outbox.push(frame_of(5), start);
  outbox.push(frame_of(5), start);
  CHECK_FALSE(outbox.front().started);
  std::array<std::span<const std::byte>, 1> one{};
  outbox.gather(one);
  CHECK(outbox.front().started);
  outbox.consume(5);
  CHECK_FALSE(outbox.front().started);
}

// Frames of one burst to one room, then one to this connection alone, then the room again.
struct Burst {
  detail::FrameCoalescer coalescer;
  std::vector<Frame> frames = {coalescer.coalesce(Frame::text("one")),
                               coalescer.coalesce(Frame::text("two")), Frame::text("alone"),
                               coalescer.coalesce(Frame::text("three")),
                               coalescer.coalesce(Frame::text(std::string(900, 'x')))};
  std::string wire;

  explicit Burst(Outbox& outbox) {
    for (const Frame& frame : frames) {
      outbox.push(frame, start);
      wire += wire_of(frame);
    }
  }
};

TEST_CASE("frames side by side in memory are one piece for an outbox that coalesces", "[outbox]") {
  for (const bool coalesces : {false, true}) {
    CAPTURE(coalesces);
    Outbox outbox;
    if (coalesces) outbox.coalesce_frames();
    const Burst burst(outbox);
    std::array<std::span<const std::byte>, 8> gathered{};
    CHECK(outbox.gather(gathered) == (coalesces ? 3u : 5u));
    CHECK(outbox.bytes() == burst.wire.size());
    CHECK(write(outbox, 2'000) == burst.wire);
    CHECK(outbox.empty());
  }
}

TEST_CASE("joined frames survive a partial write at every byte", "[outbox]") {
  std::string all;
  {
    Outbox outbox;
    all = Burst(outbox).wire;
  }
  for (std::size_t first = 0; first <= all.size(); ++first) {
    Outbox outbox;
    outbox.coalesce_frames();
    Burst burst(outbox);
    std::string wire = write(outbox, first);
    REQUIRE(outbox.bytes() == all.size() - first);
    const Frame late =
        burst.coalescer.coalesce(Frame::text("late"));  // behind what is half written
    outbox.push(late, start);
    while (!outbox.empty()) wire += write(outbox, 50);
    REQUIRE(wire == all + wire_of(late));
  }
}

TEST_CASE("frames of another age or class are no part of the same piece", "[outbox]") {
  Outbox outbox;
  outbox.coalesce_frames();
  detail::FrameCoalescer coalescer;
  outbox.push(coalescer.coalesce(Frame::text("early")), start);
  outbox.push(coalescer.coalesce(Frame::text("late")), start + seconds(1));
  outbox.push(coalescer.coalesce(Frame::ping()), start + seconds(1), Outbox::EntryClass::control);
  std::array<std::span<const std::byte>, 8> gathered{};
  CHECK(outbox.gather(gathered) == 3);
  write(outbox, Frame::text("early").size());
  CHECK(outbox.oldest() == start + seconds(1));
}

TEST_CASE("the marks are reported when they are crossed, once each way", "[outbox]") {
  OutboxProbe probe;
  Outbox outbox;
  outbox.watch({.observer = &probe, .high_water = 100});
  outbox.push(frame_of(99), start);
  CHECK(probe.take().empty());
  outbox.push(frame_of(1), start);
  CHECK(probe.take() == Events{Event::above_high_water});
  CHECK(outbox.is_above_high_water());
  outbox.push(frame_of(50), start);
  CHECK(probe.take().empty());

  write(outbox, 50);  // 100 left: at the mark is above
  CHECK(probe.take().empty());
  write(outbox, 1);
  CHECK(probe.take() == Events{Event::below_high_water});
  CHECK_FALSE(outbox.is_above_high_water());
  write(outbox, 48);  // 51 left
  CHECK(probe.take().empty());
  write(outbox, 1);  // half
  CHECK(probe.take() == Events{Event::below_low_water});
  write(outbox, 50);
  CHECK(probe.take() == Events{Event::emptied});

  outbox.push(frame_of(51), start);
  CHECK(probe.take().empty());
  write(outbox, 51);
  CHECK(probe.take() == Events{Event::below_low_water});
}

TEST_CASE("the marks work at their smallest", "[outbox]") {
  for (std::size_t high_water = 1; high_water <= 4; ++high_water) {
    for (std::size_t size = 1; size <= 6; ++size) {
      CAPTURE(high_water, size);
      OutboxProbe probe;
      Outbox outbox;
      outbox.watch({.observer = &probe, .high_water = high_water});
      outbox.push(frame_of(size), start);
      CHECK(probe.take() == (size >= high_water ? Events{Event::above_high_water} : Events{}));
      const bool was_above = size >= high_water;
      const bool was_above_low = size > high_water / 2;
      write(outbox, size);
      Events expected;
      if (was_above) expected.push_back(Event::below_high_water);
      if (was_above_low) expected.push_back(Event::below_low_water);
      if (was_above) expected.push_back(Event::emptied);
      CHECK(probe.take() == expected);
    }
  }
}

TEST_CASE("an outbox that was blocked says when all is written", "[outbox]") {
  OutboxProbe probe;
  Outbox outbox;
  outbox.watch({.observer = &probe});
  outbox.push(frame_of(10), start);
  outbox.mark_blocked();
  outbox.mark_blocked();
  CHECK(probe.take() == Events{Event::blocked});
  write(outbox, 5);
  outbox.push(frame_of(10), start);
  CHECK(probe.take().empty());
  write(outbox, 100);
  CHECK(probe.take() == Events{Event::emptied});
  outbox.push(frame_of(10), start);
  write(outbox, 100);
  CHECK(probe.take().empty());
  outbox.push(frame_of(10), start);
  outbox.mark_blocked();
  CHECK(probe.take() == Events{Event::blocked});
}

TEST_CASE("an observer may queue more when it is told", "[outbox]") {
  OutboxProbe probe;
  Outbox outbox;
  int left = 3;
  probe.then = [&](Event event) {
    if (event == Event::below_high_water && left-- > 0) outbox.push(frame_of(10), start);
  };
  outbox.watch({.observer = &probe, .high_water = 10});
  outbox.push(frame_of(10), start);
  outbox.mark_blocked();
  std::string wire;
  while (!outbox.empty()) wire += write(outbox, 10);
  CHECK(wire.size() == 40);
  CHECK(std::count(probe.events.begin(), probe.events.end(), Event::emptied) == 1);
  CHECK(std::count(probe.events.begin(), probe.events.end(), Event::below_low_water) == 1);
  CHECK(probe.events.back() == Event::emptied);
}

TEST_CASE("the total counts what is queued while it is watched, and nothing else", "[outbox]") {
  OutboxTotal first;
  OutboxTotal second;
  {
    Outbox outbox;
    outbox.push(frame_of(7), start);
    outbox.watch({.total = &first});
    CHECK(first.bytes == 7);
    CHECK(first.entries == 1);
    outbox.push(frame_of(5), start);
    write(outbox, 3);
    CHECK(first.bytes == 9);
    outbox.watch({.total = &second});
    CHECK(first.bytes == 0);
    CHECK(second.bytes == 9);
    outbox.push(frame_of(1), start);
    CHECK(second.bytes == 10);
    CHECK(second.entries == 3);
    write(outbox, 4);
    CHECK(second.entries == 2);
    outbox.push(frame_of(4), start);
    outbox.watch({});
    CHECK(second.bytes == 0);
    CHECK(second.entries == 0);
    write(outbox, 2);
    outbox.watch({.total = &first});
    CHECK(first.bytes == 8);
  }
  CHECK(first.entries == 0);
  CHECK(first.bytes == 0);  // destroyed with bytes in it
}

TEST_CASE("discarded frames count no more, and are not written", "[outbox]") {
  OutboxTotal total;
  OutboxProbe probe;
  Outbox outbox;
  outbox.watch({.observer = &probe, .high_water = 5, .total = &total});
  outbox.push(frame_of(7), start);
  outbox.push(frame_of(7), start);
  write(outbox, 3);
  probe.take();
  outbox.discard();
  CHECK(outbox.empty());
  CHECK(outbox.bytes() == 0);
  CHECK(total.bytes == 0);
  CHECK(total.entries == 0);
  CHECK(outbox.is_sealed());
  CHECK_FALSE(outbox.oldest());
  CHECK(write(outbox, 10).empty());
  CHECK(probe.take().empty());
}

TEST_CASE("a sealed outbox still writes what it has", "[outbox]") {
  Outbox outbox;
  outbox.push(Frame::text("last words"), start);
  CHECK_FALSE(outbox.is_sealed());
  outbox.seal();
  CHECK(outbox.is_sealed());
  CHECK(write(outbox, 100) == wire_of(Frame::text("last words")));
}

TEST_CASE("an observer that starts to watch an outbox learns how it stands", "[outbox]") {
  OutboxProbe probe;
  Outbox outbox;
  outbox.push(frame_of(10), start);
  outbox.mark_blocked();
  outbox.watch({.observer = &probe, .high_water = 10});
  Events told = probe.take();
  std::sort(told.begin(), told.end());
  CHECK(told == Events{Event::above_high_water, Event::blocked});
  write(outbox, 10);
  CHECK(probe.take() == Events{Event::below_high_water, Event::below_low_water, Event::emptied});
}

TEST_CASE("an outbox behaves like a string, over many cycles", "[outbox]") {
  std::mt19937 random(20'240'817);
  const auto up_to = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n)(random);
  };
  for (int round = 0; round < 40; ++round) {
    const std::size_t high_water = 1 + up_to(round % 2 == 0 ? 8 : 300);
    CAPTURE(round, high_water);
    OutboxProbe probe;
    OutboxTotal total{.bytes = 1000};  // others' bytes
    Outbox outbox;
    outbox.watch({.observer = &probe, .high_water = high_water, .total = &total});

    std::string model;              // what is queued
    std::deque<std::size_t> sizes;  // of the frames, the first may be partly written
    std::deque<Outbox::time_point> times;
    std::size_t written_of_first = 0;
    bool blocked = false;
    bool busy = false;  // blocked, or at the mark, since it was empty
    Outbox::time_point now = start;

    for (int step = 0; step < 400; ++step) {
      now += seconds(1);
      const std::size_t before = model.size();
      Events expected;
      const std::size_t what = up_to(9);
      if (what < 5) {
        const std::size_t size = 1 + up_to(what == 0 ? 400 : 6);
        const Frame frame = frame_of(size);
        REQUIRE(outbox.push(frame, now) == model.empty());
        model += wire_of(frame);
        sizes.push_back(size);
        times.push_back(now);
        if (before < high_water && model.size() >= high_water) {
          expected.push_back(Event::above_high_water);
          busy = true;
        }
      } else if (what == 5) {
        if (!model.empty()) {
          outbox.mark_blocked();
          if (!blocked) expected.push_back(Event::blocked);
          blocked = busy = true;
        }
      } else {
        const std::size_t n = up_to(what == 9 ? 1000 : 12);
        const std::string got = write(outbox, n, 1 + up_to(40));
        REQUIRE(model.compare(0, got.size(), got) == 0);
        model.erase(0, got.size());
        written_of_first += got.size();
        while (!sizes.empty() && written_of_first >= sizes.front()) {
          written_of_first -= sizes.front();
          sizes.pop_front();
          times.pop_front();
        }
        if (before >= high_water && model.size() < high_water) {
          expected.push_back(Event::below_high_water);
        }
        if (before > high_water / 2 && model.size() <= high_water / 2) {
          expected.push_back(Event::below_low_water);
        }
        if (busy && model.empty()) {
          blocked = busy = false;
          expected.push_back(Event::emptied);
        }
      }
      REQUIRE(probe.take() == expected);
      REQUIRE(outbox.bytes() == model.size());
      REQUIRE(outbox.empty() == model.empty());
      REQUIRE(total.bytes == 1000 + model.size());
      REQUIRE(outbox.is_above_high_water() == (model.size() >= high_water));
      REQUIRE(outbox.oldest() ==
              (times.empty() ? std::optional<Outbox::time_point>() : std::optional(times.front())));
    }
    outbox.watch({});
    REQUIRE(total.bytes == 1000);
    REQUIRE(total.entries == 0);
  }
}

}  // namespace
}  // namespace roost
