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
#include "roost/runtime/detail/loop.hpp"
#include "roost/runtime/detail/tasks.hpp"
#include "roost/runtime/detail/wait.hpp"

namespace roost::detail {

/// The hooks of the application that are under way as coroutines: none takes longer than it may,
/// and all may be cancelled. On one executor.
class HookCalls {
 public:
  /// Waits for the answer of a hook for at most @p limit; then it is cancelled, left behind, and
  /// its answer discarded.
  /// @par Errors  what it throws; `errc::timed_out`
  /// @pre this and @p loop outlive the coroutine
  ROOST_WHEN_USED boost::asio::awaitable<bool> answer(boost::asio::awaitable<bool> hook,
                                                      const Loop& loop, Clock::duration limit);

  [[nodiscard]] bool empty() const noexcept { return under_way_.empty(); }

  ROOST_WHEN_USED void cancel();

  /// Waits until none is under way (true), or until @p deadline (false).
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

/// What may happen to a connection that the application wants to know.
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
  std::shared_ptr<void> after = {};  // a connection whose hooks are told first: no hook is for this
};

/// What one connection's hooks have still to be told.
struct HookProgress {
  std::unique_ptr<std::deque<HookEvent>> waiting;  // most connections have none at any time
  std::uint64_t queued = 0;
  std::uint64_t told = 0;
  bool is_calling = false;

  /// @returns whether nothing waited before it.
  ROOST_WHEN_USED bool push(HookKind kind, std::string_view room);
  /// Before all others, the hooks of @p other are waited for. @returns whether nothing waited yet.
  ROOST_WHEN_USED bool push_front_after(std::shared_ptr<void> other);
  /// @pre Something waits.
  ROOST_WHEN_USED HookEvent pop();
};

/// The hooks of a manager, and how they are told: outside of what happened, of each connection in
/// the order in which it happened, one hook after the other, each for at most `hook_timeout`.
template <class Ws>
class Hooks {
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;

 public:
  using Any = Hook<void(const ConnectionPtr&, const HookEvent&)>;

  /// @param arguments  what the application's hook takes, as a tuple
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

  /// Something has happened to @p connection.
  static void queue(State& state, Connection<Ws>& connection, HookKind kind,
                    std::string_view room = {}) {
    if (state.hooks().of(kind).empty()) return;
    if (parts_of(connection).hooks.push(kind, room)) start_telling(state, connection);
  }

  /// The hooks of @p connection, which has just been registered, are told when those of @p old have
  /// been, whose id it has taken.
  static void tell_after(State& state, Connection<Ws>& connection, ConnectionPtr old) {
    const HookProgress& before = parts_of(*old).hooks;
    if (before.told == before.queued) return;
    if (parts_of(connection).hooks.push_front_after(std::move(old))) {
      start_telling(state, connection);
    }
  }

  /// Those that are under way as coroutines, those that are asked among them.
  [[nodiscard]] HookCalls& calls() noexcept { return calls_; }
  [[nodiscard]] const HookCalls& calls() const noexcept { return calls_; }

  /// How many were told so far.
  [[nodiscard]] std::uint64_t told() const noexcept { return told_; }

  /// Waits until the hooks were told of all up to @p ticket.
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
    // A hook may be cancelled; who tells them goes on to the next.
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    // Whoever caused it is not done yet.
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

  // Owns what the hook refers to, also if that is left behind.
  static boost::asio::awaitable<bool> call([[maybe_unused]] StatePtr keep, const Any& hook,
                                           ConnectionPtr connection, HookEvent event) {
    co_await hook.start(connection, event);
    co_return true;
  }

  // Deques: a hook may add another.
  std::array<std::deque<Any>, 4> hooks_;
  HookCalls calls_;
  std::uint64_t told_ = 0;
};

}  // namespace detail
}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/manager/lifecycle/hooks.ipp"
#endif
