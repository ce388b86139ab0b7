// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/detail/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/manager/sending/fan_out.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

/// A manager as the backplane sees it, whatever its sockets are. It may be gone.
/// @par Thread safety  From any thread: the manager may live elsewhere than the backplane.
class BoundManager {
 public:
  BoundManager(std::size_t its_max_room_name_bytes, bool its_allow_global) noexcept
      : max_room_name_bytes(its_max_room_name_bytes), allow_global(its_allow_global) {}
  BoundManager(const BoundManager&) = delete;
  BoundManager& operator=(const BoundManager&) = delete;
  virtual ~BoundManager() = default;

  /// Tells the manager from others; null once it is gone.
  [[nodiscard]] virtual const void* id() const noexcept = 0;
  /// Sends now where that can be, else as soon as the manager's executor gets to it.
  /// @returns false if the manager is gone
  /// @par Errors  `errc::message_too_big`
  virtual bool send(Frame frame, Audience to, const Manner& manner) const = 0;
  virtual void warn(std::string_view event, std::string why) const = 0;

  const std::size_t max_room_name_bytes;
  const bool allow_global;
};

template <class Ws>
class BoundManagerOf final : public BoundManager {
 public:
  BoundManagerOf(const std::shared_ptr<ManagerState<Ws>>& state, bool its_allow_global)
      : BoundManager(state->options().max_room_name_bytes, its_allow_global), state_(state) {}

  [[nodiscard]] const void* id() const noexcept override { return state_.lock().get(); }
  bool send(Frame frame, Audience to, const Manner& manner) const override {
    const auto state = running();
    if (state) FanOut<Ws>::dispatch(state, std::move(frame), std::move(to), manner);
    return state != nullptr;
  }
  void warn(std::string_view event, std::string why) const override {
    const auto state = running();
    if (!state) return;
    boost::asio::post(state->executor(), [state, event, why = std::move(why)] {
      if (!state->is_stopped()) state->log(Severity::warning, event, {{"why", why}});
    });
  }

 private:
  [[nodiscard]] std::shared_ptr<ManagerState<Ws>> running() const noexcept {
    auto state = state_.lock();
    return state && state->executor() ? state : nullptr;
  }

  const std::weak_ptr<ManagerState<Ws>> state_;
};

/// Makes a frame of a message from the backplane, for connections of this replica. A message that
/// cannot be delivered is skipped with a warning, and never an error of the backplane's.
ROOST_WHEN_USED void deliver(const Parcel& parcel, const BoundManager& manager);

/// A manager at a backplane. Owned by the handle; the manager knows it as an observer of its rooms,
/// which the backplane is told where it routes by room.
class Binding final : public RoomObserver {
 public:
  Binding(BackplaneRef its_backplane, std::shared_ptr<const BoundManager> its_manager)
      : backplane(std::move(its_backplane)),
        manager(std::move(its_manager)),
        routing_(backplane.any().room_routing()) {}
  ~Binding() override;

  void on_room_opened(std::string_view name) override;
  void on_room_closed(std::string_view name) noexcept override;
  boost::asio::awaitable<void> settled() override;
  /// Another backplane may be made where one was destroyed.
  [[nodiscard]] const void* subject() const noexcept override {
    return subscription.is_active() ? backplane.any().id() : nullptr;
  }

  const BackplaneRef backplane;
  const std::shared_ptr<const BoundManager> manager;
  Subscription subscription = {};

 private:
  const std::shared_ptr<RoomRouting> routing_;  // none: every message comes anyway
  std::set<std::string, std::less<>> rooms_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/detail/binding.ipp"
#endif
