// SPDX-License-Identifier: MIT
#include <roost/manager/sending/backpressure.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using detail::Backpressure;
using detail::Delivery;
using State = Backpressure::State;
using std::chrono::milliseconds;

const Backpressure::time_point t0{std::chrono::hours(9)};
constexpr milliseconds wait{250};

std::shared_ptr<Delivery> delivery_of(std::size_t pending) {
  auto delivery = std::make_shared<Delivery>();
  delivery->pending = pending;
  return delivery;
}

// As a connection does that ends: whoever waits is told.
void abandon(Backpressure& backpressure) {
  while (auto parked = backpressure.take()) {
    if (parked->delivery) parked->delivery->settle_one();
  }
}

std::vector<std::string> unpark_all(Backpressure& backpressure) {
  std::vector<std::string> texts;
  while (auto parked = backpressure.unpark()) {
    texts.emplace_back(parked->frame.payload_text());
    if (parked->delivery) parked->delivery->settle_one();
  }
  return texts;
}

TEST_CASE("a recipient is open, congested above the mark, and open below it", "[backpressure]") {
  Backpressure backpressure;
  CHECK(backpressure.is_open());
  backpressure.on_above_high_water(t0);
  CHECK(backpressure.state() == State::congested);
  backpressure.on_below_high_water();
  CHECK(backpressure.is_open());
}

TEST_CASE("a congested recipient turns slow once the wait is over", "[backpressure]") {
  Backpressure backpressure;
  backpressure.on_above_high_water(t0);
  backpressure.on_above_high_water(t0 + milliseconds(200));  // it has been so since t0
  backpressure.expire(t0 + milliseconds(249), wait);
  CHECK(backpressure.state() == State::congested);
  backpressure.expire(t0 + wait, wait);
  CHECK(backpressure.state() == State::slow);
}

TEST_CASE("a slow recipient stays slow until it is below half the mark", "[backpressure]") {
  Backpressure backpressure;
  backpressure.on_above_high_water(t0);
  backpressure.expire(t0 + wait, wait);
  backpressure.on_below_high_water();
  CHECK(backpressure.state() == State::slow);
  backpressure.on_above_high_water(t0 + milliseconds(300));
  CHECK(backpressure.state() == State::slow);  // nobody waits a second time
  backpressure.on_below_low_water();
  CHECK(backpressure.is_open());
  backpressure.on_above_high_water(t0 + milliseconds(400));
  CHECK(backpressure.state() == State::congested);
  backpressure.expire(t0 + milliseconds(649), wait);
  CHECK(backpressure.state() == State::congested);
}

TEST_CASE("a recipient that trickles across the mark gets no new wait", "[backpressure]") {
  Backpressure backpressure;
  backpressure.set_episode_bytes(100);
  backpressure.on_above_high_water(t0);
  for (int i = 1; i <= 4; ++i) {
    backpressure.park(Frame::text("10 bytes"), nullptr);  // 40 in all
    backpressure.on_below_high_water();
    REQUIRE(backpressure.unpark());
    backpressure.on_above_high_water(t0 + i * milliseconds(50));
  }
  backpressure.expire(t0 + milliseconds(249), wait);
  CHECK(backpressure.state() == State::congested);
  backpressure.expire(t0 + wait, wait);
  CHECK(backpressure.state() == State::slow);
}

TEST_CASE("a recipient that took as much as the mark gets a new wait", "[backpressure]") {
  Backpressure backpressure;
  backpressure.set_episode_bytes(100);
  backpressure.on_above_high_water(t0);
  backpressure.park(Frame::text(std::string(98, 'x')), nullptr);
  backpressure.on_below_high_water();
  REQUIRE(backpressure.unpark());
  backpressure.on_above_high_water(t0 + milliseconds(200));
  backpressure.expire(t0 + milliseconds(449), wait);
  CHECK(backpressure.state() == State::congested);
  backpressure.expire(t0 + milliseconds(450), wait);
  CHECK(backpressure.state() == State::slow);
}

TEST_CASE("a recipient that went below half the mark gets a new wait", "[backpressure]") {
  Backpressure backpressure;
  backpressure.set_episode_bytes(100);
  backpressure.on_above_high_water(t0);
  backpressure.on_below_high_water();
  backpressure.on_below_low_water();
  backpressure.on_above_high_water(t0 + milliseconds(200));
  backpressure.expire(t0 + milliseconds(449), wait);
  CHECK(backpressure.state() == State::congested);
}

TEST_CASE("no wait at all makes a congested recipient slow at once", "[backpressure]") {
  Backpressure backpressure;
  backpressure.on_above_high_water(t0);
  backpressure.expire(t0, milliseconds(0));
  CHECK(backpressure.state() == State::slow);
}

TEST_CASE("only a congested recipient with a frame that waits has a deadline", "[backpressure]") {
  Backpressure backpressure;
  CHECK_FALSE(backpressure.deadline(wait));
  backpressure.on_above_high_water(t0);
  CHECK_FALSE(backpressure.deadline(wait));
  backpressure.park(Frame::text("a"), delivery_of(1));
  CHECK(backpressure.deadline(wait) == t0 + wait);
  backpressure.expire(t0 + wait, wait);
  CHECK_FALSE(backpressure.deadline(wait));
  abandon(backpressure);
}

TEST_CASE("parked frames come out in order once the recipient takes frames", "[backpressure]") {
  Backpressure backpressure;
  const auto first = delivery_of(1);
  const auto second = delivery_of(2);
  backpressure.on_above_high_water(t0);
  backpressure.park(Frame::text("1"), first);
  backpressure.park(Frame::text("2"), nullptr);
  backpressure.park(Frame::text("3"), second);
  CHECK(backpressure.has_parked());
  CHECK(unpark_all(backpressure).empty());
  CHECK(first->pending == 1);

  SECTION("because it went below the mark") { backpressure.on_below_high_water(); }
  SECTION("because it went below half the mark") { backpressure.on_below_low_water(); }
  SECTION("because it is slow") { backpressure.expire(t0 + wait, wait); }
  CHECK(unpark_all(backpressure) == std::vector<std::string>{"1", "2", "3"});
  CHECK_FALSE(backpressure.has_parked());
  CHECK(first->pending == 0);
  CHECK(second->pending == 1);
}

TEST_CASE("parked frames stop coming when the first of them fill the outbox", "[backpressure]") {
  Backpressure backpressure;
  backpressure.on_above_high_water(t0);
  backpressure.park(Frame::text("1"), nullptr);
  backpressure.park(Frame::text("2"), nullptr);
  backpressure.on_below_high_water();
  REQUIRE(backpressure.unpark());
  backpressure.on_above_high_water(t0);
  CHECK_FALSE(backpressure.unpark());
  CHECK(backpressure.has_parked());
}

TEST_CASE("a frame that nobody waits for counts as queued while it is parked", "[backpressure]") {
  Backpressure backpressure;
  CHECK(backpressure.posted_bytes() == 0);
  backpressure.on_above_high_water(t0);
  backpressure.park(Frame::text("12345678"), nullptr);
  CHECK(backpressure.posted_bytes() == 10);
  backpressure.park(Frame::text("12345678"), delivery_of(1));
  CHECK(backpressure.posted_bytes() == 10);
  backpressure.park(Frame::text(""), nullptr);
  CHECK(backpressure.posted_bytes() == 12);
  backpressure.on_below_high_water();
  REQUIRE(backpressure.unpark());
  CHECK(backpressure.posted_bytes() == 2);
  unpark_all(backpressure);
  CHECK(backpressure.posted_bytes() == 0);
}

TEST_CASE("giving up tells every sender and forgets every frame", "[backpressure]") {
  Backpressure backpressure;
  const auto delivery = delivery_of(3);
  backpressure.on_above_high_water(t0);
  backpressure.park(Frame::text("1"), delivery);
  backpressure.park(Frame::text("2"), nullptr);
  backpressure.park(Frame::text("3"), delivery);
  abandon(backpressure);
  CHECK(delivery->pending == 1);  // the third recipient has not answered yet
  CHECK_FALSE(backpressure.has_parked());
  CHECK(backpressure.posted_bytes() == 0);
  abandon(backpressure);
  CHECK(delivery->pending == 1);
}

}  // namespace
}  // namespace roost
