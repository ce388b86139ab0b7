// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/cluster.hpp"
#include "roost/backplane/control/control_desk.hpp"
#include "roost/backplane/control/control_message.hpp"
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

namespace roost {

namespace detail {

ROOST_DECL void check_control_name(std::string_view name, const char* what) {
  check_option(!name.empty() && name.size() <= max_question_name && is_utf8(name), what);
}

ROOST_DECL void check_question_name(std::string_view name) {
  check_control_name(name, "name must be UTF-8 of 1 to 255 bytes");
  check_option(!name.starts_with("roost:"), "name must not begin with roost:");
}

ROOST_DECL void check_ask_timeout(Clock::duration timeout) {
  check_option(timeout > Clock::duration::zero() && timeout <= std::chrono::minutes(1),
               "timeout must be above 0 and at most a minute");
}

}  // namespace detail

ROOST_DECL const std::shared_ptr<detail::ControlDesk>& Cluster::desk() const {
  if (!binding_) throw Error(errc::not_bound);
  if (binding_->control) return binding_->control;
  throw Error(errc::not_supported, "the backplane has no registry of its replicas");
}

ROOST_DECL std::vector<ReplicaInfo> Cluster::replicas() const { return desk()->line().replicas(); }

ROOST_DECL void Cluster::on_ask(std::string_view name,
                                std::function<nlohmann::json(const nlohmann::json&)> hook) const {
  const auto& its_desk = desk();
  detail::check_question_name(name);
  detail::check_option(static_cast<bool>(hook), "hook must not be empty");
  its_desk->on_ask(std::string(name), std::move(hook));
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Survey> Cluster::ask(std::string_view name,
                                                            const nlohmann::json& question,
                                                            AskOptions options) const {
  const std::shared_ptr<detail::ControlDesk> its_desk = desk();
  detail::check_question_name(name);
  detail::check_ask_timeout(options.timeout);
  const std::string text = detail::dump_json(question, detail::max_json_depth - 1);
  if (text.size() > detail::max_control_body) {
    throw Error(errc::message_too_big, "a question of " + std::to_string(text.size()) +
                                           " bytes as JSON, at most 64000 are allowed");
  }
  const boost::asio::any_io_executor executor = its_desk->line().executor();
  if (!executor) throw Error(errc::backplane_unavailable, "the backplane is gone");
  return detail::on_executor(
      executor, detail::ControlDesk::ask(its_desk, std::string(name), question, options.timeout));
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Reached> Cluster::order(detail::ControlOrder order,
                                                               Target target, std::string_view room,
                                                               Clock::duration timeout) const {
  const std::shared_ptr<detail::ControlDesk> its_desk = desk();
  if (order.kind != detail::ControlOrder::Kind::disconnect) {
    detail::validate_room_name(room, binding_->manager->max_room_name_bytes);
  }
  if (target.kind() == Target::Kind::room) {
    detail::validate_room_name(target.name(), binding_->manager->max_room_name_bytes);
  } else {
    detail::check_control_name(target.name(), "target must be UTF-8 of 1 to 255 bytes");
  }
  detail::check_ask_timeout(timeout);
  order.to = target.kind();
  order.name = target.name();
  order.room = room;
  const boost::asio::any_io_executor executor = its_desk->line().executor();
  if (!executor) throw Error(errc::backplane_unavailable, "the backplane is gone");
  return detail::on_executor(executor,
                             detail::ControlDesk::order(its_desk, std::move(order), timeout));
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Reached> Cluster::disconnect(
    Target target, ClusterDisconnectOptions options) const {
  detail::check_option(detail::is_utf8(options.reason), "reason must be UTF-8");
  detail::check_option(detail::is_utf8(options.except) && options.except.size() <= 255,
                       "except must be UTF-8 of at most 255 bytes");
  detail::ControlOrder how{.kind = detail::ControlOrder::Kind::disconnect,
                           .code = options.code,
                           .reason = std::string(clip_close_reason(options.reason)),
                           .except = std::string(options.except)};
  return order(std::move(how), target, {}, options.timeout);
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Reached> Cluster::join(Target target, std::string_view room,
                                                              AskOptions options) const {
  return order({.kind = detail::ControlOrder::Kind::join}, target, room, options.timeout);
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Reached> Cluster::leave(Target target, std::string_view room,
                                                               AskOptions options) const {
  return order({.kind = detail::ControlOrder::Kind::leave}, target, room, options.timeout);
}

ROOST_WHEN_USED_DEF Cluster::awaitable<Reached> Cluster::room_size(std::string_view room,
                                                                   AskOptions options) const {
  return order({.kind = detail::ControlOrder::Kind::room_size}, Target::room(room), room,
               options.timeout);
}

}  // namespace roost
