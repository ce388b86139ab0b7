// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "roost/runtime/detail/next_turn.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF boost::asio::awaitable<void> next_turn() {
  return boost::asio::post(boost::asio::use_awaitable);
}

}  // namespace roost::detail
