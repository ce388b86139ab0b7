// SPDX-License-Identifier: MIT
// The request for a WebSocket: answered, and understood in the same way however it is cut.
#include "fuzz/support/conversation.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace roost::fuzz;
  Input input(data, size);
  const Manners manners{.then = static_cast<Then>(input.below(3))};
  const unsigned seed = 3U + input.byte();
  const auto bytes = input.rest().substr(0, 1'500);  // a script takes a thousand reads
  const Seen whole = converse(bytes, Cuts::none(), manners);
  // After a reset nobody knows how far the server came.
  if (manners.then == Then::resets) return 0;
  expect(converse(bytes, Cuts(seed), manners).has_same_request(whole),
         "in pieces it is something else");
  return 0;
}
