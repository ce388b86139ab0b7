// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "roost/backplane.hpp"
#include "roost/detail/encode.hpp"
#include "roost/detail/fan_out.hpp"
#include "roost/detail/manager_state.hpp"
#include "roost/detail/parcel.hpp"
#include "roost/detail/room_routing.hpp"
#include "roost/detail/wire_message.hpp"
#include "roost/error.hpp"
#include "roost/frame.hpp"
#include "roost/log.hpp"
#include "roost/options.hpp"

namespace roost::detail {

/// A manager at a backplane; owned by the handle, known to the manager.
struct Binding {
  BackplaneRef backplane;  // to compare with
  Subscription subscription = {};
  bool allow_global = false;
  std::size_t max_room_name_bytes = 0;
  std::shared_ptr<RoomInterest> interest = {};  ///< None where every message comes anyway.
};

/// Waits until what is sent to the rooms that a manager has now reaches it.
template <class Ws>
boost::asio::awaitable<void> rooms_settled(std::shared_ptr<ManagerState<Ws>> state) {
  std::vector<std::shared_ptr<RoomRouting>> routings;
  for (const auto& weak : state->bindings()) {
    const std::shared_ptr<const Binding> binding = weak.lock();
    if (binding && binding->interest) routings.push_back(binding->interest->routing());
  }
  for (const auto& routing : routings) co_await routing->settled();
}

/// A new binding among those of a manager.
/// @par Errors  `errc::already_bound`
inline std::shared_ptr<Binding> add_binding(std::vector<std::weak_ptr<const Binding>>& bindings,
                                            const BackplaneRef& backplane) {
  std::erase_if(bindings, [](const auto& binding) { return binding.expired(); });
  for (const auto& known : bindings) {
    // Another backplane may have been made where one was destroyed.
    const std::shared_ptr<const Binding> binding = known.lock();
    if (binding && binding->backplane == backplane && binding->subscription.is_active()) {
      throw Error(errc::already_bound);
    }
  }
  auto binding = std::make_shared<Binding>(Binding{.backplane = backplane});
  bindings.push_back(binding);
  return binding;
}

/// What comes in becomes frames for connections of this replica. Never throws at the backplane for
/// what others have sent.
/// @par Thread safety  From any thread: the manager may live elsewhere than the backplane.
template <class Ws>
void deliver(const std::shared_ptr<ManagerState<Ws>>& state, bool allow_global,
             const Parcel& parcel) {
  if (!state || !state->executor()) return;
  const auto warn = [&](std::string_view event, std::string why) {
    boost::asio::post(state->executor(), [state, event, why = std::move(why)] {
      if (!state->is_stopped()) state->log(Severity::warning, event, {{"why", why}});
    });
  };
  OrSkipped<WireMessage> decoded = parcel.decode();
  if (const Skipped* skipped = std::get_if<Skipped>(&decoded)) {
    warn("backplane_message_skipped", skipped->why);
    return;
  }
  const WireMessage& wire = std::get<WireMessage>(decoded);
  if (wire.to.is_everyone && !allow_global) {
    warn("backplane_message_dropped", "it names no room");
    return;
  }
  try {
    const std::string_view key = wire.manner.key;
    BroadcastOptions to{.rooms = wire.to.is_everyone ? Names() : Names(wire.to.rooms),
                        .exclude = wire.to.exclude,
                        .overflow = wire.manner.overflow};
    if (!key.empty()) to.key = key;
    FanOut<Ws>::dispatch(state,
                         wire.kind == WireKind::bytes
                             ? Frame::binary(std::as_bytes(std::span(wire.payload)), key)
                             : encode_text(wire.payload, key),
                         to);
  } catch (const Error& error) {
    warn("backplane_message_skipped", error.what());
  }
}

}  // namespace roost::detail
