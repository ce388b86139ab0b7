// SPDX-License-Identifier: MIT
#pragma once

#include <set>
#include <unordered_map>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/detail/bound_manager.hpp"
#include "roost/backplane/history.hpp"
#include "roost/backplane/presence.hpp"
#include "roost/manager/history/records.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

/// Delivers messages from a backplane to one manager: it turns messages into frames, and passes on
/// the news of histories. A message that cannot be delivered is skipped with a warning, and the
/// backplane goes on. On the backplane's executor.
class Deliverer {
 public:
  using LostHook = std::function<void(std::string_view room)>;

  explicit Deliverer(std::shared_ptr<const BoundManager> manager) noexcept
      : manager_(std::move(manager)) {}

  ROOST_WHEN_USED void deliver(const Parcel& parcel);
  /// Calls @p hook when members of a room have missed messages.
  void on_lost(LostHook hook) { lost_hooks_.push_back(std::move(hook)); }

 private:
  ROOST_WHEN_USED void deliver_news(const HistoryNews& news);
  ROOST_WHEN_USED [[nodiscard]] RecordedPtr recorded(const Parcel& parcel);
  void tell_lost(const std::string& room) const;

  const std::shared_ptr<const BoundManager> manager_;
  std::vector<LostHook> lost_hooks_;
  // Messages that were recovered for one client, shared with others that come back meanwhile.
  std::unordered_map<std::string, std::weak_ptr<const Recorded>> shared_;
  std::size_t shared_limit_ = 64;
};

/// The history of a backplane, for one manager, until that manager is unbound. The manager may have
/// this for longer, so it does not own the history, but only the rules of it.
class BoundRecords final : public RoomRecords {
 public:
  BoundRecords(const std::shared_ptr<BackplaneHistory>& history, const void* member) noexcept
      : rules_(history->options()), history_(history), member_(member) {}

  // From any thread, on which the history must not die: so this does not lock it.
  [[nodiscard]] bool keeps(std::string_view room) const noexcept override {
    return is_bound_ && find_rule(*rules_, room) != nullptr;
  }
  [[nodiscard]] bool is_bound() const noexcept override { return is_bound_; }
  void recover(const std::string& room, std::vector<RecoveryRequest> requests) const override {
    if (const auto history = bound()) history->recover(member_, room, std::move(requests));
  }
  void unbind() noexcept { is_bound_ = false; }

 private:
  [[nodiscard]] std::shared_ptr<BackplaneHistory> bound() const noexcept {
    return is_bound_ ? history_.lock() : nullptr;
  }

  const std::shared_ptr<const HistoryOptions> rules_;
  const std::weak_ptr<BackplaneHistory> history_;
  const void* const member_;
  std::atomic<bool> is_bound_ = true;
};

/// Forwards the users of a manager's rooms to the presence of a backplane.
class BoundUsers final : public UserObserver {
 public:
  BoundUsers(std::shared_ptr<BackplanePresence> its_presence, const void* manager) noexcept
      : presence(std::move(its_presence)), manager_(manager) {}
  ~BoundUsers() override { presence->leave_all(manager_); }

  void on_user_entered(std::string_view room, std::string_view user,
                       std::string_view info) override {
    if (presence->lists(room)) presence->enter(manager_, room, user, info);
  }
  void on_user_left(std::string_view room, std::string_view user) noexcept override {
    if (presence->lists(room)) presence->leave(manager_, room, user);
  }

  const std::shared_ptr<BackplanePresence> presence;

 private:
  const void* const manager_;
};

/// A manager bound to a backplane. The `Cluster` owns it, and the manager tells it which of its
/// rooms open and close, for a backplane that routes by room.
template <class>
class Binding final : public RoomObserver {
 public:
  Binding(BackplaneRef its_backplane, std::shared_ptr<const BoundManager> its_manager);
  ~Binding() override;

  void on_room_opened(std::string_view name) override;
  void on_room_closed(std::string_view name) noexcept override;
  boost::asio::awaitable<void> settled() override;
  /// Null once the backplane is destroyed: another backplane may have the same address.
  [[nodiscard]] const void* subject() const noexcept override {
    return subscription.is_active() ? backplane.any().id() : nullptr;
  }

  const BackplaneRef backplane;
  const std::shared_ptr<const BoundManager> manager;
  Subscription subscription = {};
  const std::shared_ptr<BackplaneHistory> history;  ///< Null if no room has a history.
  const std::shared_ptr<BoundRecords> records;      ///< Of the history, for the manager.
  const std::shared_ptr<Deliverer> deliverer;
  const std::shared_ptr<BoundUsers> users;     ///< Null if no room has presence.
  const std::shared_ptr<ControlDesk> control;  ///< Null if the backplane has no registry.

 private:
  void leave(const std::string& room) noexcept;

  const std::shared_ptr<RoomRouting> routing_;  // null: every message arrives anyway
  std::set<std::string, std::less<>> rooms_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/detail/binding.ipp"
#endif
