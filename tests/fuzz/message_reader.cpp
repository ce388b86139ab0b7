// SPDX-License-Identifier: MIT
// What a client sends, from bytes to messages: the same however the bytes are cut, nothing that is
// not allowed, and whatever a well-behaved client sends arrives.
#include <roost/base/text/text.hpp>
#include <roost/beast/conversation/deflate.hpp>
#include <roost/beast/conversation/message_reader.hpp>
#include <roost/socket/disconnect.hpp>

#include <array>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "beast/support/frames.hpp"
#include "fuzz/support/input.hpp"

namespace roost::fuzz {
namespace {

using detail::MessageReader;
using Event = MessageReader::Event;

struct Read {
  Event event;
  bool is_text;
  std::uint16_t code;
  std::string payload;

  bool operator==(const Read&) const = default;
};

struct Options {
  bool inflates;
  std::size_t max_message_bytes;
};

/// The next event, judged.
Read take(MessageReader& reader, Event event, const Options& options) {
  if (event == Event::message) {
    Message message = reader.take_message();
    expect(options.max_message_bytes == 0 || message.payload.size() <= options.max_message_bytes,
           "a message is over the limit");
    expect(!message.is_text || detail::is_utf8(message.payload), "a text is no UTF-8");
    return {event, message.is_text, 0, std::move(message.payload)};
  }
  if (event == Event::close) {
    const std::uint16_t code = reader.close_code();
    expect(code == close_code::no_status || close_code::may_be_sent(code), "a bad close code");
    expect(detail::is_utf8(reader.close_reason()), "a reason is no UTF-8");
    return {event, false, code, std::string(reader.close_reason())};
  }
  if (event == Event::failure) {
    expect(close_code::may_be_sent(reader.close_code()), "a failure that cannot be told");
    return {event, false, reader.close_code(), {}};
  }
  expect(reader.control_payload().size() <= 125, "a control frame is too long");
  return {event, false, 0, std::string(reader.control_payload())};
}

std::vector<Read> read(std::string_view bytes, const Options& options, Cuts cuts) {
  MessageReader reader(options.max_message_bytes, options.inflates);
  std::vector<Read> all;
  bool is_over = false;
  cuts.cut(bytes, [&](std::string_view piece) {
    std::string copy(piece);
    auto rest = std::as_writable_bytes(std::span(copy));
    while (!is_over && !rest.empty()) {
      const std::size_t before = rest.size();
      const Event event = reader.next(rest);
      expect(rest.size() < before, "it does not get on");
      expect(event != Event::none || rest.empty(), "bytes are left without an event");
      if (event == Event::none) break;
      all.push_back(take(reader, event, options));
      is_over = event == Event::close || event == Event::failure;
    }
  });
  return all;
}

/// Any bytes.
void raw(std::string_view bytes, const Options& options, unsigned seed) {
  const std::vector<Read> whole = read(bytes, options, Cuts::none());
  expect(read(bytes, options, Cuts(1)) == whole, "byte by byte it is something else");
  expect(read(bytes, options, Cuts(seed)) == whole, "in pieces it is something else");
}

/// A message of a well-behaved client, in fragments, compressed or not.
void message(std::string_view payload, bool compresses, unsigned seed) {
  const bool is_text = detail::is_utf8(payload);
  const Frame frame =
      is_text ? Frame::text(payload) : Frame::binary(std::as_bytes(std::span(payload)));
  const detail::DeflateForm form{.window_bits = 9 + seed % 7, .level = 1 + seed % 9};
  const Frame sent = compresses ? detail::deflated(frame, form) : frame;
  const bool is_compressed = (std::to_integer<unsigned>(sent.wire()[0]) & 0x40U) != 0;

  std::string bytes;
  std::size_t done = 0;
  unsigned opcode = is_text ? 1 : 2;
  const auto add = [&](std::string_view part) {
    done += part.size();
    bytes += test::client_frame(opcode, part,
                                {.is_final = done == sent.payload_text().size(),
                                 .reserved_bits = is_compressed && opcode != 0 ? 4U : 0U});
    opcode = 0;
  };
  Cuts(seed < 2 ? 7 : seed).cut(sent.payload_text(), add);
  if (sent.payload_text().empty()) add({});
  const std::vector<Read> expected{{Event::message, is_text, 0, std::string(payload)}};
  expect(read(bytes, {compresses, payload.size()}, Cuts(seed)) == expected,
         "a message did not arrive");
}

}  // namespace
}  // namespace roost::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace roost::fuzz;
  Input input(data, size);
  const unsigned choice = input.byte();
  const unsigned seed = input.byte();
  const bool inflates = (choice & 1U) != 0;
  if ((choice & 2U) != 0) {
    message(input.rest(), inflates, seed);
  } else {
    constexpr std::array<std::size_t, 4> limits{0, 1, 64, 3'000};
    raw(input.rest(), {inflates, limits[choice >> 2U & 3U]}, seed);
  }
  return 0;
}
