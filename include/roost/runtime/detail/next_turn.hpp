// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// Whoever awaits it goes on in a later turn of its executor: what is under way now comes first.
ROOST_WHEN_USED boost::asio::awaitable<void> next_turn();

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/runtime/detail/next_turn.ipp"
#endif
