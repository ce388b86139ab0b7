// SPDX-License-Identifier: MIT
// Anything that an application may do with a manager, in any order and with anything under way;
// after each step, and at the end, what must hold.
#include <roost/roost.hpp>
#include <roost/testing.hpp>

#include "fuzz/support/input.hpp"
#include "fuzz/support/world.hpp"
#include "support/frame_fake.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace roost::fuzz;
  Input input(data, size);
  if (input.flag()) {
    World<roost::test::FrameFake>(input).play();
  } else {
    World<roost::testing::FakeWebSocket>(input).play();
  }
  return 0;
}
