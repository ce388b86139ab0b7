// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/hook.hpp"
#include "roost/base/log.hpp"
#include "roost/base/text/text.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// The coroutine hooks that run now, on one executor. Each has a time limit, and all can be
/// cancelled.
class HookCalls {
 public:
  /// Runs a hook and returns its answer. After @p limit the hook is cancelled and left behind, and
  /// its answer is discarded.
  /// @par Errors  The exception of the hook; `errc::timed_out`.
  /// @pre this and @p loop outlive the coroutine
  ROOST_WHEN_USED boost::asio::awaitable<bool> answer(boost::asio::awaitable<bool> hook,
                                                      const Loop& loop, Clock::duration limit);

  [[nodiscard]] bool empty() const noexcept { return under_way_.empty(); }

  ROOST_WHEN_USED void cancel();

  /// Waits until no hook runs, or until @p deadline. @returns false if the deadline passed
  /// @pre this and @p loop outlive the coroutine
  ROOST_WHEN_USED boost::asio::awaitable<bool> wait_idle(const Loop& loop,
                                                         Clock::time_point deadline);

 private:
  template <class = void>
  struct Call;

  std::unordered_set<std::shared_ptr<Child<bool>>> under_way_;
  WaitList idle_;
};

}  // namespace roost::detail

namespace roost {

template <class Ws>
class Connection;

namespace detail {

template <class Ws>
class ConnectionParts;
template <class Ws>
class ManagerState;

/// The events that hooks report.
enum class HookKind : unsigned char { connected, joined, left, disconnected };

[[nodiscard]] constexpr std::string_view to_string(HookKind kind) noexcept {
  switch (kind) {
    case HookKind::connected: return "on_connected";
    case HookKind::joined: return "on_joined";
    case HookKind::left: return "on_left";
    case HookKind::disconnected: return "on_disconnect";
  }
  return "unknown";
}

struct HookEvent {
  HookKind kind;
  std::string room;
  std::shared_ptr<void> after = {};  // a connection whose hooks run first; no hook then
};

/// The events that the hooks of one connection have yet to be told.
struct HookProgress {
  std::unique_ptr<std::deque<HookEvent>> waiting;  // null for most connections most of the time
  std::uint64_t queued = 0;
  std::uint64_t told = 0;
  bool is_calling = false;

  /// Appends an event. @returns whether nothing waited before it
  ROOST_WHEN_USED bool push(HookKind kind, std::string_view room);
  /// Lets all events wait until the hooks of @p other have run. @returns whether nothing waited
  /// before
  ROOST_WHEN_USED bool push_front_after(std::shared_ptr<void> other);
  /// Removes the first event. @pre there is one
  ROOST_WHEN_USED HookEvent pop();
};

/// The hooks of a manager. They run after the event that they report. The hooks of one connection
/// run in the order of the events, one after the other, each for at most `hook_timeout`.
template <class Ws>
class Hooks {
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;

 public:
  using Any = Hook<void(const ConnectionPtr&, const HookEvent&)>;

  /// @param arguments  makes the arguments of the application's hook, as a tuple
  template <class AppHook, class Arguments>
  void add(HookKind kind, AppHook hook, Arguments arguments) {
    if (hook.is_coroutine()) {
      of(kind).push_back([hook = std::move(hook), arguments](const ConnectionPtr& connection,
                                                             const HookEvent& event) {
        return std::apply([&](auto&&... each) { return hook.start(each...); },
                          arguments(connection, event));
      });
    } else {
      of(kind).push_back([hook = std::move(hook), arguments](const ConnectionPtr& connection,
                                                             const HookEvent& event) {
        std::apply([&](auto&&... each) { hook.call(each...); }, arguments(connection, event));
      });
    }
  }

  /// Queues an event of @p connection.
  static void queue(State& state, Connection<Ws>& connection, HookKind kind,
                    std::string_view room = {}) {
    if (state.hooks().of(kind).empty()) return;
    if (parts_of(connection).hooks.push(kind, room)) start_telling(state, connection);
  }

  /// Makes the hooks of @p connection, which has just been registered, wait for those of @p old,
  /// whose id it has taken over.
  static void tell_after(State& state, Connection<Ws>& connection, ConnectionPtr old) {
    const HookProgress& before = parts_of(*old).hooks;
    if (before.told == before.queued) return;
    if (parts_of(connection).hooks.push_front_after(std::move(old))) {
      start_telling(state, connection);
    }
  }

  /// Returns the coroutine hooks that run now, including `on_connect` and `room_validator`.
  [[nodiscard]] HookCalls& calls() noexcept { return calls_; }
  [[nodiscard]] const HookCalls& calls() const noexcept { return calls_; }

  /// Returns how many hooks have run so far.
  [[nodiscard]] std::uint64_t told() const noexcept { return told_; }

  /// Waits until the hooks of @p connection have run for its first @p ticket events.
  static boost::asio::awaitable<void> wait_told(StatePtr state, ConnectionPtr connection,
                                                std::uint64_t ticket) {
    ConnectionParts<Ws>& parts = parts_of(*connection);
    while (parts.hooks.told < ticket) co_await wait(parts.changed, state->loop());
  }

 private:
  [[nodiscard]] std::deque<Any>& of(HookKind kind) noexcept {
    return hooks_[static_cast<std::size_t>(kind)];
  }

  static void start_telling(State& state, Connection<Ws>& connection) {
    state.spawn("hooks", tell_all(state.shared_from_this(), connection.shared_from_this()));
  }

  static boost::asio::awaitable<void> tell_all(StatePtr state, ConnectionPtr connection) {
    // If a hook is cancelled, this coroutine goes on with the next.
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    // The code that caused the event must finish first.
    co_await next_turn();
    ConnectionParts<Ws>& parts = parts_of(*connection);
    HookProgress& progress = parts.hooks;
    while (!progress.waiting->empty()) {
      const HookEvent event = progress.pop();
      if (event.after) {
        const auto old = std::static_pointer_cast<Connection<Ws>>(event.after);
        co_await wait_told(state, old, parts_of(*old).hooks.queued);
        ++progress.told;
        parts.changed.notify_all();
        continue;
      }
      progress.is_calling = true;
      const std::deque<Any>& hooks = state->hooks().of(event.kind);
      for (std::size_t i = 0; i < hooks.size() && !state->is_stopped(); ++i) {
        co_await tell(state, hooks[i], connection, event);
        ++state->hooks().told_;
      }
      progress.is_calling = false;
      ++progress.told;
      parts.changed.notify_all();
    }
    progress.waiting.reset();
  }

  static boost::asio::awaitable<void> tell(StatePtr state, const Any& hook,
                                           ConnectionPtr connection, const HookEvent& event) {
    try {
      if (hook.is_coroutine()) {
        co_await state->hooks().calls_.answer(call(state, hook, connection, event), state->loop(),
                                              state->options().hook_timeout);
      } else {
        hook.call(connection, event);
      }
    } catch (...) {
      const std::exception_ptr error = std::current_exception();
      state->log(
          Severity::warning, "hook_failed",
          {{"hook", to_string(event.kind)}, {"id", connection->id()}, {"why", describe(error)}});
    }
  }

  // Owns everything that the hook refers to, even if the hook is left behind.
  static boost::asio::awaitable<bool> call([[maybe_unused]] StatePtr keep, const Any& hook,
                                           ConnectionPtr connection, HookEvent event) {
    co_await hook.start(connection, event);
    co_return true;
  }

  // Deques keep references valid: a hook may add another hook.
  std::array<std::deque<Any>, 4> hooks_;
  HookCalls calls_;
  std::uint64_t told_ = 0;
};

}  // namespace detail
}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/lifecycle/hooks.ipp"
#endif
