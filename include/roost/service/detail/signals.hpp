// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/signal_set.hpp>
#include <memory>
#include <optional>

#include "roost/base/build/config.hpp"

namespace roost::detail {

/// The next of the signals of @p set; nothing if the set is cancelled.
ROOST_WHEN_USED boost::asio::awaitable<std::optional<int>> next_signal(
    boost::asio::signal_set& set);

/// Keeps signals from having their default effect, without waiting for them, until the context is
/// destroyed. On the executor of @p set.
ROOST_WHEN_USED void keep_watched(std::unique_ptr<boost::asio::signal_set> set);

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/service/detail/signals.ipp"
#endif
