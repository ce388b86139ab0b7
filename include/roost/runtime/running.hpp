// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/execution_context.hpp>
#include <cstddef>

#include "roost/runtime/detail/running_count.hpp"

namespace roost {

/// How much of roost is under way on @p context: coroutines that it started, the handlers of
/// sessions among them, Beast connections whose transport is not closed, listeners. 0 when the
/// `drain` of the only manager, or `Service::shutdown`, returns: the proof that nothing was left
/// behind. More then are hooks or handlers that ignore their cancellation, or sockets that the
/// application keeps.
/// @par Thread safety  From any thread.
[[nodiscard]] inline std::size_t running(boost::asio::execution_context& context) {
  return detail::Running::count(context);
}

}  // namespace roost
