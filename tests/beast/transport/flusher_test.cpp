// SPDX-License-Identifier: MIT
// When outboxes are flushed. Nothing here has a socket.
#include <roost/beast/transport/flusher.hpp>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <roost/testing/run.hpp>
#include <stdexcept>
#include <utility>

#include "catch.hpp"

namespace roost {
namespace {

using detail::Flushable;
using detail::Flusher;

struct Box final : Flushable {
  explicit Box(std::function<void()> f = {}) : then(std::move(f)) {}
  void flush() override {
    ++flushes;
    if (then) then();
  }
  std::function<void()> then;
  std::size_t flushes = 0;
};

struct Burst {
  boost::asio::io_context context;
  std::shared_ptr<Flusher> flusher = Flusher::of(context.get_executor());

  void push(Box& box, std::size_t queued_bytes = 1) {
    flusher->mark_dirty(box);
    flusher->note_frame(queued_bytes);
  }
  /// Calls @p f in every turn of the loop, for as long as it says so.
  void each_turn(std::function<bool()> f) {
    boost::asio::post(context, [this, f = std::move(f)] {
      if (f()) each_turn(f);
    });
  }
};

TEST_CASE("frames of a burst are flushed together, once", "[flusher]") {
  // A burst of more than a millisecond is flushed in between, and rightly so: on a busy machine
  // this one may take longer.
  constexpr auto longest = std::chrono::milliseconds(1);
  std::chrono::steady_clock::duration took = longest;
  for (int attempt = 0; took >= longest && attempt < 1'000; ++attempt) {
    Burst world;
    Box box;
    int frames = 0;
    std::size_t flushed_early = 0;
    const auto began = std::chrono::steady_clock::now();
    world.each_turn([&] {
      world.push(box);
      flushed_early = box.flushes;
      return ++frames < 20;
    });
    testing::run_ready(world.context);
    took = std::chrono::steady_clock::now() - began;
    if (took >= longest) continue;
    CHECK(frames == 20);
    CHECK(flushed_early == 0);
    CHECK(box.flushes == 1);
    world.push(box);
    testing::run_ready(world.context);
    CHECK(box.flushes == 2);
  }
  CHECK(took < longest);
}

TEST_CASE("a burst that does not end is flushed all the same", "[flusher]") {
  Burst world;
  Box box;
  world.each_turn([&] {
    world.push(box);
    return box.flushes < 2;
  });
  testing::run_ready(world.context);
  CHECK(box.flushes >= 2);
}

TEST_CASE("an outbox that holds 64 KiB ends the burst at once", "[flusher]") {
  Burst world;
  Box box;
  Box full;
  int turns = 0;
  world.push(box);
  world.push(full, 65'536);
  world.each_turn([&] {
    world.push(box);
    ++turns;
    return full.flushes == 0;
  });
  testing::run_ready(world.context);
  CHECK(turns == 1);
  CHECK(full.flushes == 1);
}

TEST_CASE("a flush of thousands leaves the loop turns for other work", "[flusher]") {
  Burst world;
  std::size_t flushed = 0;
  std::deque<Box> boxes;
  for (int i = 0; i < 10'000; ++i) {
    world.push(boxes.emplace_back([&] { ++flushed; }));
  }
  std::size_t seen = 0;
  std::size_t most_at_once = 0;
  world.each_turn([&] {
    most_at_once = std::max(most_at_once, flushed - std::exchange(seen, flushed));
    return flushed < boxes.size();
  });
  testing::run_ready(world.context);
  CHECK(flushed == boxes.size());
  CHECK(most_at_once > 0);
  CHECK(most_at_once <= 256);
}

TEST_CASE("a channel that comes while others are flushed is flushed after them", "[flusher]") {
  Burst world;
  Box early;
  bool is_first = true;
  Box late([&] {
    if (std::exchange(is_first, false)) world.push(early);
  });
  world.push(early);
  world.push(late);
  testing::run_ready(world.context);
  CHECK(early.flushes == 2);
  CHECK(late.flushes == 1);
}

TEST_CASE("a channel that is forgotten is not flushed, at any time", "[flusher]") {
  Burst world;
  Box gone_before;
  Box gone_meanwhile;
  Box last;
  Box first([&] { world.flusher->forget(gone_meanwhile); });
  world.push(first);
  world.push(gone_before);
  world.push(gone_meanwhile);
  world.push(last);
  world.flusher->forget(gone_before);
  testing::run_ready(world.context);
  CHECK(gone_before.flushes == 0);
  CHECK(gone_meanwhile.flushes == 0);
  CHECK(first.flushes == 1);
  CHECK(last.flushes == 1);
}

TEST_CASE("a flush that throws keeps nobody else from being flushed", "[flusher]") {
  Burst world;
  Box bad([] { throw std::runtime_error("flush"); });
  Box good;
  world.push(bad);
  world.push(good);
  CHECK_THROWS_AS(testing::run_ready(world.context), std::runtime_error);
  testing::run_ready(world.context);
  CHECK(good.flushes == 1);
}

}  // namespace
}  // namespace roost
