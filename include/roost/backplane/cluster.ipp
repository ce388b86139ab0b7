// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/cluster.hpp"

namespace roost {

ROOST_DECL Cluster& Cluster::operator=(Cluster&& other) noexcept {
  if (this != &other) {
    unbind();
    binding_ = std::move(other.binding_);
  }
  return *this;
}

ROOST_DECL void Cluster::unbind() noexcept {
  if (binding_) binding_->unbind();
  binding_.reset();
}

ROOST_DECL const detail::ClusterBinding& Cluster::bound() const {
  if (!binding_) throw Error(errc::not_bound);
  return *binding_;
}

ROOST_DECL Cluster::awaitable<Published> Cluster::broadcast_text(std::string_view text,
                                                                 BroadcastOptions options) const {
  if (!detail::is_utf8(text)) {
    throw Error(errc::invalid_utf8, "a text message of " + std::to_string(text.size()) + " bytes");
  }
  return bound().publish(detail::WireKind::text, text, options);
}

ROOST_DECL Cluster::awaitable<Published> Cluster::broadcast_bytes(std::span<const std::byte> bytes,
                                                                  BroadcastOptions options) const {
  return bound().publish(detail::WireKind::bytes,
                         {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, options);
}

ROOST_DECL Cluster::awaitable<void> Cluster::forget(std::string_view room) const {
  return bound().forget(room);
}

ROOST_DECL void Cluster::on_lost(std::function<void(std::string_view room)> hook) const {
  bound().on_lost(std::move(hook));
}

ROOST_DECL void Cluster::on_presence(std::function<void(const PresenceChange&)> hook) const {
  bound().on_presence(std::move(hook));
}

ROOST_DECL Cluster::awaitable<Presence> Cluster::present(std::string_view room) const {
  return bound().present(room);
}

ROOST_DECL Cluster::awaitable<std::size_t> Cluster::present_count(std::string_view room) const {
  return bound().present_count(room);
}

ROOST_DECL std::vector<ReplicaInfo> Cluster::replicas() const { return bound().replicas(); }

ROOST_DECL Cluster::awaitable<Survey> Cluster::ask(std::string_view name,
                                                   const nlohmann::json& question,
                                                   AskOptions options) const {
  return bound().ask(name, question, options);
}

ROOST_DECL void Cluster::on_ask(std::string_view name,
                                std::function<nlohmann::json(const nlohmann::json&)> hook) const {
  bound().on_ask(name, std::move(hook));
}

ROOST_DECL Cluster::awaitable<Reached> Cluster::disconnect(Target target,
                                                           ClusterDisconnectOptions options) const {
  detail::check_option(detail::is_utf8(options.reason), "reason must be UTF-8");
  detail::check_option(detail::is_utf8(options.except) && options.except.size() <= 255,
                       "except must be UTF-8 of at most 255 bytes");
  detail::ControlOrder how{.kind = detail::ControlOrder::Kind::disconnect,
                           .code = options.code,
                           .reason = std::string(clip_close_reason(options.reason)),
                           .except = std::string(options.except)};
  return bound().order(std::move(how), target, {}, options.timeout);
}

ROOST_DECL Cluster::awaitable<Reached> Cluster::join(Target target, std::string_view room,
                                                     AskOptions options) const {
  return bound().order({.kind = detail::ControlOrder::Kind::join}, target, room, options.timeout);
}

ROOST_DECL Cluster::awaitable<Reached> Cluster::leave(Target target, std::string_view room,
                                                      AskOptions options) const {
  return bound().order({.kind = detail::ControlOrder::Kind::leave}, target, room, options.timeout);
}

ROOST_DECL Cluster::awaitable<Reached> Cluster::room_size(std::string_view room,
                                                          AskOptions options) const {
  return bound().order({.kind = detail::ControlOrder::Kind::room_size}, Target::room(room), room,
                       options.timeout);
}

}  // namespace roost
