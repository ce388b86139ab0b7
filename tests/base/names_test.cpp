// SPDX-License-Identifier: MIT
#include <roost/base/names.hpp>

#include <array>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using Strings = std::vector<std::string>;

// As an argument, which is how Names are used.
Strings read(const Names& names) {
  Strings out;
  for (const std::string_view name : names) out.emplace_back(name);
  CHECK(out.size() == names.size());
  CHECK(out.empty() == names.empty());
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(names[i] == out[i]);
  return out;
}

struct WithNames {
  Names rooms = {};
};
Strings read_options(const WithNames& options) { return read(options.rooms); }

TEST_CASE("names can be spelt as one string of any type", "[names]") {
  const std::string string = "lobby";
  const std::string_view view = string;
  const char* const pointer = "lobby";
  const Strings expected{"lobby"};
  CHECK(read("lobby") == expected);
  CHECK(read(string) == expected);
  CHECK(read(view) == expected);
  CHECK(read(pointer) == expected);
  CHECK(read(std::string("lob") + "by") == expected);
  CHECK(read_options({.rooms = "lobby"}) == expected);
  CHECK(read_options({.rooms = string}) == expected);
  CHECK(read_options({.rooms = {"lobby"}}) == expected);
  CHECK(read_options({.rooms = {string}}) == expected);
  CHECK(read("") == Strings{""});
}

TEST_CASE("names can be spelt as up to four strings in braces", "[names]") {
  const std::string string = "c";
  const std::string_view view = "d";
  CHECK(read({"a", "b"}) == Strings{"a", "b"});
  CHECK(read_options({.rooms = {"a", std::string("b"), string, view}}) ==
        Strings{"a", "b", "c", "d"});
  CHECK(read_options({.rooms = {string, string}}) == Strings{"c", "c"});
}

TEST_CASE("names can be spelt as a contiguous range of strings", "[names]") {
  const Strings vector{"a", "b", "c"};
  const std::vector<std::string_view> views{"a", "b", "c"};
  const std::array<std::string_view, 3> array{"a", "b", "c"};
  const std::array<std::string, 3> strings{"a", "b", "c"};
  const char* const pointers[] = {"a", "b", "c"};
  const std::string_view plain[] = {"a", "b", "c"};
  CHECK(read(vector) == vector);
  CHECK(read(views) == vector);
  CHECK(read(array) == vector);
  CHECK(read(strings) == vector);
  CHECK(read(pointers) == vector);
  CHECK(read(plain) == vector);
  CHECK(read(std::span(vector)) == vector);
  CHECK(read(std::span(vector).subspan(1)) == Strings{"b", "c"});
  CHECK(read_options({.rooms = vector}) == vector);
  CHECK(read_options({.rooms = Strings{"x", "y"}}) == Strings{"x", "y"});
  Strings nine(9, "n");
  CHECK(read_options({.rooms = nine}) == nine);
}

TEST_CASE("no names are none", "[names]") {
  CHECK(read({}) == Strings{});
  CHECK(read_options({}) == Strings{});
  CHECK(read_options({.rooms = {}}) == Strings{});
  CHECK(read(Strings{}) == Strings{});
}

TEST_CASE("an empty list of names can be told from names that were not given", "[names]") {
  const auto is_given = [](const Names& names) { return names.is_given(); };
  CHECK_FALSE(is_given({}));
  CHECK_FALSE(is_given(Names()));
  CHECK(is_given(Strings{}));
  CHECK(is_given(std::vector<std::string_view>{}));
  CHECK(is_given("a"));
  CHECK(is_given({"a", "b"}));
}

TEST_CASE("a copy of names refers to the same strings", "[names]") {
  const Strings strings{"a", "b"};
  const Names names = strings;
  const Names copy = names;  // NOLINT: a copy on purpose
  CHECK(read(copy) == strings);
  CHECK(copy[0].data() == strings[0].data());
  const Names braced = {"x", "y"};
  Names assigned;
  assigned = braced;
  CHECK(read(assigned) == Strings{"x", "y"});
}

// This makes them safe in a co_await expression on g++ 12.
static_assert(std::is_trivially_destructible_v<Names>);
static_assert(std::is_trivially_copyable_v<Names>);
static_assert(std::forward_iterator<Names::iterator>);

// Five names do not compile, nor does a name of another type.
static_assert(std::is_constructible_v<Names, const char*, const char*, const char*, const char*>);
static_assert(!std::is_constructible_v<Names, const char*, const char*, const char*, const char*,
                                       const char*>);
static_assert(!std::is_constructible_v<Names, int>);
static_assert(!std::is_constructible_v<Names, std::vector<int>>);

}  // namespace
}  // namespace roost
