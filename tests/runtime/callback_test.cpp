// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <memory>
#include <roost/runtime/detail/callback.hpp>
#include <string>
#include <utility>

#include "catch.hpp"

namespace roost::detail {
namespace {

using Small = Callback<void(int), 2 * sizeof(void*)>;
using Token = std::shared_ptr<int>;

/// A function object of @p size bytes or more, which owns a token and adds to it.
template <std::size_t size>
auto adder(const Token& sum) {
  return [sum, padding = std::array<char, size>()](int n) { *sum += n + padding[0]; };
}

}  // namespace

TEMPLATE_TEST_CASE_SIG("a callback owns its function until it is called or destroyed", "[runtime]",
                       ((std::size_t size), size), 1, 64) {
  const auto sum = std::make_shared<int>(0);
  Small empty;
  CHECK_FALSE(empty);
  Small callback = adder<size>(sum);
  CHECK(sum.use_count() == 2);
  Small moved = std::move(callback);
  CHECK(moved);
  CHECK_FALSE(callback);  // NOLINT: it is known to be empty
  CHECK(sum.use_count() == 2);
  std::move(moved)(5);
  CHECK(*sum == 5);
  CHECK_FALSE(moved);  // NOLINT
  CHECK(sum.use_count() == 1);
  {
    const Small dropped = adder<size>(sum);
    CHECK(sum.use_count() == 2);
  }
  CHECK(sum.use_count() == 1);
}

TEST_CASE("an assignment to a callback destroys the function before") {
  const auto first = std::make_shared<int>(0);
  const auto second = std::make_shared<int>(0);
  Small callback = adder<1>(first);
  callback = adder<64>(second);
  CHECK(first.use_count() == 1);
  std::move(callback)(1);
  CHECK(*second == 1);
}

TEST_CASE("a function that is called may set its callback again") {
  Small callback;
  std::string calls;
  callback = [&](int n) {
    calls += std::to_string(n);
    callback = [&](int m) { calls += "again " + std::to_string(m); };
  };
  std::move(callback)(1);
  REQUIRE(callback);
  std::move(callback)(2);
  CHECK(calls == "1again 2");
}

}  // namespace roost::detail
