// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>

#include "roost/backplane/cluster.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/sending/fan_out.hpp"

namespace roost {

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
  detail::Audience to = audience(options);
  const detail::Manner how = manner(options);
  const std::string_view key = options.key.value_or("");
  if (!to.is_everyone && to.rooms.empty()) return nobody();
  const bool is_bytes = kind == detail::WireKind::bytes;
  const auto bytes = std::as_bytes(std::span(payload));
  detail::OutgoingMessage message =
      is_bytes ? detail::encode_wire(kind, detail::base64_encode(bytes), to, how, key)
               : detail::encode_wire(kind, payload, to, how, key);
  const detail::AnyBackplane& backplane = binding_->backplane.any();
  if (backplane.skips_origin()) message.origin = binding_->manager->id();
  const bool is_direct = message.origin != nullptr;
  awaitable<Published> elsewhere = backplane.publish_wire(std::move(message));
  if (!is_direct) return elsewhere;
  return publish_both(binding_->manager,
                      is_bytes ? Frame::binary(bytes, key) : Frame::text(payload, key),
                      std::move(to), how, std::move(elsewhere));
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Published> Cluster::publish_both(
    std::shared_ptr<const detail::BoundManager> manager, Frame frame, detail::Audience to,
    detail::Manner manner, awaitable<Published> elsewhere) {
  const bool is_sent = manager->send(std::move(frame), std::move(to), manner);
  Published published = co_await std::move(elsewhere);
  if (is_sent) ++published.local;
  co_return published;
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Published> Cluster::nobody() {
  co_return Published{.receivers = 0};
}

ROOST_WHEN_USED_DEF detail::Manner Cluster::manner(const BroadcastOptions& options) {
  const detail::Manner manner = detail::Manner::of(options);
  detail::check_option(!options.report, "report must be null: nobody knows what becomes of it");
  detail::check_option(!options.key || detail::is_utf8(*options.key), "key must be UTF-8");
  return manner;
}

ROOST_WHEN_USED_DEF detail::Audience Cluster::audience(const BroadcastOptions& options) const {
  detail::Audience to = detail::Audience::of(options, binding_->manager->max_room_name_bytes);
  if (to.is_everyone && !binding_->manager->allow_global) {
    throw Error(errc::room_required, "the manager is bound without allow_global");
  }
  auto end = to.rooms.begin();  // of those that are named the first time
  for (auto room = to.rooms.begin(); room != to.rooms.end(); ++room) {
    if (std::find(to.rooms.begin(), end, *room) == end) std::swap(*end++, *room);
  }
  to.rooms.erase(end, to.rooms.end());
  std::erase_if(to.exclude, [](const auto& id) { return !detail::is_utf8(id); });  // nobody's
  return to;
}

}  // namespace roost
