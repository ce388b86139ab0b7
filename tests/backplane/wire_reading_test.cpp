// SPDX-License-Identifier: MIT
// A message is read without making values of it, and as a parser reads it.
#include <roost/backplane/delivery/wire_message.hpp>
#include <roost/base/error.hpp>
#include <roost/base/text/json.hpp>
#include <roost/socket/frame.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "catch.hpp"
#include "support/wire_oracle.hpp"

namespace roost::detail {
namespace {

using nlohmann::json;
using test::parsed;
using test::told;
using Strings = std::vector<std::string>;

bool is_scanned(std::string_view text) {
  JsonScanner scanner(text);
  return !scanner.value().empty() && scanner.is_at_end();
}

void check_same(const std::string& text) {
  const std::string read = told(Parcel(text).decode());
  const std::string expected = parsed(text);
  if (read == expected) return;
  CAPTURE(text);
  CHECK(read == expected);
}

bool is_message(const std::string& text) { return !Parcel(text).skipped(); }

const Strings& usual_messages() {
  static const Strings messages{
      R"({"exclude":[],"kind":"text","payload":"hello","room":"lobby"})",
      R"({"exclude":["x","y"],"kind":"json","payload":{"a":[1,-2.5,true,null]},"room":null})",
      R"({"exclude":[],"kind":"bytes","payload":"AP8H","room":"a","rooms":["b","c\n"]})",
      R"( { "kind" : "text" , "room" : "lobby" , "payload" : "t\u00e9xt" , "exclude" : [ ] } )",
      R"({"kind": "json", "room": "lobby", "payload": {"n": [1, null]}, "exclude": null})",
      R"({"kind":"text","payload":"\ud83d\ude00 \"\\\/\b\f\n\r\t","room":"\u00e9"})",
      "{\"kind\":\"text\",\"payload\":\"\xF0\x9F\x98\x80\",\"room\":\"\xC3\xA9\"}",
      R"({"room":"lobby","payload":-0})",
      R"({"kind":"text","payload":5,"rooms":[]})",
      R"({"kind":"image","payload":[],"room":null,"rooms":null})",
      R"({"payload":{}})",
      R"({"payload":[1e5,-2E-7,1.5e+300],"room":"a","trace":{"id":"x"}})",
      R"({"kind":"text","payload":"x","room":"a","overflow":"drop_newest","key":"k"})",
      R"({"kind":"text","payload":"x","overflow":"close","key":"k"})",
      R"({"kind":"text","payload":"x","overflow":7,"key":["k"]})",
      R"({"payload":{"t":"\ud83d"},"room":"a\udc00"})",
      R"({"kind":"text","payload":"\ud800\u0041 \ude00\ud83d \ud83d\ude00","room":"a"})",
      "{}",
  };
  return messages;
}

TEST_CASE("the usual messages are read as a parser reads them", "[wire]") {
  for (const std::string& text : usual_messages()) {
    CAPTURE(text);
    CHECK(is_message(text));
    check_same(text);
  }
}

TEST_CASE("any JSON is read as a parser reads it", "[wire]") {
  for (const std::string& text :
       Strings{R"({"room":"a","room":"b"})", R"({"payload":1,"payload":[2],"room":null})",
               R"({"room":"a","room":null,"r\u006fom":null})", R"({"r\u006fom":"a"})",
               R"({"pay\u006coad":1})", R"({"kind":"\u0074ext","payload":"x"})",
               R"({"\u006be\u0079":"k","over\u0066low":"drop_\u006eewest"})",
               R"({"\ud83d":1,"room":"a"})", R"({"":{"room":"b"},"room":"a"})", "\xEF\xBB\xBF{}",
               std::string("{}\0", 3), std::string("{\"room\":\"a\"} \0 {", 16)}) {
    CAPTURE(text);
    CHECK(is_message(text));
    check_same(text);
  }
}

TEST_CASE("text that is not a message is refused", "[wire]") {
  const std::string deep(63, '[');
  for (const std::string& text : Strings{"",
                                         "[]",
                                         "5",
                                         "{\"payload\":\"\xFF\"}",
                                         R"({"payload":[)" + deep + std::string(63, ']') + "]}",
                                         "{} {}",
                                         "{\"payload\":\"\n\"}",
                                         R"({"payload":"\x"})",
                                         R"({"payload":"\u00g0"})",
                                         R"({"payload":01})",
                                         R"({"payload":+1})",
                                         R"({"payload":1.})",
                                         R"({"payload":.5})",
                                         R"({"payload":-})",
                                         R"({"payload":nul})",
                                         R"({"payload":[1,]})",
                                         R"({"payload":{"a"}})",
                                         R"({"payload":1,})",
                                         R"({,})",
                                         R"({"payload")",
                                         R"({"payload":)",
                                         R"({"payload":")",
                                         R"({"payload":"\)",
                                         R"({"payload":"\u00)",
                                         R"({"payload":1e})",
                                         R"({"payload":1e+})",
                                         R"({"payload":1.e5})",
                                         R"({"payload":NaN})"}) {
    CAPTURE(text);
    CHECK_FALSE(is_message(text));
    check_same(text);
  }
  CHECK(is_message(R"({"payload":)" + deep + std::string(63, ']') + "}"));
}

TEST_CASE("clients get JSON as its publisher wrote it, also what no parser makes a value of",
          "[wire]") {
  for (const std::string payload :
       {R"({"t":"\ud83d"})", R"({"z":1,"a":[1E5, 1e-7],"z":2})", R"(["\uDC00\ud83d"])", "1e999",
        R"([-1e400])", R"({"\ud83d":{"\udc00":"\u0000"}})"}) {
    CAPTURE(payload);
    for (const char* more : {"", R"(,"overflow":"drop_oldest","key":"k")", R"(,"trace":"x")"}) {
      const Parcel parcel(R"({"payload":)" + payload + R"(,"room":"a")" + more + "}");
      REQUIRE_FALSE(parcel.skipped());
      const auto decoded = parcel.decode();
      REQUIRE(std::get_if<WireMessage>(&decoded));
      CHECK(std::get<WireMessage>(decoded).payload == payload);
    }
  }
}

TEST_CASE("a handler gets U+FFFD for half of a surrogate pair", "[wire]") {
  const Parcel parcel(R"({"payload":{"t":"\ud83d!"},"room":"a"})");
  CHECK(parcel.json()["payload"]["t"] == "\xEF\xBF\xBD!");
  CHECK_THROWS_AS(Parcel(R"({"payload":1e999})").json(), roost::Error);
}

TEST_CASE("handlers do not see what is hidden from them", "[wire]") {
  static constexpr std::array<const char*, 2> hidden{"node", "v"};
  Parcel parcel(R"({"payload":[1.0e0],"room":"a","n\u006fde":"n","v":1,"v":2})");
  CHECK(parcel.has_others());
  parcel.hide(hidden);
  CHECK(parcel.json() == json{{"payload", json::array({1.0})}, {"room", "a"}});
  const auto decoded = parcel.decode();
  CHECK(std::get<WireMessage>(decoded).payload == "[1.0e0]");
  CHECK_FALSE(Parcel(R"({"payload":[1.0e0],"room":"a"})").has_others());
}

TEST_CASE("fields that clients cannot get are refused as a parser refuses them", "[wire]") {
  for (const char* text :
       {R"({"room":5})", R"({"room":["lobby"]})", R"({"rooms":"lobby"})", R"({"rooms":{"a":"b"}})",
        R"({"room":"a","rooms":["b",5]})", R"({"rooms":[null]})", R"({"exclude":"alice"})",
        R"({"exclude":["alice",7]})", R"({"kind":"bytes","payload":"no base64"})",
        R"({"kind":"bytes","payload":[1,2]})", R"({"kind":"bytes"})",
        R"({"kind":"\u0074ext","payload":"x"})"}) {
    CAPTURE(text);
    CHECK(is_message(text));
    check_same(text);
  }
}

TEST_CASE("a message of any make is read as a parser reads it", "[wire]") {
  std::mt19937 random(11);
  const auto below = [&](std::size_t bound) { return random() % bound; };
  const std::string_view pieces[] = {"{",
                                     "}",
                                     "[",
                                     "]",
                                     ",",
                                     ":",
                                     "\"",
                                     "\\",
                                     " ",
                                     "\n",
                                     "null",
                                     "true",
                                     "0",
                                     "-1",
                                     "1.5",
                                     "1e9",
                                     "\\u0041",
                                     "\\ud83d\\ude00",
                                     "\\ud800",
                                     "\xC3\xA9",
                                     "\xFF",
                                     "\x01",
                                     "\"kind\":",
                                     "\"text\"",
                                     "\"bytes\"",
                                     "\"room\":",
                                     "\"rooms\":",
                                     "\"payload\":",
                                     "\"exclude\":",
                                     "\"AAAA\"",
                                     "\"a\"",
                                     "\"a\":1",
                                     std::string_view("\0", 1),
                                     "\xEF\xBB\xBF"};
  std::size_t read = 0;
  std::size_t skipped = 0;
  for (int i = 0; i < 40'000; ++i) {
    std::string text = usual_messages()[below(usual_messages().size())];
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
      const std::size_t at = below(text.size() + 1);
      const std::size_t length = std::min(below(6), text.size() - at);
      if (below(3) > 0) text.erase(at, length);
      if (below(3) > 0) text.insert(at, pieces[below(std::size(pieces))]);
    }
    check_same(text);
    ++(is_message(text) ? read : skipped);
  }
  // The cases are some of all kinds.
  CHECK(read > 1000);
  CHECK(skipped > 1000);
}

TEST_CASE("a parser takes all that the scanner takes, except numbers that no double holds",
          "[wire]") {
  for (const char* text :
       {"0", "-0", "10", "-1.25", "123456789012345678901234567890", "true", "false", "null", "\"\"",
        "[]", "{}", " [ 1 , 2 ] ", "1e5", "-1.5E-07", "0e+0", R"({"a":{"b":[]}})"}) {
    CAPTURE(text);
    CHECK(is_scanned(text));
    CHECK(json::accept(text));
  }
  std::mt19937 random(3);
  constexpr std::string_view symbols = "0123-+.eE[]{},:\"\\u /tfn";
  std::size_t scanned = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text(1 + random() % 6, ' ');
    for (char& c : text) c = symbols[random() % symbols.size()];
    if (!is_scanned(text)) continue;
    ++scanned;
    if (!json::accept(text) && text.find_first_of("eE") == std::string::npos) FAIL(text);
  }
  CHECK(scanned > 1000);
}

TEST_CASE("a value that is nested too deep is not taken", "[wire]") {
  const auto taken = [](std::string_view text, std::size_t depth) {
    JsonScanner scanner(text);
    return !scanner.value(depth).empty();
  };
  CHECK(taken("1", 0));
  CHECK_FALSE(taken("[]", 0));
  CHECK(taken("[[]]", 2));
  CHECK(taken(R"([{"a":1}])", 2));
  CHECK_FALSE(taken(R"([{"a":[]}])", 2));
  CHECK_FALSE(taken(std::string(200'000, '['), 64));
}

TEST_CASE("JSON strings are written and read as a parser does", "[wire]") {
  std::string all;
  for (int c = 0; c < 0x80; ++c) all += static_cast<char>(c);
  Strings texts{"", all, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "plain", "\"", "\\"};
  std::mt19937 random(5);
  const std::string_view pieces[] = {"a",    "\"",   "\\",           "/",       "\n",
                                     "\x1F", "\x7F", "\xE2\x82\xAC", "12345678"};
  for (int i = 0; i < 2000; ++i) {
    std::string& text = texts.emplace_back();
    for (std::size_t n = random() % 12; n > 0; --n) text += pieces[random() % std::size(pieces)];
  }
  for (const std::string& text : texts) {
    std::string quoted = "before ";
    append_json_string(quoted, text);
    quoted.erase(0, 7);
    if (quoted != json(text).dump()) CHECK(quoted == json(text).dump());
    if (json_string_value(quoted) != text) CHECK(json_string_value(quoted) == text);
    const std::string ascii = json(text).dump(-1, ' ', true);  // "\u00e9", as Python writes it
    if (!is_scanned(ascii)) CHECK(is_scanned(ascii));
    if (json_string_value(ascii) != text) CHECK(json_string_value(ascii) == text);
  }
  CHECK(json_string_value(R"("\/\u0041\uD83D\uDE00\u00E9")") == "/A\xF0\x9F\x98\x80\xC3\xA9");
  const std::string half = "\xEF\xBF\xBD";
  CHECK(json_string_value(R"("\ud83d")") == half);
  CHECK(json_string_value(R"("\udc00x\ud83d\n")") == half + "x" + half + "\n");
  CHECK(json_string_value(R"("\ud83d\ud83d\ude00\ud83d")") == half + "\xF0\x9F\x98\x80" + half);
}

TEST_CASE("values are made of a message once somebody wants them", "[wire]") {
  const Parcel parcel(R"({"payload":[1],"room":"a"})");
  CHECK_FALSE(parcel.skipped());
  CHECK(parcel.json() == json{{"payload", {1}}, {"room", "a"}});
  CHECK(&parcel.json() == &parcel.json());
  CHECK(parcel.bytes() == 26);
  const Parcel value = Parcel::of({{"kind", "text"}, {"payload", "x"}});
  CHECK(value.bytes() == 29);
  CHECK(told(value.decode()) == parsed(value.json().dump()));
}

}  // namespace
}  // namespace roost::detail
