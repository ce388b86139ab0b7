// SPDX-License-Identifier: MIT
#pragma once

#include "roost/testing/run.hpp"

namespace roost::testing {

ROOST_DECL std::size_t run_ready(boost::asio::io_context& context) {
  std::size_t total = 0;
  for (;;) {
    context.restart();
    const std::size_t ran = context.poll();
    if (ran == 0) return total;
    total += ran;
  }
}

}  // namespace roost::testing
