// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <mutex>

#include "roost/backplane/presence.hpp"
#include "roost/backplane/presence/presence_rooms.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/error.hpp"
#include "roost/base/log.hpp"
#include "roost/base/text/text.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// What a presence needs of its backplane. The clock lives as long as the presence.
struct PresencePlace {
  boost::asio::any_io_executor executor;
  std::shared_ptr<Clock> clock;
  Logger logger;
};

/// The presence of a backplane: does what `PresenceRooms` decides. A store implements what is
/// virtual here. On the executor, but for `BackplanePresence`.
class PresenceShell : public BackplanePresence, public std::enable_shared_from_this<PresenceShell> {
 public:
  PresenceShell(PresenceOptions options, PresencePlace place, PresenceRooms::Checks checks)
      : clock_(std::move(place.clock)),
        logger_(std::move(place.logger)),
        executor_(std::move(place.executor)),
        rooms_(std::move(options), checks) {}

  // --- from any thread ---

  [[nodiscard]] bool lists(std::string_view room) const noexcept final {
    return find_rule(rooms_.options(), room) != nullptr;
  }
  void enter(const void* source, std::string_view room, std::string_view user,
             std::string_view info) final {
    there([source, room = std::string(room), user = std::string(user), info = std::string(info)](
              PresenceShell& self) { self.rooms_.enter(source, room, user, info); });
  }
  void leave(const void* source, std::string_view room, std::string_view user) noexcept final {
    quietly([&] {
      there([source, room = std::string(room), user = std::string(user)](PresenceShell& self) {
        self.rooms_.leave(source, room, user, self.now());
      });
    });
  }
  void leave_all(const void* source) noexcept final {
    quietly([&] {
      there([source](PresenceShell& self) { self.rooms_.leave_all(source, self.now()); });
    });
  }
  void on_change(Hook hook) final { hooks_.push_back(std::move(hook)); }
  boost::asio::awaitable<Presence> present(std::string room) final {
    const std::size_t most = find_rule(rooms_.options(), room)->max_listed;
    return on_its_executor(std::move(room), most);
  }
  boost::asio::awaitable<std::size_t> count(std::string room) final {
    return count_of(on_its_executor(std::move(room), 0));
  }
  [[nodiscard]] PresenceCounts counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
  }

 protected:
  using time_point = Clock::time_point;
  using Answered = std::function<void(const PresenceAnswer*)>;

  [[nodiscard]] boost::asio::any_io_executor executor() const {
    const std::lock_guard lock(mutex_);
    return executor_;
  }
  [[nodiscard]] time_point now() const noexcept { return clock_->now(); }
  [[nodiscard]] PresenceRooms& rooms() noexcept { return rooms_; }
  [[nodiscard]] const PresenceRooms& rooms() const noexcept { return rooms_; }

  /// Does something on the executor, if the presence still exists by then, and what comes of it.
  template <class F>
  void there(F f) {
    const boost::asio::any_io_executor executor = this->executor();
    if (!executor) return;
    boost::asio::post(executor, [weak = weak_from_this(), f = std::move(f)] {
      const auto self = weak.lock();
      if (!self || !self->executor()) return;
      f(*self);
      self->pump();
    });
  }
  /// Carries out what is due, and sets the timer.
  void pump();
  /// Releases the executor: nothing is done any more.
  void close() noexcept;

  // --- the store ---

  /// Whether calls can be made.
  [[nodiscard]] virtual bool is_begun() const noexcept = 0;
  /// A room has its first member here, or none any more: `PresenceRooms::subscribed` is to be
  /// called once its events arrive.
  virtual void on_door(const std::string& room, bool is_open) = 0;
  /// `PresenceRooms` is to be told what comes of it, now or later.
  virtual void perform(const PresenceCall& call) = 0;
  /// Reads the users of a room for a caller.
  /// @param answered  gets null if the store cannot be asked
  virtual void read(const std::string& room, std::size_t max_listed, Answered answered) = 0;
  /// When the store itself needs a turn, and that turn.
  [[nodiscard]] virtual time_point its_due() const { return time_point::max(); }
  virtual void take_turn() {}

 private:
  struct Reading {
    std::optional<PresenceAnswer> answer;
    bool is_done = false;
    WaitList changed;
  };

  template <class F>
  void quietly(F f) noexcept {
    try {
      f();
    } catch (...) {  // without memory: the user stays in the room, which the next audit may notice
    }
  }
  [[nodiscard]] time_point next_due() const { return std::min(rooms_.next_due(), its_due()); }
  void tell(const PresenceChange& change);
  void note_counts();
  void arm();

  boost::asio::awaitable<Presence> on_its_executor(std::string room, std::size_t max_listed) {
    const boost::asio::any_io_executor executor = this->executor();
    if (!executor) throw Error(errc::backplane_unavailable);
    return on_executor(executor,
                       run_present(shared_from_this(), executor, std::move(room), max_listed));
  }
  static boost::asio::awaitable<Presence> run_present(std::shared_ptr<PresenceShell> self,
                                                      boost::asio::any_io_executor executor,
                                                      std::string room, std::size_t max_listed);
  static boost::asio::awaitable<std::size_t> count_of(boost::asio::awaitable<Presence> present) {
    const Presence presence = co_await std::move(present);
    co_return presence.count;
  }

  const std::shared_ptr<Clock> clock_;
  const Logger logger_;
  mutable std::mutex mutex_;  // calls come from any thread
  boost::asio::any_io_executor executor_;
  PresenceCounts counts_;  // as of the last pump
  PresenceRooms rooms_;
  std::vector<Hook> hooks_;
  WaitList wake_;
  time_point armed_for_ = time_point::max();
  bool is_pumping_ = false;
};

}  // namespace roost::detail

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/backplane/presence/presence_shell.ipp"
#endif
