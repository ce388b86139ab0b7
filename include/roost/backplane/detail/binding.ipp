// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <utility>
#include <variant>

#include "roost/backplane/detail/binding.hpp"
#include "roost/backplane/detail/wire_message.hpp"
#include "roost/base/error.hpp"
#include "roost/socket/detail/encode.hpp"

namespace roost::detail {

ROOST_DECL boost::asio::awaitable<void> nothing_to_settle() { co_return; }

ROOST_DECL Binding::~Binding() {
  for (const std::string& room : rooms_) routing_->leave(room);
}

ROOST_DECL void Binding::on_room_opened(std::string_view name) {
  if (routing_ && rooms_.emplace(name).second) routing_->enter(name);
}

ROOST_DECL void Binding::on_room_closed(std::string_view name) noexcept {
  const auto found = rooms_.find(name);
  if (found == rooms_.end()) return;
  rooms_.erase(found);
  routing_->leave(name);
}

ROOST_DECL boost::asio::awaitable<void> Binding::settled() {
  return routing_ ? routing_->settled() : nothing_to_settle();
}

ROOST_WHEN_USED_DEF void deliver(const Parcel& parcel, const BoundManager& manager) {
  OrSkipped<WireMessage> decoded = parcel.decode();
  if (const Skipped* skipped = std::get_if<Skipped>(&decoded)) {
    return manager.warn("backplane_message_skipped", skipped->why);
  }
  WireMessage& wire = std::get<WireMessage>(decoded);
  if (wire.to.is_everyone && !manager.allow_global) {
    return manager.warn("backplane_message_dropped", "it names no room");
  }
  try {
    wire.to.check_names(manager.max_room_name_bytes);
    manager.send(wire.kind == WireKind::bytes
                     ? Frame::binary(std::as_bytes(std::span(wire.payload)), wire.key)
                     : encode_text(wire.payload, wire.key),
                 std::move(wire.to), wire.manner);
  } catch (const Error& error) {
    manager.warn("backplane_message_skipped", error.what());
  }
}

}  // namespace roost::detail
