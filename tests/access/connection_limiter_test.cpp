// SPDX-License-Identifier: MIT
#include <roost/access/connection_limiter.hpp>

#include <cstddef>
#include <optional>
#include <roost/base/log.hpp>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using Slot = ConnectionLimiter::Slot;

TEST_CASE("a key has so many connections, and another key its own", "[limiter]") {
  ManualClock clock;
  ConnectionLimiter limiter({.max_connections = 2, .rate = {}}, clock);
  std::optional<Slot> first = limiter.admit("alice");
  const Slot second = limiter.admit("alice");
  CHECK(*first);
  CHECK(second);
  const Slot refused = limiter.admit("alice");
  CHECK_FALSE(refused);
  CHECK(refused.retry_after() == 10s);
  CHECK(limiter.admit("bob"));
  first.reset();
  CHECK(limiter.admit("alice"));
}

TEST_CASE("a slot that is moved or released counts once", "[limiter]") {
  ManualClock clock;
  ConnectionLimiter limiter({.max_connections = 1, .rate = {}}, clock);
  Slot slot = limiter.admit("alice");
  Slot other = std::move(slot);
  CHECK_FALSE(limiter.admit("alice"));
  Slot& same = other;  // compilers warn of what is plainly itself
  other = std::move(same);
  CHECK_FALSE(limiter.admit("alice"));
  other.release();
  other.release();
  Slot again = limiter.admit("alice");
  CHECK(again);
  again = Slot();
  CHECK(limiter.admit("alice"));
}

TEST_CASE("new connections of a key come at its rate, and the refused say when", "[limiter]") {
  ManualClock clock;
  ConnectionLimiter limiter({.max_connections = 0, .rate = {.per_second = 1, .burst = 3}}, clock);
  for (int i = 0; i < 3; ++i) CHECK(limiter.admit("alice"));  // gone at once, and still counted
  const Slot refused = limiter.admit("alice");
  CHECK_FALSE(refused);
  CHECK(refused.retry_after() == 1s);
  CHECK(limiter.admit("bob"));
  clock.advance(500ms);
  CHECK_FALSE(limiter.admit("alice"));
  clock.advance(500ms);
  CHECK(limiter.admit("alice"));
  CHECK_FALSE(limiter.admit("alice"));
}

TEST_CASE("an empty key has no limit", "[limiter]") {
  ManualClock clock;
  ConnectionLimiter limiter({.max_connections = 1, .rate = {.per_second = 1}}, clock);
  std::vector<Slot> slots;
  for (int i = 0; i < 50; ++i) slots.push_back(limiter.admit(""));
  for (const Slot& slot : slots) CHECK(slot);
  CHECK(limiter.size() == 0);
}

TEST_CASE("keys that have nothing and owe nothing are forgotten", "[limiter]") {
  ManualClock clock;
  ConnectionLimiter limiter({.max_connections = 5, .rate = {.per_second = 1, .burst = 2}}, clock);
  const Slot kept = limiter.admit("kept");
  std::size_t most = 0;
  for (int second = 0; second < 200; ++second) {
    for (int i = 0; i < 100; ++i) {
      CHECK(limiter.admit(std::to_string(second) + "/" + std::to_string(i)));
    }
    clock.advance(1s);
    most = std::max(most, limiter.size());
  }
  CHECK(most < 2'000);
  for (int i = 0; i < 4; ++i) {
    clock.advance(1s);
    CHECK(limiter.admit("kept"));
  }
}

TEST_CASE("slots may outlive their limiter", "[limiter]") {
  std::optional<ConnectionLimiter> limiter(std::in_place);
  const Slot slot = limiter->admit("alice");
  limiter.reset();
  CHECK(slot);
}

TEST_CASE("a limiter: limits outside their range are refused by name", "[limiter]") {
  CHECK(contains(
      message_of([] { ConnectionLimiter limiter({.rate = {.per_second = 2'000'000'000}}); }),
      "rate.per_second"));
}

TEST_CASE("an address is its own key, an IPv6 one that of its /64", "[limiter]") {
  const auto key = [](const char* address) {
    return address_key(boost::asio::ip::make_address(address));
  };
  CHECK(key("203.0.113.7") == "203.0.113.7");
  CHECK(key("::ffff:203.0.113.7") == "203.0.113.7");
  CHECK(key("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
  CHECK(key("2001:db8:1:2:ffff::1") == key("2001:db8:1:2::1"));
  CHECK(key("2001:db8:1:3::1") != key("2001:db8:1:2::1"));
}

TEST_CASE("addresses that a proxy has are no keys", "[limiter]") {
  for (const char* inside :
       {"127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "100.64.0.1", "169.254.1.1", "::ffff:10.0.0.1", "::1", "fd00::1", "fc00::1", "fe80::1"}) {
    CAPTURE(inside);
    CHECK(address_key(boost::asio::ip::make_address(inside)).empty());
  }
  for (const char* outside :
       {"126.255.255.255", "128.0.0.1", "11.0.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1",
        "192.169.1.1", "100.128.0.1", "2001:db8::1"}) {
    CAPTURE(outside);
    CHECK_FALSE(address_key(boost::asio::ip::make_address(outside)).empty());
  }
}

TEST_CASE("of each kind an event is logged at once, then one a second with the others counted",
          "[log_throttle]") {
  detail::LogThrottle throttle;
  const Clock::time_point start{5h};
  CHECK(throttle.admit("refused", start) == 0U);
  for (int i = 0; i < 999; ++i) CHECK_FALSE(throttle.admit("refused", start + i * 1ms));
  CHECK(throttle.admit("dropped", start + 1ms) == 0U);
  CHECK(throttle.admit("refused", start + 1s) == 999U);
  CHECK_FALSE(throttle.admit("refused", start + 1'999ms));
  CHECK(throttle.admit("refused", start + 1h) == 1U);
  CHECK(throttle.admit("refused", start + 2h) == 0U);
}

}  // namespace
}  // namespace roost
