// SPDX-License-Identifier: MIT
// Frames of a client, through all of the adapter: they arrive in the same way however they are cut,
// and nothing is left behind.
#include <string>

#include "fuzz/support/conversation.hpp"

namespace roost::fuzz {
namespace {

constexpr std::string_view request =
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
constexpr std::string_view compression = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

}  // namespace
}  // namespace roost::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace roost::fuzz;
  Input input(data, size);
  const unsigned choice = input.byte();
  const Manners manners{.compresses = (choice & 1U) != 0,
                        .is_patient = true,
                        .echoes = (choice & 2U) != 0,
                        .then = static_cast<Then>((choice >> 2U) % 3)};
  const unsigned seed = 3U + input.byte();
  std::string bytes(request);
  if (manners.compresses) bytes += compression;
  bytes += "\r\n";
  bytes += input.rest().substr(0, 800);  // a script takes a thousand calls
  const Seen whole = converse(bytes, Cuts::none(), manners);
  // The frames between two answers, or before a reset, depend on timing.
  if (manners.echoes || manners.then == Then::resets) return 0;
  expect(converse(bytes, Cuts(seed), manners).is_same(whole), "in pieces it is something else");
  return 0;
}
