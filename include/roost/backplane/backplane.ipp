// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "roost/backplane/backplane.hpp"
#include "roost/base/error.hpp"

namespace roost {

ROOST_DECL void Subscription::cancel() noexcept {
  if (const auto target = std::exchange(target_, {}).lock()) target->cancel();
}

ROOST_DECL bool Subscription::is_active() const noexcept {
  const auto target = target_.lock();
  return target && target->is_active();
}

ROOST_DECL boost::asio::any_io_executor BackplaneRef::get_executor() const {
  return calls().get_executor(backplane_.get());
}

ROOST_DECL BackplaneRef::awaitable<void> BackplaneRef::start() const {
  return calls().start(backplane_.get());
}

ROOST_DECL BackplaneRef::awaitable<void> BackplaneRef::start_anyway() const {
  return calls().start_anyway(backplane_.get());
}

ROOST_DECL BackplaneRef::awaitable<void> BackplaneRef::stop() const {
  return calls().stop(backplane_.get());
}

ROOST_DECL BackplaneRef::awaitable<Published> BackplaneRef::publish(
    const nlohmann::json& message) const {
  return calls().publish(backplane_.get(), message);
}

ROOST_DECL Subscription BackplaneRef::on(BackplaneHandler handler) const {
  return calls().on(backplane_.get(), std::move(handler));
}

ROOST_DECL BackplaneRef::awaitable<Published> BackplaneRef::publish_wire(
    detail::OutgoingMessage message) const {
  return calls().publish_wire(backplane_.get(), std::move(message));
}

ROOST_DECL Subscription BackplaneRef::on_parcel(detail::ParcelHandler handler,
                                                const void* member) const {
  return calls().on_parcel(backplane_.get(), std::move(handler), member);
}

ROOST_DECL bool BackplaneRef::skips_origin() const { return calls().skips_origin; }

ROOST_DECL std::optional<std::size_t> BackplaneRef::max_message_bytes() const {
  return calls().max_message_bytes(backplane_.get());
}

ROOST_DECL std::shared_ptr<detail::RoomRouting> BackplaneRef::room_routing() const {
  return calls().room_routing(backplane_.get());
}

ROOST_DECL const BackplaneRef::Calls& BackplaneRef::calls() const {
  if (!backplane_) throw Error(errc::backplane_unavailable, "the BackplaneRef is empty");
  return *calls_;
}

}  // namespace roost
