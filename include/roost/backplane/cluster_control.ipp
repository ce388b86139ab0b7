// SPDX-License-Identifier: MIT
#pragma once

#include "roost/backplane/cluster.hpp"
#include "roost/backplane/control/control_desk.hpp"
#include "roost/backplane/control/control_message.hpp"
#include "roost/backplane/detail/binding.hpp"
#include "roost/base/text/text.hpp"
#include "roost/manager/options.hpp"
#include "roost/runtime/detail/executor.hpp"

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
