// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>

#include "roost/backplane/cluster.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/sending/fan_out.hpp"

namespace roost {

struct Cluster::Own {
  std::shared_ptr<const detail::OwnMembers> members;
  Frame frame;
  detail::WireAudience to;
  detail::WireManner manner;
};

ROOST_DECL Cluster& Cluster::operator=(Cluster&& other) noexcept {
  if (this != &other) {
    unbind();
    binding_ = std::move(other.binding_);
  }
  return *this;
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Published> Cluster::broadcast_text(
    std::string_view text, BroadcastOptions options) const {
  if (!detail::is_utf8(text)) {
    throw Error(errc::invalid_utf8, "a text message of " + std::to_string(text.size()) + " bytes");
  }
  return publish(detail::WireKind::text, text, options);
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Published> Cluster::broadcast_bytes(
    std::span<const std::byte> bytes, BroadcastOptions options) const {
  return publish(detail::WireKind::bytes,
                 {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, options);
}

ROOST_DECL void Cluster::unbind() noexcept {
  if (binding_) binding_->subscription.cancel();
  binding_.reset();
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Published> Cluster::publish(
    detail::WireKind kind, std::string_view payload, const BroadcastOptions& options) const {
  if (!binding_) throw Error(errc::not_bound);
  const detail::WireAudience to = audience(options);
  const detail::WireManner manner = how(options);
  if (!to.is_everyone && to.rooms.empty()) return nobody();
  const bool is_bytes = kind == detail::WireKind::bytes;
  detail::OutgoingMessage message =
      is_bytes ? detail::encode_wire(kind, detail::base64_encode(std::as_bytes(std::span(payload))),
                                     to, manner)
               : detail::encode_wire(kind, payload, to, manner);
  const std::shared_ptr<const detail::OwnMembers>& members = binding_->own;
  message.origin = members ? members->id() : nullptr;
  const bool is_direct = message.origin != nullptr;
  awaitable<Published> elsewhere = binding_->backplane.any().publish_wire(std::move(message));
  if (!is_direct) return elsewhere;
  Frame frame = is_bytes ? Frame::binary(std::as_bytes(std::span(payload)), manner.key)
                         : Frame::text(payload, manner.key);
  return publish_both(std::make_shared<const Own>(Own{members, std::move(frame), to, manner}),
                      std::move(elsewhere));
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Published> Cluster::publish_both(
    std::shared_ptr<const Own> own, awaitable<Published> elsewhere) {
  const bool is_sent = own->members->send(own->frame, own->to, own->manner);
  own.reset();
  Published published = co_await std::move(elsewhere);
  if (is_sent) ++published.local;
  co_return published;
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Published> Cluster::nobody() {
  co_return Published{.receivers = 0};
}

ROOST_WHEN_USED_DEF detail::WireManner Cluster::how(const BroadcastOptions& options) {
  detail::Manner::of(options);
  detail::check_option(!options.report, "report must be null: nobody knows what becomes of it");
  detail::check_option(!options.key || detail::is_utf8(*options.key), "key must be UTF-8");
  return {.overflow = options.overflow, .key = std::string(options.key.value_or(""))};
}

ROOST_WHEN_USED_DEF detail::WireAudience Cluster::audience(const BroadcastOptions& options) const {
  detail::WireAudience to;
  to.is_everyone = !options.room && !options.rooms.is_given();
  if (to.is_everyone && !binding_->allow_global) {
    throw Error(errc::room_required, "the manager is bound without allow_global");
  }
  const auto add = [&](std::string_view room) {
    detail::validate_room_name(room, binding_->max_room_name_bytes);
    if (std::find(to.rooms.begin(), to.rooms.end(), room) == to.rooms.end()) {
      to.rooms.emplace_back(room);
    }
  };
  if (options.room) add(*options.room);
  for (const std::string_view room : options.rooms) add(room);
  for (const std::string_view id : options.exclude) {
    if (detail::is_utf8(id)) to.exclude.emplace_back(id);  // else no connection has it
  }
  return to;
}

}  // namespace roost
