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
#include "roost/backplane/wire/backplane_message.hpp"
#include "roost/backplane/wire/wire_message.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/log.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/manager/sending/fan_out.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

/// The connections of the manager that a message is sent for: they do not wait for the backplane.
class OwnMembers {
 public:
  OwnMembers() = default;
  OwnMembers(const OwnMembers&) = delete;
  OwnMembers& operator=(const OwnMembers&) = delete;
  virtual ~OwnMembers() = default;

  /// Tells the manager from others; null once it is gone.
  [[nodiscard]] virtual const void* id() const noexcept = 0;
  /// Sends now where that can be, else as soon as the manager's executor gets to it.
  /// @returns false if the manager is gone
  virtual bool send(const Frame& frame, const WireAudience& to, const WireManner& manner) const = 0;
};

/// A manager at a backplane. Owned by the handle; the manager knows it as an observer of its rooms,
/// which the backplane is told where it routes by room.
class Binding final : public RoomObserver {
 public:
  explicit Binding(BackplaneRef its_backplane)
      : backplane(std::move(its_backplane)), routing_(backplane.any().room_routing()) {}
  ~Binding() override;

  void on_room_opened(std::string_view name) override;
  void on_room_closed(std::string_view name) noexcept override;
  boost::asio::awaitable<void> settled() override;
  /// Another backplane may be made where one was destroyed.
  [[nodiscard]] const void* subject() const noexcept override {
    return subscription.is_active() ? backplane.any().id() : nullptr;
  }

  const BackplaneRef backplane;
  Subscription subscription = {};
  std::shared_ptr<const OwnMembers> own = {};  ///< None: they get what comes over the backplane.
  bool allow_global = false;
  std::size_t max_room_name_bytes = 0;

 private:
  const std::shared_ptr<RoomRouting> routing_;  // none: every message comes anyway
  std::set<std::string, std::less<>> rooms_;
};

/// Where a parcel goes: a manager, whatever its sockets are.
class Destination {
 public:
  Destination() = default;
  Destination(const Destination&) = delete;
  Destination& operator=(const Destination&) = delete;

  virtual void send(Frame frame, const BroadcastOptions& options) const = 0;
  virtual void warn(std::string_view event, std::string why) const = 0;

 protected:
  ~Destination() = default;
};

/// @param frame  of a message that the wire brings, or would bring
ROOST_WHEN_USED void send(const Destination& destination, Frame frame, const WireAudience& to,
                          const WireManner& manner);

/// What comes in becomes a frame for connections of this replica. Never throws at the backplane for
/// what others have sent.
ROOST_WHEN_USED void deliver(const Parcel& parcel, bool allow_global, const Destination& to);

/// @par Thread safety  From any thread: the manager may live elsewhere than the backplane.
template <class Ws>
class ManagerDestination final : public Destination {
 public:
  explicit ManagerDestination(const std::shared_ptr<ManagerState<Ws>>& state) : state_(state) {}

  void send(Frame frame, const BroadcastOptions& options) const override {
    FanOut<Ws>::dispatch(state_, std::move(frame), options);
  }
  void warn(std::string_view event, std::string why) const override {
    boost::asio::post(state_->executor(), [state = state_, event, why = std::move(why)] {
      if (!state->is_stopped()) state->log(Severity::warning, event, {{"why", why}});
    });
  }

 private:
  const std::shared_ptr<ManagerState<Ws>>& state_;
};

/// The members of a manager, which may be gone.
template <class Ws>
class ManagerMembers final : public OwnMembers {
 public:
  explicit ManagerMembers(const std::shared_ptr<ManagerState<Ws>>& state) : state_(state) {}

  [[nodiscard]] const void* id() const noexcept override { return state_.lock().get(); }
  bool send(const Frame& frame, const WireAudience& to, const WireManner& manner) const override {
    const std::shared_ptr<ManagerState<Ws>> state = state_.lock();
    if (!state || !state->executor()) return false;
    detail::send(ManagerDestination<Ws>(state), frame, to, manner);
    return true;
  }

 private:
  const std::weak_ptr<ManagerState<Ws>> state_;
};

/// Delivers what comes in to a manager, which may be gone.
template <class Ws>
void deliver(const Parcel& parcel, bool allow_global,
             const std::shared_ptr<ManagerState<Ws>>& state) {
  if (state && state->executor()) deliver(parcel, allow_global, ManagerDestination<Ws>(state));
}

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/detail/binding.ipp"
#endif
