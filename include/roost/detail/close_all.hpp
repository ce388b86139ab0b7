// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "roost/connection.hpp"
#include "roost/detail/manager_state.hpp"

namespace roost::detail {

template <class Ws>
boost::asio::awaitable<bool> close_one(std::shared_ptr<ManagerState<Ws>> state, std::string id,
                                       std::uint16_t code, std::string reason) {
  const std::shared_ptr<Connection<Ws>> connection = state->find(id);
  if (!connection) co_return false;
  state->drop(*connection, {DisconnectReason::disconnected, code, std::move(reason)});
  co_await ManagerState<Ws>::wait_closed(state, connection, /*with_hooks=*/true);
  co_return true;
}

template <class Ws>
boost::asio::awaitable<std::size_t> close_all(std::shared_ptr<ManagerState<Ws>> state,
                                              std::uint16_t code, Clock::duration deadline) {
  std::vector<std::shared_ptr<Connection<Ws>>> all;
  all.reserve(state->everyone().size());
  for (Connection<Ws>* connection : state->everyone()) {
    all.push_back(connection->shared_from_this());
  }
  for (const auto& connection : all) {
    state->drop(*connection, {DisconnectReason::closing_all, code, {}}, Ending::close, deadline);
  }
  for (const auto& connection : all) {
    co_await ManagerState<Ws>::wait_closed(state, connection, /*with_hooks=*/false);
  }
  co_return all.size();
}

}  // namespace roost::detail
