// SPDX-License-Identifier: MIT
// The message of the backplane: it is read as a parser reads it, and what is written is read again.
#include <roost/backplane/control/control_message.hpp>
#include <roost/backplane/delivery/wire_message.hpp>
#include <roost/base/error.hpp>
#include <roost/base/text/text.hpp>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "fuzz/support/input.hpp"
#include "support/wire_oracle.hpp"

namespace roost::fuzz {
namespace {

using namespace detail;
using nlohmann::json;
using test::told;

void read(const std::string& text) {
  // What is legal and no value can hold, such as 1e999, is read although the parser refuses it; and
  // the parser counts brackets behind a byte of zero, which ends the message.
  const bool is_judged =
      text.find('\0') == std::string::npos && !json::parse(text, nullptr, false).is_discarded();
  const Parcel parcel(text);
  const std::string said = told(parcel.decode());
  if (is_judged) expect(said == test::parsed(text), "a message is read otherwise than by a parser");
}

// What replicas ask each other: what is read is read again when it is written.
void read_as_control(const std::string& text) {
  const ControlMessage message = read_control(text);
  const auto* const question = std::get_if<ControlQuestion>(&message);
  if (!question) return;
  if (const auto order = read_order(*question)) {
    ControlQuestion again = *question;
    again.body = encode_order(*order);
    expect(read_order(again).has_value(), "an order that was written is not read");
  }
  try {
    const ControlMessage again = read_control(encode_question(*question));
    const auto* const same = std::get_if<ControlQuestion>(&again);
    expect(same && same->what == question->what && same->body == question->body,
           "a question that was written is not read");
  } catch (const Error&) {  // it is longer, as other JSON of the same value
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
  expect(test::parsed(text) == told(message), "what was written is not read");
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
    read_as_control(std::string(input.rest()));
  }
  return 0;
}
