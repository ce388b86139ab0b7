// SPDX-License-Identifier: MIT
#include <roost/access/rate_limit.hpp>

#include <chrono>
#include <cstddef>
#include <string>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost {
namespace {

using namespace test;
using detail::TokenBucket;

const TokenBucket::time_point opening{std::chrono::hours(5)};

std::size_t take_all(TokenBucket& bucket, const RateLimit& limit, TokenBucket::time_point now) {
  std::size_t taken = 0;
  while (taken < 10'000 && bucket.try_take(limit, now)) ++taken;
  return taken;
}

TEST_CASE("a bucket gives a burst at once, and then its rate", "[token_bucket]") {
  constexpr RateLimit limit{.per_second = 10, .burst = 25};
  TokenBucket bucket;
  CHECK(bucket.is_full(opening));
  CHECK(take_all(bucket, limit, opening) == 25);
  CHECK_FALSE(bucket.is_full(opening));
  CHECK(bucket.ready_at(limit) == opening + 100ms);
  CHECK_FALSE(bucket.try_take(limit, opening + 99ms));
  CHECK(take_all(bucket, limit, opening + 100ms) == 1);
  CHECK(take_all(bucket, limit, opening + 1s) == 9);
  CHECK(take_all(bucket, limit, opening + 1h) == 25);  // a pause gives no more than a burst
}

TEST_CASE("without a burst a bucket holds what comes in a second", "[token_bucket]") {
  constexpr RateLimit limit{.per_second = 7};
  TokenBucket bucket;
  CHECK(take_all(bucket, limit, opening) == 7);
}

TEST_CASE("a bucket without a rate gives everything", "[token_bucket]") {
  TokenBucket bucket;
  CHECK(take_all(bucket, {}, opening) == 10'000);
  CHECK(bucket.is_full(opening));
}

TEST_CASE("a debt is paid before anything is given again", "[token_bucket]") {
  constexpr RateLimit limit{.per_second = 100, .burst = 100};
  TokenBucket bucket;
  bucket.take(limit, opening, 350);
  CHECK(bucket.ready_at(limit) == opening + 2'510ms);
  CHECK_FALSE(bucket.try_take(limit, opening + 2'500ms));
  CHECK(bucket.try_take(limit, opening + 2'510ms));
  CHECK_FALSE(bucket.is_full(opening + 3'500ms));
  CHECK(bucket.is_full(opening + 3'510ms));
}

TEST_CASE("more than a burst is given when the bucket is full", "[token_bucket]") {
  constexpr RateLimit limit{.per_second = 10, .burst = 10};
  TokenBucket bucket;
  CHECK(bucket.try_take(limit, opening, 1'000));
  CHECK_FALSE(bucket.try_take(limit, opening + 99s, 1'000));
  CHECK(bucket.try_take(limit, opening + 100s, 1'000));
}

TEST_CASE("a rate outside its range is refused by name", "[token_bucket]") {
  const auto error = [](RateLimit limit) {
    return message_of([&] { detail::validate(limit, "rate"); });
  };
  CHECK(contains(error({.per_second = 1'000'000'001}), "rate.per_second"));
  CHECK(contains(error({.per_second = 1, .burst = 1'000'000'001}), "rate.burst"));
  CHECK(contains(error({.per_second = 1, .burst = 200'000}), "rate.burst"));
  CHECK_NOTHROW(detail::validate({.per_second = 1'000'000'000, .burst = 1'000'000'000}, "rate"));
  CHECK_NOTHROW(detail::validate({}, "rate"));
}

}  // namespace
}  // namespace roost
