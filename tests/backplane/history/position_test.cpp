// SPDX-License-Identifier: MIT
// Positions as text, and which rooms are recorded.
#include <roost/backplane/history.hpp>
#include <roost/backplane/history/position.hpp>

#include <chrono>
#include <random>
#include <string>
#include <string_view>

#include "catch.hpp"
#include "support/bench.hpp"

namespace roost::detail {
namespace {

using namespace std::chrono_literals;
using test::message_of;

TEST_CASE("a position is read as it was written", "[history]") {
  std::mt19937_64 random(1);
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{7}, Position::max_number}) {
    const Position position{Epoch::random(random), number, Mark::random(random)};
    const std::string text = to_string(position);
    CHECK(text.size() <= Position::max_length);
    CHECK(parse_position(text) == position);
  }
  CHECK(to_string(Position{}) == "--------.0.------");
}

TEST_CASE("a text that is not exactly a position is refused", "[history]") {
  CHECK(parse_position("abcdefgh.12.uvwxyz"));
  for (const std::string_view text :
       {"", "abcdefgh", "abcdefgh..uvwxyz", "abcdefgh.12.uvwxy", "abcdefg.12.uvwxyz",
        "abcdefgh.12.uvwxyz ", " abcdefgh.12.uvwxyz", "abcdefgh.012.uvwxyz", "abcdefgh.+1.uvwxyz",
        "abcdefgh.-1.uvwxyz", "abcdefgh.1x.uvwxyz", "abcdefgh.9007199254740992.uvwxyz",
        "abcdefgh.99999999999999999999999.uvwxyz", "abcdefgh.1.2.uvwxyz", "abcde,gh.12.uvwxyz",
        "abcdefgh.12.uv:xyz", "abcdefgh 12.uvwxyz", "abcdefgh.12 uvwxyz", "abcdef%h.12.uvwxyz"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_position(text));
  }
  CHECK_FALSE(parse_position(std::string_view("abcdefgh.1\0.uvwxyz", 18)));
  CHECK_FALSE(parse_position("\xC3\xA4gcdefgh.12.uvwxyz"));
}

TEST_CASE("random tags use the whole alphabet and differ", "[history]") {
  std::mt19937_64 random(1);
  std::string seen;
  for (int i = 0; i < 200; ++i) {
    const Epoch epoch = Epoch::random(random);
    CHECK(epoch != Epoch::random(random));
    CHECK(Epoch::parse(epoch.view()) == epoch);
    seen += epoch.view();
  }
  for (const char c : Epoch::alphabet) CHECK(seen.find(c) != std::string::npos);
}

TEST_CASE("the first rule that matches a room applies", "[history]") {
  const HistoryOptions options{.rules = {{.rooms = "lobby"}, {.rooms = "chat/*"}}};
  const auto rule = [&](std::string_view room) { return find_rule(options, room); };
  CHECK(rule("lobby") == &options.rules[0]);
  CHECK(rule("chat/") == &options.rules[1]);
  CHECK(rule("chat/a/b") == &options.rules[1]);
  for (const char* const room : {"lobby2", "lobb", "chat", "", "*"}) CHECK(rule(room) == nullptr);
  const HistoryOptions all{.rules = {{.rooms = "a*"}, {.rooms = "*"}, {.rooms = "b"}}};
  CHECK(find_rule(all, "ab") == &all.rules[0]);
  CHECK(find_rule(all, "b") == &all.rules[1]);
  CHECK(find_rule(HistoryOptions{}, "b") == nullptr);
}

TEST_CASE("a rule outside its legal range is named", "[history]") {
  const auto refusal = [](const HistoryOptions& options) {
    return message_of([&] { check_history(options); });
  };
  const auto names = [](const std::string& message, const char* field) {
    CAPTURE(message, field);
    CHECK(message.find(field) != std::string::npos);
  };
  check_history({});
  check_history({.rules = {{.rooms = "*", .max_messages = 10'000, .max_bytes = 67'108'864}}});
  const HistoryRule good{.rooms = "lobby"};
  const auto rule = [&](auto change) {
    HistoryRule bad{.rooms = "lobby"};
    change(bad);
    return refusal({.rules = {good, bad}});
  };
  names(rule([](auto& bad) { bad.rooms = ""; }), "rules[1].rooms");
  names(rule([](auto& bad) { bad.rooms = "a*b"; }), "rules[1].rooms");
  names(rule([](auto& bad) { bad.rooms = "**"; }), "rules[1].rooms");
  names(rule([](auto& bad) { bad.rooms = "a\n"; }), "rules[1].rooms");
  names(rule([](auto& bad) { bad.rooms = "\xFF"; }), "rules[1].rooms");
  names(rule([](auto& bad) { bad.max_messages = 0; }), "rules[1].max_messages");
  names(rule([](auto& bad) { bad.max_messages = 10'001; }), "rules[1].max_messages");
  names(rule([](auto& bad) { bad.max_bytes = 4095; }), "rules[1].max_bytes");
  names(rule([](auto& bad) { bad.max_bytes = 67'108'865; }), "rules[1].max_bytes");
  names(rule([](auto& bad) { bad.max_age = 999ms; }), "rules[1].max_age");
  names(rule([](auto& bad) { bad.max_age = 169h; }), "rules[1].max_age");
  names(refusal({.rules = {good}, .position_age = 5min}), "position_age");
  names(refusal({.rules = {good}, .position_age = 8761h}), "position_age");
  names(refusal({.rules = {good}, .max_rooms = 0}), "max_rooms");
  names(refusal({.rules = std::vector<HistoryRule>(65, good)}), "rules");
}

}  // namespace
}  // namespace roost::detail
