// SPDX-License-Identifier: MIT
// What an outbox drops, and what it never does.
#include <roost/socket/detail/outbox.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <random>
#include <roost/manager/sending/frame_memory.hpp>
#include <roost/socket/frame.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "support/outbox_probe.hpp"

namespace roost {
namespace {

using detail::Outbox;
using test::OutboxProbe;
using test::start;
using Result = Queueing::Result;
using Strings = std::vector<std::string>;

constexpr FramePolicy newest{.overflow = Overflow::drop_newest};
constexpr FramePolicy oldest{.overflow = Overflow::drop_oldest};
constexpr FramePolicy reliable{.overflow = Overflow::close};
constexpr FramePolicy keyed{.overflow = Overflow::drop_oldest, .key_hash = 7};

// Ten bytes on the wire.
std::string ten(std::string_view text) { return std::string(text).append(8 - text.size(), '.'); }

struct Box {
  OutboxProbe probe;
  OutboxTotal total;
  Outbox outbox;
  std::vector<std::size_t> removed;
  bool is_flushed = true;  // and the peer did not take all of it

  explicit Box(std::size_t high_water = 30, bool is_lossy = false) {
    outbox.watch(
        {.observer = &probe, .high_water = high_water, .total = &total, .is_lossy = is_lossy});
  }
  Queueing offer(std::string_view text, const FramePolicy& policy, std::string_view key = {}) {
    if (is_flushed && !outbox.empty()) outbox.mark_blocked();
    return outbox.offer(Frame::text(ten(text), key), start, policy,
                        [this](std::size_t i) { removed.push_back(i); });
  }
  void push(std::string_view text) { outbox.push(Frame::text(ten(text)), start); }
  void start_writing(std::size_t frames) {
    std::vector<std::span<const std::byte>> spans(frames);
    outbox.gather(spans);
  }
  // What is still to be written, frame by frame; empties the outbox.
  Strings rest() {
    Strings texts;
    while (!outbox.empty()) {
      std::string text(outbox.front().frame.payload_text());
      texts.push_back(text.substr(0, text.find('.')));
      outbox.consume(outbox.front().frame.size());
    }
    CHECK(total.bytes == 0);
    CHECK(total.entries == 0);
    return texts;
  }
};

TEST_CASE("below its mark an outbox takes everything, whatever the policy", "[outbox]") {
  for (const FramePolicy& policy : {newest, oldest, reliable}) {
    Box box;
    for (const char* text : {"1", "2", "3"}) {
      CHECK(box.offer(text, policy).result == Result::taken);
    }
    CHECK(box.outbox.is_above_high_water());
    CHECK(box.total.entries == 3);
    CHECK(box.rest() == Strings{"1", "2", "3"});
  }
}

TEST_CASE("at its mark the newest is dropped", "[outbox]") {
  Box box;
  for (const char* text : {"1", "2", "3"}) box.push(text);
  CHECK(box.offer("4", newest).result == Result::dropped);
  CHECK(box.outbox.bytes() == 30);
  CHECK(box.rest() == Strings{"1", "2", "3"});
}

TEST_CASE("at its mark the oldest make room for the newest", "[outbox]") {
  Box box;
  for (const char* text : {"1", "2", "3"}) box.offer(text, oldest);
  box.probe.take();
  const Queueing queueing = box.offer("4", oldest);
  CHECK(queueing.result == Result::taken);
  CHECK(queueing.displaced == 1);
  CHECK(box.removed == std::vector<std::size_t>{0});
  CHECK(box.outbox.bytes() == 30);
  CHECK(box.total.bytes == 30);
  CHECK(box.total.entries == 3);
  CHECK(box.probe.take().empty());  // it is as full as before
  CHECK(box.rest() == Strings{"2", "3", "4"});
}

TEST_CASE("frames for which no flush was tried are not dropped, however many", "[outbox]") {
  for (const FramePolicy& policy : {newest, oldest}) {
    Box box;
    box.is_flushed = false;
    for (const char* text : {"1", "2", "3", "4", "5"}) {
      const Queueing queueing = box.offer(text, policy);
      CHECK(queueing.result == Result::taken);
      CHECK(queueing.displaced == 0);
    }
    box.is_flushed = true;
    CHECK(box.offer("6", newest).result == Result::dropped);
    CHECK(box.rest() == Strings{"1", "2", "3", "4", "5"});
  }
}

TEST_CASE("a frame that may be on the wire is never dropped", "[outbox]") {
  Box box;
  for (const char* text : {"1", "2", "3"}) box.offer(text, oldest);
  box.start_writing(2);
  CHECK(box.offer("4", oldest).displaced == 1);
  CHECK(box.removed == std::vector<std::size_t>{2});
  CHECK(box.rest() == Strings{"1", "2", "4"});
}

TEST_CASE("neither are control frames, nor messages that must arrive", "[outbox]") {
  Box box;
  box.push("1");
  box.outbox.push(Frame::text(ten("control")), start, Outbox::EntryClass::control);
  box.offer("2", oldest);
  box.offer("3", reliable);
  CHECK(box.offer("4", oldest).result == Result::dropped);  // to drop "2" would not be enough
  CHECK(box.removed.empty());
  CHECK(box.rest() == Strings{"1", "control", "2", "3"});
}

TEST_CASE("no more is dropped than is needed, from the front", "[outbox]") {
  Box box(50);
  for (const char* text : {"1", "2", "3", "4"}) box.offer(text, oldest);
  box.outbox.push(Frame::text(std::string(28, 'x')), start);
  const Queueing queueing = box.offer("5", oldest);
  CHECK(queueing.displaced == 3);
  CHECK(box.removed == std::vector<std::size_t>{0, 0, 0});
  CHECK(box.rest() == Strings{"4", std::string(28, 'x'), "5"});
}

TEST_CASE("an outbox that shrank without a byte written tells so with the next byte written",
          "[outbox]") {
  Box box(30);
  box.offer("1", oldest);
  box.outbox.offer(Frame::text(std::string(28, 'x')), start, oldest, [](std::size_t) {});
  box.outbox.mark_blocked();
  box.probe.take();
  box.start_writing(1);
  CHECK(box.offer("2", oldest).displaced == 1);
  CHECK(box.outbox.bytes() == 20);
  CHECK(box.probe.take().empty());
  box.outbox.consume(1);
  CHECK(box.probe.take() == std::vector<OutboxEvent>{OutboxEvent::below_high_water});
}

TEST_CASE("the latest of a key takes the place of the one before", "[outbox]") {
  Box box;
  box.offer("a1", keyed, "a");
  box.push("text");
  box.offer("b1", keyed, "b");  // of the same hash
  CHECK(box.offer("a2", keyed, "a").result == Result::conflated);
  CHECK(box.offer("b2", keyed, "b").result == Result::conflated);
  CHECK(box.offer("b3", keyed, "b").result == Result::conflated);
  CHECK(box.outbox.bytes() == 30);
  CHECK(box.total.entries == 3);
  CHECK(box.rest() == Strings{"a2", "text", "b3"});
}

TEST_CASE("it does not if that may be on the wire", "[outbox]") {
  Box box(100);
  box.offer("a1", keyed, "a");
  box.start_writing(1);
  CHECK(box.offer("a2", keyed, "a").result == Result::taken);
  CHECK(box.offer("a3", keyed, "a").result == Result::conflated);
  CHECK(box.rest() == Strings{"a1", "a3"});
}

TEST_CASE("one that is longer or shorter counts as that, and is as old", "[outbox]") {
  Box box(30);
  const auto offer = [&](std::size_t size, Outbox::time_point now) {
    return box.outbox.offer(Frame::text(std::string(size, 'x'), "a"), now, keyed,
                            [](std::size_t) {});
  };
  offer(8, start);
  offer(28, start + std::chrono::seconds(1));
  CHECK(box.outbox.bytes() == 30);
  CHECK(box.total.bytes == 30);
  CHECK(box.outbox.oldest() == start);
  CHECK(box.probe.take() == std::vector<OutboxEvent>{OutboxEvent::above_high_water});
  offer(0, start);
  CHECK(box.outbox.bytes() == 2);
  CHECK(box.total.bytes == 2);
}

TEST_CASE("one that may not be queued may replace another", "[outbox]") {
  Box box;
  FramePolicy policy = keyed;
  policy.may_queue = false;
  CHECK(box.offer("a1", policy, "a").result == Result::dropped);
  box.offer("a1", keyed, "a");
  CHECK(box.offer("a2", policy, "a").result == Result::conflated);
  CHECK(box.rest() == Strings{"a2"});
}

TEST_CASE("in a lossy outbox every message may be dropped, one by one", "[outbox]") {
  Box box(30, true);
  box.outbox.coalesce_frames();
  detail::FrameCoalescer coalescer;
  for (const char* text : {"1", "2", "3"}) {
    box.outbox.push(coalescer.coalesce(Frame::text(ten(text))), start);
  }
  CHECK(box.total.entries == 3);
  CHECK(box.offer("4", oldest).displaced == 1);
  CHECK(box.rest() == Strings{"2", "3", "4"});
}

TEST_CASE("an outbox with policies behaves like a list, over many cycles", "[outbox]") {
  std::mt19937 random(20'261'126);
  const auto up_to = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n)(random);
  };
  struct Item {
    std::string text;
    char key = 0;
    bool is_lossy = false;
    bool is_started = false;
  };
  for (int round = 0; round < 60; ++round) {
    const std::size_t high_water = 10 * (1 + up_to(6));
    CAPTURE(round, high_water);
    Box box(high_water);
    std::vector<Item> model;
    for (int step = 0; step < 300; ++step) {
      const std::string text = std::to_string(step);
      const std::size_t what = up_to(7);
      if (what == 0) {
        box.push(text);
        model.push_back({text});
      } else if (what == 1) {
        const std::size_t n = up_to(3);
        box.start_writing(n);
        for (std::size_t i = 0; i < std::min(n, model.size()); ++i) model[i].is_started = true;
      } else if (what == 2 && !model.empty()) {
        box.start_writing(1);
        box.outbox.consume(10);
        model.erase(model.begin());
      } else if (what > 2) {
        const char key = what == 3 ? static_cast<char>('a' + up_to(2)) : '\0';
        const FramePolicy policy = what == 3 ? keyed : what == 4 ? newest : oldest;
        const std::string_view name = key ? std::string_view(&key, 1) : std::string_view();
        const Queueing queueing = box.offer(text, policy, name);
        Item* older = nullptr;
        for (Item& item : model) {
          if (key && item.key == key && !item.is_started) older = &item;
        }
        if (older) {
          REQUIRE(queueing.result == Result::conflated);
          older->text = text;
          continue;
        }
        std::vector<Item> left = model;
        if (policy.overflow == Overflow::drop_oldest) {
          for (std::size_t i = 0; i < left.size() && left.size() * 10 >= high_water;) {
            if (left[i].is_lossy && !left[i].is_started) {
              left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
            } else {
              ++i;
            }
          }
        }
        if (left.size() * 10 >= high_water) {
          REQUIRE(queueing.result == Result::dropped);
          continue;
        }
        REQUIRE(queueing.result == Result::taken);
        REQUIRE(queueing.displaced == model.size() - left.size());
        model = std::move(left);
        model.push_back({text, key, true});
      }
      REQUIRE(box.outbox.bytes() == 10 * model.size());
      REQUIRE(box.total.bytes == 10 * model.size());
      REQUIRE(box.total.entries == model.size());
    }
    Strings expected;
    for (const Item& item : model) expected.push_back(item.text);
    REQUIRE(box.rest() == expected);
  }
}

TEST_CASE("an account counts what many hold once, and ends with the last", "[frame]") {
  detail::FrameAccount::Ptr account = detail::FrameAccount::open();
  Frame frame = Frame::text(std::string(1'000, 'x'), "key");
  CHECK(frame.key() == "key");
  CHECK(frame.payload_text() == std::string(1'000, 'x'));
  CHECK(account->bytes() == 0);
  frame.charge_to(*account);
  frame.charge_to(*account);
  const std::size_t once = account->bytes();
  CHECK(once >= 1'000);
  CHECK(once < 1'100);
  std::vector<Frame> copies(50, frame);
  const Frame slice = frame.slice(4, Frame::text("abc"));
  CHECK(account->bytes() == once);
  frame = Frame();
  copies.clear();
  CHECK(account->bytes() == once);
  account.reset();  // the slice is still there: ASan tells
}

}  // namespace
}  // namespace roost
