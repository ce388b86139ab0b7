// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/execution_context.hpp>
#include <cstddef>

#include "roost/detail/running.hpp"

namespace roost {

/// How much of roost is under way on @p context: coroutines that it started, the handlers of
/// sessions among them, Beast connections whose transport is not closed, listeners. 0 once all has
/// ended. After a `drain` that takes as long as it takes to say 503 to the last who came too late;
/// then it proves that nothing was left behind.
/// @par Thread safety  From any thread.
[[nodiscard]] inline std::size_t running(boost::asio::execution_context& context) {
  return detail::Running::count(context);
}

}  // namespace roost
