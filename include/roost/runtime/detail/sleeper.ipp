// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/post.hpp>

#include "roost/runtime/detail/sleeper.hpp"

namespace roost::detail {

ROOST_DECL void Sleeper::wake(boost::system::error_code error) {
  if (!is_sleeping()) return;
  const auto abroad = std::move(abroad_);
  boost::asio::post(abroad ? *abroad : *home_, [handler = std::move(handler_), error]() mutable {
    std::move(handler)(error);
  });
}

ROOST_DECL void Sleeper::wake_here() {
  if (abroad_) return wake();
  if (!is_sleeping()) return;
  Handler handler(std::move(handler_));
  std::move(handler)(boost::system::error_code());
}

ROOST_DECL void Sleeper::forget() {
  abroad_.reset();
  const Handler destroyed(std::move(handler_));
}

}  // namespace roost::detail
