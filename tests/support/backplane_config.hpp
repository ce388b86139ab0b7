// SPDX-License-Identifier: MIT
// What the contract suite asks for when it makes a backplane.
#pragma once

#include <cstddef>
#include <string>

namespace roost::test {

struct Config {
  std::string channel = "channel";
  std::size_t max_message_bytes = 8'388'608;
};

}  // namespace roost::test
