// SPDX-License-Identifier: MIT
#pragma once

#include <set>
#include <unordered_map>

#include "roost/backplane/cluster.hpp"
#include "roost/backplane/history.hpp"
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
/// rooms open and close, for a backplane that routes by room. A template, so that only files which
/// bind a manager compile it.
template <class = void>
class Binding final : public ClusterBinding, public RoomObserver {
 public:
  Binding(BackplaneRef backplane, std::shared_ptr<const BoundManager> manager);
  ~Binding() override;

  /// Makes messages from the backplane arrive.
  void subscribe();
  void unbind() noexcept override { subscription_.cancel(); }

  // --- for the manager ---

  void on_room_opened(std::string_view name) override;
  void on_room_closed(std::string_view name) noexcept override;
  awaitable<void> settled() override;
  /// Null once the backplane is destroyed: another backplane may have the same address.
  [[nodiscard]] const void* subject() const noexcept override {
    return subscription_.is_active() ? backplane_.any().id() : nullptr;
  }

  // --- for the `Cluster` ---

  awaitable<Published> publish(WireKind kind, std::string_view payload,
                               const BroadcastOptions& options) const override;
  awaitable<void> forget(std::string_view room) const override;
  void on_lost(std::function<void(std::string_view room)> hook) const override;
  void on_presence(std::function<void(const PresenceChange&)> hook) const override;
  awaitable<Presence> present(std::string_view room) const override;
  awaitable<std::size_t> present_count(std::string_view room) const override;
  [[nodiscard]] std::vector<ReplicaInfo> replicas() const override;
  awaitable<Survey> ask(std::string_view name, const nlohmann::json& question,
                        AskOptions options) const override;
  void on_ask(std::string_view name,
              std::function<nlohmann::json(const nlohmann::json&)> hook) const override;
  awaitable<Reached> order(ControlOrder order, Target target, std::string_view room,
                           Clock::duration timeout) const override;

 private:
  void leave(const std::string& room) noexcept;

  [[nodiscard]] Audience audience(const BroadcastOptions& options) const;
  static Manner manner(const BroadcastOptions& options);
  /// Whether a message is to be recorded.
  /// @par Errors  `errc::one_room_only`; `invalid_option` if `record` is true but the message
  ///              cannot be recorded.
  [[nodiscard]] bool is_recorded(const Audience& to, const BroadcastOptions& options) const;
  /// Sends to the manager's own connections, then to the other replicas.
  static awaitable<Published> publish_both(std::shared_ptr<const BoundManager> manager, Frame frame,
                                           Audience to, Manner manner,
                                           awaitable<Published> elsewhere);
  static awaitable<Published> nobody();

  /// @par Errors  those of `Cluster::present`.
  [[nodiscard]] BackplanePresence& presence_of(std::string_view room) const;
  /// @par Errors  `errc::not_supported`.
  [[nodiscard]] const std::shared_ptr<ControlDesk>& desk() const;
  /// The executor of the desk, on which all replicas are asked.
  /// @par Errors  `errc::backplane_unavailable`.
  [[nodiscard]] boost::asio::any_io_executor executor() const;

  const BackplaneRef backplane_;
  const std::shared_ptr<const BoundManager> manager_;
  const std::shared_ptr<BackplaneHistory> history_;  // null if no room has a history
  const std::shared_ptr<BoundRecords> records_;      // of the history, for the manager
  const std::shared_ptr<Deliverer> deliverer_;
  const std::shared_ptr<BoundUsers> users_;     // null if no room has presence
  const std::shared_ptr<ControlDesk> control_;  // null if the backplane has no registry
  const std::shared_ptr<RoomRouting> routing_;  // null: every message arrives anyway
  Subscription subscription_;
  std::set<std::string, std::less<>> rooms_;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/delivery/binding.ipp"
#endif
