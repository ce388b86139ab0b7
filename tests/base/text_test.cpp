// SPDX-License-Identifier: MIT
#include <roost/base/error.hpp>
#include <roost/base/log.hpp>
#include <roost/base/text/json.hpp>
#include <roost/base/text/text.hpp>
#include <roost/socket/frame.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"

namespace roost {
namespace {

using detail::escape_for_log;
using detail::is_utf8;
using detail::json_depth;
using detail::utf8_sequence;

// RFC 3629, section 3, written the other way round: by code point.
std::string encode(std::uint32_t c) {
  const auto tail = [](std::uint32_t bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(c)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(c >> 6), tail(c)};
  return {static_cast<char>(0xF0 | c >> 18), tail(c >> 12), tail(c >> 6), tail(c)};
}

TEST_CASE("every code point but the surrogates is UTF-8", "[text]") {
  std::size_t wrong = 0;
  for (std::uint32_t c = 0; c <= 0x11'FFFF; ++c) {
    const std::string bytes = encode(c);
    const bool valid = c <= 0x10'FFFF && (c < 0xD800 || c > 0xDFFF);
    if (utf8_sequence(bytes) != (valid ? bytes.size() : 0)) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("text that is not UTF-8 is recognised wherever the fault stands", "[text]") {
  const std::vector<std::string> bad{
      "\x80",
      "\xBF",  // a tail without a head
      "\xC0\x80",
      "\xC1\xBF",  // overlong, two bytes
      "\xE0\x80\x80",
      "\xE0\x9F\xBF",  // overlong, three
      "\xF0\x80\x80\x80",
      "\xF0\x8F\xBF\xBF",  // overlong, four
      "\xED\xA0\x80",
      "\xED\xBF\xBF",  // surrogates
      "\xF4\x90\x80\x80",
      "\xF5\x80\x80\x80",  // above U+10FFFF
      "\xF8\x88\x80\x80\x80",
      "\xFE",
      "\xFF",  // no head at all
      "\xC3",
      "\xE2\x82",
      "\xF0\x9F\xA6",  // cut off
      "\xC3(",
      "\xE2(\xA1",
      "\xE2\x82(",
      "\xF0(\x8C\xBC",
      "\xF0\x90(\xBC",
      "\xF0\x9F\xA6(",
  };
  for (const std::string& sequence : bad) {
    CAPTURE(escape_for_log(sequence));
    CHECK(utf8_sequence(sequence) == 0);
    // At every place relative to the eight bytes that are looked at together.
    for (std::size_t before = 0; before <= 17; ++before) {
      for (std::size_t after = 0; after <= 9; ++after) {
        const std::string text = std::string(before, 'a') + sequence + std::string(after, 'z');
        if (is_utf8(text)) FAIL_CHECK("taken for UTF-8: before " << before << ", after " << after);
      }
    }
  }
}

TEST_CASE("text is UTF-8 wherever its characters fall", "[text]") {
  for (const std::uint32_t c :
       {0x7FU, 0x80U, 0x7FFU, 0x800U, 0xD7FFU, 0xE000U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
    for (std::size_t before = 0; before <= 17; ++before) {
      for (std::size_t after = 0; after <= 9; ++after) {
        const std::string text = std::string(before, 'a') + encode(c) + std::string(after, 'z');
        if (!is_utf8(text))
          FAIL_CHECK("refused: " << c << " before " << before << " after " << after);
        // Cut inside the character it is none.
        if (c >= 0x80 && is_utf8(std::string_view(text).substr(0, before + 1))) {
          FAIL_CHECK("taken although cut: " << c << " before " << before);
        }
      }
    }
  }
  CHECK(is_utf8(""));
  CHECK(is_utf8(std::string(3, '\0')));
  std::string many;
  for (int i = 0; i < 1000; ++i)
    many +=
        "\xE2\x82\xAC"
        "e";
  CHECK(is_utf8(many));
}

TEST_CASE("the depth of JSON is that of its brackets outside strings", "[text]") {
  CHECK(json_depth("") == 0);
  CHECK(json_depth("1") == 0);
  CHECK(json_depth(R"("[[[")") == 0);
  CHECK(json_depth("[]") == 1);
  CHECK(json_depth(R"({"a":[1,{"b":[]}]})") == 4);
  CHECK(json_depth("[[],[[]],[]]") == 3);
  CHECK(json_depth(R"(["[[[[", []])") == 2);
  CHECK(json_depth(R"(["\"[[[[", []])") == 2);  // an escaped quote ends no string
  CHECK(json_depth(R"(["\\", [[]]])") == 3);    // an escaped backslash does not escape
  CHECK(json_depth(R"(["\\\"[[[", [[]]])") == 3);
  CHECK(json_depth(R"("abc\)") == 0);
  CHECK(json_depth("]]]][") == 1);
  CHECK(json_depth(std::string(100'000, '[')) == 100'000);
}

nlohmann::json nested_json(std::size_t depth) {
  nlohmann::json value = 1;
  for (std::size_t i = 0; i < depth; ++i) {
    nlohmann::json outer = nlohmann::json::array();
    outer.push_back(std::move(value));
    value = std::move(outer);
  }
  return value;
}

errc code_of_encode(const nlohmann::json& value) {
  try {
    detail::encode_json(value);
  } catch (const Error& error) {
    return static_cast<errc>(error.code().value());
  }
  return {};
}

TEST_CASE("JSON may be nested 64 deep in both directions", "[text]") {
  CHECK(detail::encode_json(nested_json(64)).payload_text() ==
        std::string(64, '[') + "1" + std::string(64, ']'));
  CHECK(code_of_encode(nested_json(65)) == errc::invalid_json);
  nlohmann::json object = nested_json(64);
  nlohmann::json outer;
  outer["key"] = object;
  CHECK(code_of_encode(outer) == errc::invalid_json);

  const auto array = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  CHECK(detail::decode_json(array(64)).is_array());
  CHECK_THROWS_AS(detail::decode_json(array(65)), Error);
  CHECK_THROWS_AS(detail::decode_json(std::string(200'000, '[')), Error);
  CHECK_THROWS_AS(detail::decode_json("{"), Error);
  CHECK_THROWS_AS(detail::decode_json(""), Error);
  CHECK_THROWS_AS(detail::decode_json("\"\xFF\""), Error);
  CHECK(detail::decode_json(" {\"a\": 1} ")["a"] == 1);
}

TEST_CASE("half of a surrogate pair becomes U+FFFD where a value is made of JSON", "[text]") {
  const auto decode = [](std::string_view text) { return detail::decode_json(text); };
  const std::string half = "\xEF\xBF\xBD";
  CHECK(decode(R"({"t":"\ud83d"})")["t"] == half);
  CHECK(decode(R"({"\uDE00":1})")[half] == 1);
  CHECK(decode(R"("\\ud83d")") == "\\ud83d");  // no escape, but a backslash
  CHECK(decode(R"("\ud83d\ude00\ud83d\ud83d\ude00")") ==
        "\xF0\x9F\x98\x80" + half + "\xF0\x9F\x98\x80");
  CHECK(decode(R"("\ud83dx\u0041")") == half + "xA");
  for (const char* text : {R"("\ud83d)", R"("\ud8)", R"("\ud83d\)", R"("\ud83d" x)",
                           "\"\\ud83d\xFF\"", R"(["\ud83d",1e999])"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(decode(text), Error);
  }
}

TEST_CASE("JSON and text that cannot be sent are errors", "[text]") {
  CHECK(code_of_encode(nlohmann::json("\xFF")) == errc::invalid_json);
  CHECK_THROWS_AS(detail::encode_text("\xC3"), Error);
  CHECK(detail::encode_text("\xC3\xA9").payload_text() == "\xC3\xA9");
  CHECK(detail::encode_text("").size() == 2);
}

TEST_CASE("text in a log cannot forge a line", "[text]") {
  CHECK(escape_for_log("plain text 123") == "plain text 123");
  CHECK(escape_for_log("") == "");
  CHECK(escape_for_log("a\r\nb\tc") == "a\\x0d\\x0ab\\x09c");
  CHECK(escape_for_log("a\"b\\c") == "a\\x22b\\x5cc");
  CHECK(escape_for_log("\x1B[31m") == "\\x1b[31m");
  CHECK(escape_for_log(std::string_view("\0\x7F", 2)) == "\\x00\\x7f");
  CHECK(escape_for_log("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\xA6\x85") ==
        "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\xA6\x85");
  CHECK(escape_for_log("\xC2\x85") == "\\xc2\\x85");  // NEL, a C1 control
  CHECK(escape_for_log("\xC2\x9B") == "\\xc2\\x9b");  // CSI
  CHECK(escape_for_log("\xC2\xA0") == "\xC2\xA0");
  CHECK(escape_for_log("\xE2\x80\xA8") == "\\xe2\\x80\\xa8");  // line separator
  CHECK(escape_for_log("\xE2\x80\xA9") == "\\xe2\\x80\\xa9");  // paragraph separator
  CHECK(escape_for_log("\xE2\x80\xA7") == "\xE2\x80\xA7");
  CHECK(escape_for_log("\xFFz\xC3") == "\\xffz\\xc3");
}

TEST_CASE("every single byte is made safe for a log", "[text]") {
  for (int b = 0; b < 256; ++b) {
    const std::string out = escape_for_log(std::string(1, static_cast<char>(b)));
    CAPTURE(b);
    const bool is_plain = b >= 0x20 && b < 0x7F && b != '"' && b != '\\';
    CHECK(out.size() == (is_plain ? 1U : 4U));
    for (const char c : out) CHECK((c >= 0x20 && c < 0x7F && c != '"'));
  }
}

TEST_CASE("text that is too long for a log is cut", "[text]") {
  CHECK(escape_for_log(std::string(256, 'a')) == std::string(256, 'a'));
  CHECK(escape_for_log(std::string(257, 'a')) == std::string(256, 'a') + "...");
  const std::string cut = escape_for_log(std::string(255, 'a') + "\xE2\x82\xAC");
  CHECK(cut == std::string(255, 'a') + "\\xe2...");
  CHECK(is_utf8(cut));
}

TEST_CASE("a log event is one line", "[text]") {
  const std::vector<LogField> fields{{"id", "a\"\nforged"}, {"why", "x"}};
  const LogEvent event{Severity::warning, "denied", fields};
  CHECK(event.to_string() == R"(denied id="a\x22\x0aforged" why="x")");
  CHECK(to_string(event.severity) == "warning");
}

TEST_CASE("a logger that throws harms nobody", "[text]") {
  int calls = 0;
  const Logger logger = [&](const LogEvent&) {
    ++calls;
    throw std::runtime_error("disk full");
  };
  detail::log(logger, Severity::info, "event");
  CHECK(calls == 1);
  detail::log({}, Severity::info, "event");
}

TEST_CASE("random ids are 32 hex digits, each another, every digit used", "[text]") {
  std::set<std::string> ids;
  std::vector<std::set<char>> digits(32);
  for (int i = 0; i < 1000; ++i) {
    const std::string id = detail::random_id();
    REQUIRE(id.size() == 32);
    REQUIRE(id.find_first_not_of("0123456789abcdef") == std::string::npos);
    for (std::size_t at = 0; at < 32; ++at) digits[at].insert(id[at]);
    ids.insert(id);
  }
  CHECK(ids.size() == 1000);
  for (const auto& at : digits) CHECK(at.size() == 16);
}

TEST_CASE("every error has a message of its own", "[text]") {
  std::set<std::string> messages;
  const int last = static_cast<int>(errc::backplane_full);
  for (int i = 1; i <= last; ++i) messages.insert(make_error_code(static_cast<errc>(i)).message());
  CHECK(messages.size() == static_cast<std::size_t>(last));
  CHECK(error_category().name() == std::string("roost"));
  CHECK(make_error_code(errc::connection_denied).value() == 1);  // 0 is success
  const Error error(errc::join_denied, "room \"x\"");
  CHECK(std::string(error.what()).find("room \"x\"") != std::string::npos);
  CHECK(is(error, errc::join_denied));
  CHECK_FALSE(is(error, errc::connection_denied));
  CHECK(error.code() == errc::join_denied);
}

TEST_CASE("percent-encoding is decoded unless an escape is malformed", "[text]") {
  using detail::percent_decode;
  CHECK(percent_decode("") == "");
  CHECK(percent_decode("my%20room+%2f%2F%41") == "my room+//A");
  CHECK(percent_decode("%00%ff") == std::string("\0\xFF", 2));
  for (const char* malformed :
       {"%", "a%", "%4", "%4g", "%g4", "%%41", "%+1", "% 1", "%-1", "%0x"}) {
    CHECK(!percent_decode(malformed));
  }
}

}  // namespace
}  // namespace roost
