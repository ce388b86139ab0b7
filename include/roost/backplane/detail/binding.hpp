// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "roost/backplane/backplane.hpp"
#include "roost/backplane/control/carry_out.hpp"
#include "roost/backplane/control/control_desk.hpp"
#include "roost/backplane/history.hpp"
#include "roost/backplane/presence.hpp"
#include "roost/base/log.hpp"
#include "roost/manager/history/records.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/manager/sending/fan_out.hpp"
#include "roost/socket/frame.hpp"

namespace roost::detail {

/// A manager with sockets of any type, as its backplane sees it. The manager may be gone.
/// @par Thread safety  From any thread: the manager may run on another thread than the backplane.
class BoundManager : public ControlMember {
 public:
  BoundManager(std::size_t its_max_room_name_bytes, bool its_allow_global) noexcept
      : max_room_name_bytes(its_max_room_name_bytes), allow_global(its_allow_global) {}
  BoundManager(const BoundManager&) = delete;
  BoundManager& operator=(const BoundManager&) = delete;
  virtual ~BoundManager() = default;

  /// Identifies the manager; null once it is gone.
  [[nodiscard]] virtual const void* id() const noexcept = 0;
  /// Sends immediately if called on the manager's executor, else posts the frame to that executor.
  /// @returns false if the manager is gone.
  /// @par Errors  `errc::message_too_big`.
  virtual bool send(Frame frame, Audience to, const Manner& manner) const = 0;
  virtual void warn(std::string_view event, std::string why) const = 0;
  /// Makes the manager use @p records as the history of its rooms. On the manager's executor.
  virtual void ask_of(std::shared_ptr<const RoomRecords> records) const = 0;
  /// Makes the manager let go of what it keeps of that history. From any thread.
  virtual void drop_kept() const noexcept = 0;
  /// Tells @p observer of the users in rooms. On the manager's executor.
  virtual void observe_users(const std::shared_ptr<UserObserver>& observer) const = 0;
  /// The news of a history; calls arrive in the order in which they were made.
  virtual void deliver(RecordedPtr message) const = 0;
  virtual void answer(std::shared_ptr<const RecoveryAnswer> answer) const = 0;
  virtual void lose(std::string room, std::string position, LossReason why) const = 0;
  virtual void restart() const = 0;

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
  void ask_of(std::shared_ptr<const RoomRecords> records) const override {
    if (const auto state = running()) state->recoveries().ask_of(std::move(records));
  }
  void drop_kept() const noexcept override {
    try {
      there([](State& state) { state.recoveries().drop_kept(); });
    } catch (...) {  // it goes a little later
    }
  }
  void observe_users(const std::shared_ptr<UserObserver>& observer) const override {
    if (const auto state = running()) state->registry().observe_users(observer);
  }
  void deliver(RecordedPtr message) const override {
    there([message = std::move(message)](State& state) { FanOut<Ws>::deliver(state, message); });
  }
  void answer(std::shared_ptr<const RecoveryAnswer> answer) const override {
    there([answer = std::move(answer)](State& state) { state.recoveries().answered(answer); });
  }
  void lose(std::string room, std::string position, LossReason why) const override {
    there([room = std::move(room), position = std::move(position), why](State& state) {
      state.recoveries().lost(room, position, why);
    });
  }
  void restart() const override {
    there([](State& state) { state.recoveries().restarted(); });
  }
  void carry_out(ControlOrder order, std::function<void(std::size_t)> done) const override {
    const auto state = running();
    if (!state) return done(0);
    boost::asio::dispatch(state->executor(),
                          [state, order = std::move(order), done = std::move(done)] {
                            if (state->is_stopped()) return done(0);
                            CarryOut<Ws>::run(state, order, done);
                          });
  }
  void count_connections(std::shared_ptr<std::atomic<std::size_t>> count) const override {
    there([count](State& state) { *count = state.registry().everyone().size(); });
  }

 private:
  using State = ManagerState<Ws>;

  template <class F>
  void there(F f) const {
    const auto state = running();
    if (!state) return;
    boost::asio::dispatch(state->executor(), [state, f = std::move(f)] {
      if (!state->is_stopped()) f(*state);
    });
  }
  [[nodiscard]] std::shared_ptr<ManagerState<Ws>> running() const noexcept {
    auto state = state_.lock();
    return state && state->executor() ? state : nullptr;
  }

  const std::weak_ptr<ManagerState<Ws>> state_;
};

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
