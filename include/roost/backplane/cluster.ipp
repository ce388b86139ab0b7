// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/cluster.hpp"
#include "roost/backplane/detail/binding.hpp"

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
  message.is_recorded = is_recorded(to, options);
  // All members get a recorded message in the order of the history, also the members here.
  if (backplane.skips_origin() && !message.is_recorded) message.origin = binding_->manager->id();
  const bool is_direct = message.origin != nullptr;
  awaitable<Published> elsewhere = backplane.publish_wire(std::move(message));
  if (!is_direct) return elsewhere;
  return publish_both(binding_->manager,
                      is_bytes ? Frame::binary(bytes, key) : Frame::text(payload, key),
                      std::move(to), how, std::move(elsewhere));
}

ROOST_DECL bool Cluster::is_recorded(const detail::Audience& to,
                                     const BroadcastOptions& options) const {
  if (options.record == false) return false;
  const detail::BoundRecords* const records = binding_->records.get();
  const auto keeps = [&](const std::string& room) { return records && records->keeps(room); };
  const bool must = options.record.has_value();
  detail::check_option(!must || !options.key, "record must not be true with a key");
  if (options.key || std::none_of(to.rooms.begin(), to.rooms.end(), keeps)) {
    detail::check_option(!must, "record must not be true: no HistoryRule matches the room");
    return false;
  }
  if (to.rooms.size() == 1) return true;
  throw Error(errc::one_room_only,
              "a union of rooms, of which one is recorded, needs .record = "
              "false");
}

ROOST_DECL Cluster::awaitable<void> Cluster::forget(std::string_view room) const {
  if (!binding_) throw Error(errc::not_bound);
  detail::validate_room_name(room, binding_->manager->max_room_name_bytes);
  detail::check_option(binding_->records && binding_->records->keeps(room),
                       "room must be one that a HistoryRule matches");
  return binding_->history->forget(std::string(room));
}

ROOST_DECL void Cluster::on_lost(std::function<void(std::string_view room)> hook) const {
  if (!binding_) throw Error(errc::not_bound);
  detail::check_option(static_cast<bool>(hook), "hook must not be empty");
  binding_->deliverer->on_lost(std::move(hook));
}

ROOST_DECL void Cluster::on_presence(std::function<void(const PresenceChange&)> hook) const {
  if (!binding_) throw Error(errc::not_bound);
  if (!binding_->users) throw Error(errc::not_listed, "the backplane has no presence");
  detail::check_option(static_cast<bool>(hook), "hook must not be empty");
  binding_->users->presence->on_change(std::move(hook));
}

ROOST_DECL Cluster::awaitable<Presence> Cluster::present(std::string_view room) const {
  return presence_of(room).present(std::string(room));
}

ROOST_DECL Cluster::awaitable<std::size_t> Cluster::present_count(std::string_view room) const {
  return presence_of(room).count(std::string(room));
}

ROOST_DECL detail::BackplanePresence& Cluster::presence_of(std::string_view room) const {
  if (!binding_) throw Error(errc::not_bound);
  detail::validate_room_name(room, binding_->manager->max_room_name_bytes);
  if (binding_->users && binding_->users->presence->lists(room)) return *binding_->users->presence;
  throw Error(errc::not_listed, "room \"" + detail::escape_for_log(room) + '"');
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
  detail::check_option(!options.report, "report must be null: a Cluster cannot fill it");
  detail::check_option(!options.key || detail::is_utf8(*options.key), "key must be UTF-8");
  return manner;
}

ROOST_WHEN_USED_DEF detail::Audience Cluster::audience(const BroadcastOptions& options) const {
  detail::Audience to = detail::Audience::of(options, binding_->manager->max_room_name_bytes);
  if (to.is_everyone && !binding_->manager->allow_global) {
    throw Error(errc::room_required, "the manager is bound without allow_global");
  }
  auto end = to.rooms.begin();  // of the rooms named for the first time
  for (auto room = to.rooms.begin(); room != to.rooms.end(); ++room) {
    if (std::find(to.rooms.begin(), end, *room) == end) std::swap(*end++, *room);
  }
  to.rooms.erase(end, to.rooms.end());
  // An id that is not UTF-8 belongs to no connection, and would not fit into JSON.
  std::erase_if(to.exclude, [](const auto& id) { return !detail::is_utf8(id); });
  return to;
}

}  // namespace roost
