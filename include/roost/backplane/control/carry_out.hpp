// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <utility>
#include <vector>

#include "roost/backplane/control/control_order.hpp"
#include "roost/base/error.hpp"
#include "roost/manager/lifecycle/admission.hpp"
#include "roost/manager/lifecycle/dropping.hpp"
#include "roost/manager/registry/manager_state.hpp"

namespace roost::detail {

/// Carries out the orders of other replicas at one manager. On the manager's executor.
template <class Ws>
struct CarryOut {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;
  using Done = std::function<void(std::size_t)>;

  static void run(const StatePtr& state, const ControlOrder& order, const Done& done) {
    using Kind = ControlOrder::Kind;
    if (order.kind == Kind::room_size) return done(state->rooms().members(order.room).size());
    std::vector<ConnectionPtr> targets = connections(*state, order);
    if (order.kind == Kind::disconnect) return done(disconnect(*state, targets, order));
    if (order.kind == Kind::leave) return done(leave(*state, targets, order.room));
    if (targets.empty()) return done(0);
    state->spawn("control", join(state, std::move(targets), order.room, done));
  }

 private:
  static std::vector<ConnectionPtr> connections(State& state, const ControlOrder& order) {
    if (order.to == Target::Kind::room) return state.registry().members(order.name);
    if (order.to == Target::Kind::user) return state.registry().connections_of(order.name);
    if (auto connection = state.registry().find(order.name)) return {std::move(connection)};
    return {};
  }
  static std::size_t disconnect(State& state, const std::vector<ConnectionPtr>& targets,
                                const ControlOrder& order) {
    std::size_t count = 0;
    for (const ConnectionPtr& connection : targets) {
      if (connection->id() == order.except || !connection->is_connected()) continue;
      drop(state, *connection, {DisconnectReason::disconnected, order.code, order.reason});
      ++count;
    }
    return count;
  }
  static std::size_t leave(State& state, const std::vector<ConnectionPtr>& targets,
                           const std::string& room) {
    std::size_t count = 0;
    for (const ConnectionPtr& connection : targets) {
      if (Admission<Ws>::leave(state, *connection, room)) ++count;
    }
    return count;
  }
  static boost::asio::awaitable<void> join(StatePtr state, std::vector<ConnectionPtr> targets,
                                           std::string room, Done done) {
    std::size_t count = 0;
    for (const ConnectionPtr& connection : targets) {
      typename Admission<Ws>::JoinRequest request{.room = room};
      auto joining = Admission<Ws>::join(state, connection, std::move(request));
      try {
        if (co_await std::move(joining)) ++count;
      } catch (const Error&) {
        // The room is full, or its validator refuses this connection.
      }
    }
    done(count);
  }
};

}  // namespace roost::detail
