// SPDX-License-Identifier: MIT
// The message of the backplane: the quick way to read it says what the parser says, and what is
// written is read again.
#include <roost/backplane/wire/backplane_message.hpp>
#include <roost/backplane/wire/wire_message.hpp>
#include <roost/base/text/text.hpp>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "fuzz/support/input.hpp"

namespace roost::fuzz {
namespace {

using namespace detail;
using nlohmann::json;

/// All of it in one line, or why it is skipped; JSON by value.
std::string told(const OrSkipped<WireMessage>& decoded) {
  if (const auto* skipped = std::get_if<Skipped>(&decoded)) return "skipped: " + skipped->why;
  const auto& wire = std::get<WireMessage>(decoded);
  const bool is_json = wire.kind == WireKind::json;
  const json all = {static_cast<int>(wire.kind),
                    wire.to.is_everyone,
                    wire.to.rooms,
                    wire.to.exclude,
                    wire.manner.overflow ? static_cast<int>(*wire.manner.overflow) : -1,
                    wire.key,
                    is_json ? json::parse(wire.payload) : json(wire.payload)};
  return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string parsed(std::string_view text) {
  const auto message = parse_message(text);
  if (const auto* skipped = std::get_if<Skipped>(&message)) return "no message: " + skipped->why;
  return told(decode_wire(std::get<json>(message)));
}

void read(const std::string& text) {
  // The quick way also takes legal JSON that the parser refuses: 1e999, half a surrogate pair.
  if (json::parse(text, nullptr, false).is_discarded()) return;
  const std::string expected = parsed(text);
  const Parcel parcel(text);
  if (parcel.is_scanned()) {
    expect(told(parcel.decode()) == expected, "the quick way reads something else");
  }
}

void write(Input input) {
  const unsigned choice = input.byte();
  Audience to;
  for (unsigned i = 0; i < (choice & 3U); ++i) to.rooms.emplace_back(input.line());
  for (unsigned i = 0; i < (choice >> 2U & 3U); ++i) to.exclude.emplace_back(input.line());
  to.is_everyone = to.rooms.empty();
  for (const std::string& name : to.rooms) {
    if (!is_utf8(name)) return;
  }
  for (const std::string& name : to.exclude) {
    if (!is_utf8(name)) return;
  }
  Manner manner;
  if ((choice & 16U) != 0) manner.overflow = Overflow::drop_oldest;
  WireMessage message{.payload = std::string(input.rest()), .to = to, .manner = manner};
  std::string payload = message.payload;
  if (is_utf8(payload) && (choice & 32U) != 0) {
    message.kind = WireKind::text;
  } else {
    message.kind = WireKind::bytes;
    payload = base64_encode(std::as_bytes(std::span(payload)));
  }
  const std::string text = encode_wire(message.kind, payload, to, manner).text;
  expect(parsed(text) == told(message), "what was written is not read");
  read(text);
}

}  // namespace
}  // namespace roost::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace roost::fuzz;
  Input input(data, size);
  if (!input.rest().starts_with('{') && input.flag()) {
    write(input);
  } else {
    read(std::string(input.rest()));
  }
  return 0;
}
