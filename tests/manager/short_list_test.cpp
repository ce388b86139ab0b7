// SPDX-License-Identifier: MIT
#include <cstddef>
#include <memory>
#include <roost/manager/registry/room_index.hpp>
#include <string>
#include <vector>

#include "catch.hpp"

namespace roost::detail {
namespace {

using Owned = std::unique_ptr<int>;

std::vector<int> values_of(const ShortList<int>& list) { return {list.begin(), list.end()}; }

}  // namespace

TEST_CASE("a short list keeps the order of its elements, whether they are one or several") {
  ShortList<int> list;
  CHECK(list.empty());
  std::vector<int> expected;
  for (const int value : {1, 2, 3, 4, 5}) {
    list.push_back(value);
    expected.push_back(value);
    CHECK(values_of(list) == expected);
    CHECK(list.size() == expected.size());
    CHECK(list.back() == value);
  }
  list[0] = 9;
  expected[0] = 9;
  while (!expected.empty()) {
    CHECK(values_of(list) == expected);
    list.pop_back();
    expected.pop_back();
  }
  CHECK(list.empty());
}

TEST_CASE("a short list that was emptied can be filled again") {
  ShortList<std::string> list;
  const auto count = GENERATE(1, 2, 3);
  for (int i = 0; i < count; ++i) list.push_back(std::to_string(i));
  while (!list.empty()) list.pop_back();
  list.push_back("a");
  list.push_back("b");
  CHECK(std::vector<std::string>(list.begin(), list.end()) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("the single element of a short list is inside of the list") {
  ShortList<Owned> list;
  const auto is_inside = [&] {
    const auto* const begin = reinterpret_cast<const std::byte*>(&list);
    const auto* const at = reinterpret_cast<const std::byte*>(&list.back());
    return at >= begin && at < begin + sizeof list;
  };
  list.reserve_one_more();
  list.push_back(std::make_unique<int>(1));
  CHECK(is_inside());
  list.push_back(std::make_unique<int>(2));
  CHECK_FALSE(is_inside());
  CHECK(*list[0] == 1);
}

TEST_CASE("a short list with a reserve takes one more element without moving the others") {
  ShortList<int> list;
  for (const int value : {1, 2, 3, 4, 5, 6, 7}) {
    list.reserve_one_more();
    const int* const first = list.size() > 1 ? &list[0] : nullptr;
    list.push_back(value);
    if (first) CHECK(first == &list[0]);
  }
}

}  // namespace roost::detail
