// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

#include "roost/detail/signals.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF boost::asio::awaitable<std::optional<int>> next_signal(
    boost::asio::signal_set& set) {
  boost::system::error_code error;
  const int signal =
      co_await set.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
  if (error) co_return std::nullopt;
  co_return signal;
}

}  // namespace roost::detail
