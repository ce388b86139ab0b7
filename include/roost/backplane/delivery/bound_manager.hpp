// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "roost/backplane/control/carry_out.hpp"
#include "roost/base/log.hpp"
#include "roost/manager/connection_manager.hpp"
#include "roost/manager/history/records.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/registry/manager_state.hpp"
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

}  // namespace roost::detail
