// SPDX-License-Identifier: MIT
#pragma once

#include "roost/redis/redis_backplane.hpp"
#include "roost/redis/replica/replica.hpp"

namespace roost {

namespace detail {

/// The room of a message that is for the members of one room only.
ROOST_DECL std::optional<std::string> only_room(const nlohmann::json& message) {
  const auto room = message.find("room");
  const auto rooms = message.find("rooms");
  const bool is_union = rooms != message.end() && !rooms->is_null();
  if (room == message.end() || !room->is_string() || is_union) return std::nullopt;
  return room->get<std::string>();
}

}  // namespace detail

ROOST_DECL RedisBackplane::RedisBackplane(boost::asio::any_io_executor executor, Options options)
    : replica_(std::make_shared<detail::RedisReplica>(std::move(executor), std::move(options))) {}

ROOST_DECL RedisBackplane::~RedisBackplane() { replica_->close(); }

ROOST_DECL boost::asio::any_io_executor RedisBackplane::get_executor() const {
  return replica_->shared->executor();
}

ROOST_DECL const RedisBackplane::Options& RedisBackplane::options() const noexcept {
  return replica_->shared->options();
}

ROOST_DECL RedisBackplane::awaitable<void> RedisBackplane::start() {
  return detail::RedisReplica::start(replica_, options().require_connection);
}

ROOST_DECL RedisBackplane::awaitable<void> RedisBackplane::start_anyway() {
  return detail::RedisReplica::start(replica_, false);
}

ROOST_DECL RedisBackplane::awaitable<void> RedisBackplane::stop() {
  return detail::RedisReplica::stop(replica_);
}

ROOST_DECL RedisBackplane::awaitable<Published> RedisBackplane::publish(
    const nlohmann::json& message) {
  std::string text = detail::serialize_message(message, options().max_message_bytes);
  if (const char* field = detail::reserved_field(message)) {
    throw Error(errc::invalid_json, "the field \"" + std::string(field) + "\" is reserved");
  }
  return detail::RedisReplica::publish(
      replica_, {.text = std::move(text), .room = detail::only_room(message)});
}

ROOST_DECL Subscription RedisBackplane::on(BackplaneHandler handler) {
  return replica_->inbound->on(std::move(handler));
}

ROOST_DECL RedisBackplane::awaitable<Published> RedisBackplane::publish_wire(
    detail::OutgoingMessage message) {
  detail::check_size(message.text, options().max_message_bytes);
  if (message.is_recorded) replica_->historian->check_size(message);
  return detail::RedisReplica::publish(replica_, std::move(message));
}

ROOST_DECL Subscription RedisBackplane::on_parcel(detail::ParcelHandler handler,
                                                  const void* member) {
  return replica_->inbound->on(std::move(handler), member);
}

ROOST_DECL std::shared_ptr<detail::RoomRouting> RedisBackplane::room_routing() const {
  if (options().routing == Routing::shared_channel) return nullptr;
  return std::make_shared<detail::RedisRooms>(replica_->shared, replica_->subscriber);
}

ROOST_DECL std::shared_ptr<detail::BackplaneHistory> RedisBackplane::history() const {
  return replica_->historian;
}

ROOST_DECL std::shared_ptr<detail::ControlDesk> RedisBackplane::control() const {
  return replica_->desk;
}

ROOST_DECL std::shared_ptr<detail::BackplanePresence> RedisBackplane::presence() const {
  return replica_->presence ? replica_->presence->presence() : nullptr;
}

ROOST_DECL RedisState RedisBackplane::state() const noexcept {
  return replica_->subscriber->state();
}

ROOST_DECL RedisBackplane::awaitable<void> RedisBackplane::ready() {
  return detail::RedisReplica::ready(replica_);
}

ROOST_DECL void RedisBackplane::on_state(std::function<void(RedisState)> hook) {
  replica_->subscriber->on_state(std::move(hook));
}

ROOST_DECL void RedisBackplane::on_loss(std::function<void(const RedisLoss&)> hook) {
  replica_->subscriber->on_loss(std::move(hook));
}

ROOST_DECL RedisStats RedisBackplane::stats() const {
  RedisStats stats = replica_->shared->stats;
  replica_->publisher->fill(stats);
  if (replica_->scripting) replica_->scripting->fill(stats);
  if (replica_->registrar) replica_->registrar->fill(stats);
  if (replica_->presence) replica_->presence->fill(stats);
  const detail::HandlerQueues::Counts counts = replica_->inbound->counts();
  stats.received = counts.received;
  stats.dropped = counts.dropped;
  stats.failed = counts.failed;
  return stats;
}

}  // namespace roost
