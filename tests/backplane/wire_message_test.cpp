// SPDX-License-Identifier: MIT
// What replicas tell each other, in both directions.
#include <roost/backplane/delivery/wire_message.hpp>
#include <roost/base/text/text.hpp>

#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "catch.hpp"
#include "support/bench.hpp"
#include "support/wire_oracle.hpp"

namespace roost {
namespace {

using namespace test;
using detail::Audience;
using detail::base64_decode;
using detail::Skipped;
using detail::WireKind;
using detail::WireMessage;
using nlohmann::json;
using Strings = std::vector<std::string>;

std::string base64(std::string_view bytes) {
  return detail::base64_encode(std::as_bytes(std::span(bytes)));
}

std::string brackets(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

// A message of @p depth levels: the object, and arrays in it.
std::string deep_message(std::size_t depth) { return R"({"payload":)" + brackets(depth - 1) + "}"; }

std::string why_no_message(std::string_view text) {
  const detail::Parcel parcel{std::string(text)};
  return parcel.skipped() ? parcel.skipped()->why : "";
}

WireMessage decoded(std::string_view text) {
  CAPTURE(text);
  CHECK(told(detail::Parcel(std::string(text)).decode()) == parsed(text));
  auto wire = detail::Parcel::of(json::parse(text)).decode();
  REQUIRE(std::holds_alternative<WireMessage>(wire));
  return std::get<WireMessage>(std::move(wire));
}

std::string why_skipped(std::string_view text) {
  CAPTURE(text);
  REQUIRE(why_no_message(text).empty());
  const auto wire = detail::Parcel(std::string(text)).decode();
  REQUIRE(std::holds_alternative<Skipped>(wire));
  return std::get<Skipped>(wire).why;
}

TEST_CASE("base64 is that of RFC 4648", "[wire]") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {std::string("\0", 1), "AA=="},
      {std::string("\0\0\0", 3), "AAAA"},
      {"\xFF", "/w=="},
      {"\xFF\xFF\xFF", "////"},
      {"\xFB\xEF\xBE", "++++"},
  };
  for (const auto& [bytes, text] : table) {
    CAPTURE(text);
    CHECK(base64(bytes) == text);
    CHECK(base64_decode(text) == bytes);
  }
}

TEST_CASE("base64 brings back any bytes", "[wire]") {
  std::mt19937 random(7);
  for (std::size_t size = 0; size < 200; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    CHECK(base64_decode(base64(bytes)) == bytes);
  }
}

TEST_CASE("text that is not exactly base64 is refused", "[wire]") {
  for (const std::string text :
       {"Z", "Zg", "Zg=", "Zm8", "Zg===", "Zm9vYg", "=", "==", "===", "====", "Z===", "Zm=v",
        "Zg==Zg==", "=Zm8", "Zm 9", "Zm8=\n", "\nZm8", "Zm9-", "Zm9_", "Zm9!", "Zm9\xC3",
        // Bits that encode nothing, and are not zero.
        "Zh==", "Zm9=", "//=="}) {
    CAPTURE(text);
    CHECK(base64_decode(text) == std::nullopt);
  }
  CHECK(base64_decode(std::string("Zm8\0", 4)) == std::nullopt);
}

TEST_CASE("a message that is not a JSON object is skipped", "[wire]") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"", "it is not JSON"},
      {"hello", "it is not JSON"},
      {"{", "it is not JSON"},
      {"{} {}", "it is not JSON"},
      {R"({"payload":NaN})", "it is not JSON"},
      {"[]", "it is not a JSON object"},
      {"null", "it is not a JSON object"},
      {"1", "it is not a JSON object"},
      {R"("text")", "it is not a JSON object"},
      {"{\"payload\":\"\xFF\"}", "it is not UTF-8"},
      {"\x80", "it is not UTF-8"},
      {deep_message(65), "it is nested over 64 levels"},
      {deep_message(200'000), "it is nested over 64 levels"},
      {std::string(200'000, '['), "it is nested over 64 levels"},
  };
  for (const auto& [text, why] : table) {
    CAPTURE(text.substr(0, 60));
    CHECK(why_no_message(text) == why);
  }
  CHECK(why_no_message("{}").empty());
  CHECK(why_no_message(deep_message(64)).empty());
}

TEST_CASE("kind and payload decide what clients get", "[wire]") {
  struct Row {
    std::string text;
    WireKind kind;
    std::string payload;
  };
  const std::vector<Row> table{
      {R"({"kind":"text","payload":"hello"})", WireKind::text, "hello"},
      {R"({"kind":"text","payload":""})", WireKind::text, ""},
      {R"({"kind":"text","payload":"t\u00e9xt"})", WireKind::text, "t\xC3\xA9xt"},
      {R"({"kind":"json","payload":"hello"})", WireKind::json, R"("hello")"},
      {R"({"kind":"json","payload":{"b":1,"a":[true,null]}})", WireKind::json,
       R"({"a":[true,null],"b":1})"},
      // Text that is not a string goes out as JSON, as does an unknown or missing kind.
      {R"({"kind":"text","payload":{"n":1}})", WireKind::json, R"({"n":1})"},
      {R"({"kind":"text","payload":5})", WireKind::json, "5"},
      {R"({"kind":"text","payload":null})", WireKind::json, "null"},
      {R"({"kind":"text"})", WireKind::json, "null"},
      {R"({"payload":[1]})", WireKind::json, "[1]"},
      {R"({"payload":"hello"})", WireKind::json, R"("hello")"},
      {R"({"kind":null,"payload":"hello"})", WireKind::json, R"("hello")"},
      {R"({"kind":"image","payload":"hello"})", WireKind::json, R"("hello")"},
      {R"({"kind":"TEXT","payload":"hello"})", WireKind::json, R"("hello")"},
      {R"({"kind":7,"payload":"hello"})", WireKind::json, R"("hello")"},
      {"{}", WireKind::json, "null"},
      {R"({"kind":"bytes","payload":"AP8H"})", WireKind::bytes, std::string("\0\xFF\x07", 3)},
      {R"({"kind":"bytes","payload":""})", WireKind::bytes, ""},
      // What others may add.
      {R"({"kind":"text","payload":"x","v":2,"node":"n","epoch":1,"seq":9,"more":{}})",
       WireKind::text, "x"},
  };
  for (const Row& row : table) {
    const WireMessage wire = decoded(row.text);
    CAPTURE(row.text);
    CHECK(wire.kind == row.kind);
    CHECK(wire.payload == row.payload);
  }
}

TEST_CASE("room, rooms and exclude decide who gets it", "[wire]") {
  struct Row {
    std::string text;
    bool is_everyone;
    Strings rooms;
    Strings exclude;
  };
  const std::vector<Row> table{
      {R"({"room":"lobby"})", false, {"lobby"}, {}},
      {R"({"room":null})", true, {}, {}},
      {"{}", true, {}, {}},
      {R"({"room":""})", false, {""}, {}},  // for the manager to refuse
      {R"({"room":"a","rooms":["b","c"]})", false, {"a", "b", "c"}, {}},
      {R"({"rooms":["b"]})", false, {"b"}, {}},
      {R"({"room":null,"rooms":["b"]})", false, {"b"}, {}},
      {R"({"rooms":[]})", false, {}, {}},  // nobody, not everyone
      {R"({"room":"a","rooms":[]})", false, {"a"}, {}},
      {R"({"room":"a","rooms":null})", false, {"a"}, {}},
      {R"({"rooms":null})", true, {}, {}},
      {R"({"exclude":["x","y"]})", true, {}, {"x", "y"}},
      {R"({"exclude":[]})", true, {}, {}},
      {R"({"exclude":null})", true, {}, {}},
      {R"({"room":"a","exclude":["x"]})", false, {"a"}, {"x"}},
  };
  for (const Row& row : table) {
    const WireMessage wire = decoded(row.text);
    CAPTURE(row.text);
    CHECK(wire.to.is_everyone == row.is_everyone);
    CHECK(wire.to.rooms == row.rooms);
    CHECK(wire.to.exclude == row.exclude);
  }
}

TEST_CASE("a message whose fields cannot be understood is skipped", "[wire]") {
  const std::string room = "its room is not a string";
  const std::string rooms = "its rooms are not a list of strings";
  const std::string exclude = "its exclude is not a list of strings";
  const std::string bytes = "its payload is not base64";
  const std::vector<std::pair<std::string, std::string>> table{
      {R"({"room":5})", room},
      {R"({"room":["lobby"]})", room},
      {R"({"room":false})", room},
      {R"({"room":{}})", room},
      {R"({"rooms":"lobby"})", rooms},
      {R"({"rooms":{"a":"b"}})", rooms},
      {R"({"room":"a","rooms":["b",5]})", rooms},
      {R"({"rooms":[null]})", rooms},
      {R"({"exclude":"alice"})", exclude},  // not the letters a, l, i, c, e; not nobody either
      {R"({"exclude":{"a":"b"}})", exclude},
      {R"({"exclude":["alice",7]})", exclude},
      {R"({"exclude":false})", exclude},
      {R"({"kind":"bytes","payload":"no base64"})", bytes},
      {R"({"kind":"bytes","payload":[1,2]})", bytes},
      {R"({"kind":"bytes"})", bytes},
  };
  for (const auto& [text, why] : table) {
    CAPTURE(text);
    CHECK(why_skipped(text) == why);
  }
}

TEST_CASE("a value that never was JSON text is skipped, not thrown", "[wire]") {
  const auto is_skipped = [](const json& message) {
    return std::holds_alternative<Skipped>(detail::Parcel::of(message).decode());
  };
  json no_utf8;
  no_utf8["payload"] = "\xFF";
  CHECK(is_skipped(no_utf8));
  CHECK(is_skipped(json(5)));
  CHECK(is_skipped(json()));
  json deep = 1;
  for (int i = 0; i < 65; ++i) {
    json outer = json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  json message;
  message["payload"] = std::move(deep);
  CHECK(is_skipped(message));
}

TEST_CASE("a message is encoded as hawkapi-websockets does", "[wire]") {
  const auto encoded = [](WireKind kind, std::string_view payload, const Audience& to) {
    return detail::encode_wire(kind, payload, to).text;
  };
  CHECK(encoded(WireKind::text, "hello", {.rooms = {"lobby"}}) ==
        R"({"exclude":[],"kind":"text","payload":"hello","room":"lobby"})");
  CHECK(encoded(WireKind::json, R"({"a":1})", {.is_everyone = true, .exclude = {"x", "y"}}) ==
        R"({"exclude":["x","y"],"kind":"json","payload":{"a":1},"room":null})");
  CHECK(encoded(WireKind::bytes, "AP8H", {.rooms = {"a"}}) ==
        R"({"exclude":[],"kind":"bytes","payload":"AP8H","room":"a"})");
  // The first room stands where others look for it: without it, it would be a message to everyone.
  CHECK(encoded(WireKind::text, "x", {.rooms = {"a", "b", "c"}}) ==
        R"({"exclude":[],"kind":"text","payload":"x","room":"a","rooms":["b","c"]})");
  CHECK(encoded(WireKind::text, "\"\n", {.rooms = {"\\", "\t"}, .exclude = {"\1"}}) ==
        R"({"exclude":["\u0001"],"kind":"text","payload":"\"\n","room":"\\","rooms":["\t"]})");
}

TEST_CASE("a message for one room says so", "[wire]") {
  const auto room = [](const Audience& to) {
    return detail::encode_wire(WireKind::text, "x", to).room.value_or("none");
  };
  CHECK(room({.rooms = {"a"}, .exclude = {"x"}}) == "a");
  CHECK(room({.rooms = {"a", "b"}}) == "none");
  CHECK(room({.is_everyone = true}) == "none");
}

TEST_CASE("an encoded message is decoded to the same message", "[wire]") {
  for (const Strings& rooms : {Strings{}, Strings{"a"}, Strings{"a", "b\n", "\xC3\xA9"}}) {
    const Audience to{.is_everyone = rooms.empty(), .rooms = rooms, .exclude = {"x"}};
    const std::string raw("\0\xFF\x07 any bytes", 13);
    const WireMessage wire = decoded(detail::encode_wire(WireKind::bytes, base64(raw), to).text);
    CHECK(wire.kind == WireKind::bytes);
    CHECK(wire.payload == raw);
    CHECK(wire.to.is_everyone == to.is_everyone);
    CHECK(wire.to.rooms == to.rooms);
    CHECK(wire.to.exclude == to.exclude);
  }
}

TEST_CASE("a message that no replica could read is not published", "[wire]") {
  const auto refused = [](const json& message, std::size_t max_bytes = 1000) {
    return error_of([&] { auto unused = detail::serialize_message(message, max_bytes); });
  };
  json no_utf8;
  no_utf8["payload"] = "\xFF";
  CHECK(refused(no_utf8) == errc::invalid_json);
  CHECK(refused(json(5)) == errc::invalid_json);
  CHECK(refused(json()) == errc::invalid_json);
  CHECK(refused(json::array()) == errc::invalid_json);
  CHECK(refused(json::parse(deep_message(65))) == errc::invalid_json);
  CHECK(detail::serialize_message(json::parse(deep_message(64)), 1000) == deep_message(64));

  const json message = {{"payload", "xyz"}};
  CHECK(detail::serialize_message(message, 17) == R"({"payload":"xyz"})");
  CHECK(refused(message, 16) == errc::message_too_big);
}

}  // namespace
}  // namespace roost
