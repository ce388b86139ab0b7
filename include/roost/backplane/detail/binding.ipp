// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <utility>
#include <variant>

#include "roost/backplane/detail/binding.hpp"
#include "roost/backplane/wire/wire_message.hpp"
#include "roost/base/error.hpp"
#include "roost/socket/detail/encode.hpp"

namespace roost::detail {

ROOST_WHEN_USED_DEF boost::asio::awaitable<void> rooms_settled(
    std::vector<std::weak_ptr<const Binding>> bindings) {
  std::vector<std::shared_ptr<RoomRouting>> routings;
  for (const auto& weak : bindings) {
    const std::shared_ptr<const Binding> binding = weak.lock();
    if (binding && binding->interest) routings.push_back(binding->interest->routing());
  }
  for (const auto& routing : routings) co_await routing->settled();
}

ROOST_WHEN_USED_DEF std::shared_ptr<Binding> add_binding(
    std::vector<std::weak_ptr<const Binding>>& bindings, const BackplaneRef& backplane) {
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

ROOST_WHEN_USED_DEF void send(const Destination& destination, Frame frame, const WireAudience& to,
                              const WireManner& manner) {
  BroadcastOptions options{.rooms = to.is_everyone ? Names() : Names(to.rooms),
                           .exclude = to.exclude,
                           .overflow = manner.overflow};
  if (!manner.key.empty()) options.key = manner.key;
  destination.send(std::move(frame), options);
}

ROOST_WHEN_USED_DEF void deliver(const Parcel& parcel, bool allow_global, const Destination& to) {
  OrSkipped<WireMessage> decoded = parcel.decode();
  if (const Skipped* skipped = std::get_if<Skipped>(&decoded)) {
    to.warn("backplane_message_skipped", skipped->why);
    return;
  }
  const WireMessage& wire = std::get<WireMessage>(decoded);
  if (wire.to.is_everyone && !allow_global) {
    to.warn("backplane_message_dropped", "it names no room");
    return;
  }
  try {
    const std::string_view key = wire.manner.key;
    send(to,
         wire.kind == WireKind::bytes ? Frame::binary(std::as_bytes(std::span(wire.payload)), key)
                                      : encode_text(wire.payload, key),
         wire.to, wire.manner);
  } catch (const Error& error) {
    to.warn("backplane_message_skipped", error.what());
  }
}

}  // namespace roost::detail
