// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/lifecycle/dropping.hpp"

namespace roost::detail {

/// The graceful shutdown of a manager: closes all connections one after the other, and admits none.
template <class Ws>
struct Drain {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using Connections = std::vector<std::shared_ptr<Connection<Ws>>>;

  /// Starts a drain, or waits for the one that runs. The drain belongs to the manager, so
  /// cancelling the caller does not end it.
  static boost::asio::awaitable<DrainReport> await_drain(StatePtr state, DrainOptions options) {
    std::shared_ptr<Child<DrainReport>> drain = state->drain();
    if (!drain || drain->is_done()) {
      drain = Child<DrainReport>::start(state->executor(), run_drain(state, options));
      state->drain() = drain;
    }
    co_return co_await result_of(drain, state->loop());
  }

 private:
  static boost::asio::awaitable<DrainReport> run_drain(StatePtr state, DrainOptions options) {
    co_await next_turn();  // after `state->drain()` is set
    const Clock::time_point deadline = state->now() + options.deadline;
    state->gate()->close(options.code, options.retry_after, options.retry_spread);
    state->gate()->hand_over();
    const Connections all = state->registry().all();
    state->log(Severity::info, "drain", {{"connections", std::to_string(all.size())}});

    DrainReport report{.connections = all.size()};
    const Connections closing = co_await close_one_by_one(state, all, options, deadline);
    report.left = all.size() - closing.size();
    co_await wait_over(state, deadline);
    co_await cut_short(state);
    for (const auto& connection : closing) {
      ++(parts_of(*connection).departure.was_aborted ? report.aborted : report.closed);
    }
    report.unfinished = state->tasks().size();
    state->log(Severity::info, "drained",
               {{"closed", std::to_string(report.closed)},
                {"left", std::to_string(report.left)},
                {"aborted", std::to_string(report.aborted)},
                {"unfinished", std::to_string(report.unfinished)}});
    co_return report;
  }

  /// @returns the connections that were still there when their turn came
  static boost::asio::awaitable<Connections> close_one_by_one(StatePtr state, Connections all,
                                                              DrainOptions options,
                                                              Clock::time_point deadline) {
    const Clock::time_point start = state->now();
    constexpr Clock::duration longest_gap = std::chrono::milliseconds(10);
    const Clock::duration spread =
        std::min({options.spread, options.deadline / 2,
                  longest_gap * static_cast<Clock::duration::rep>(all.size())});
    Connections closing;
    for (std::size_t i = 0; i < all.size() && !state->is_stopped(); ++i) {
      const double share = static_cast<double>(i) / static_cast<double>(all.size());
      const auto turn = start + std::chrono::duration_cast<Clock::duration>(spread * share);
      if (turn > state->now()) co_await sleep_until(state->loop(), turn);
      if (!all[i]->is_connected()) continue;
      const Disconnect how{DisconnectReason::draining, options.code,
                           retry_hint(state->gate()->next_retry())};
      const Clock::duration left = std::max(deadline - state->now(), Clock::duration::zero());
      // A peer that does not answer must not delay the process until the deadline.
      const Clock::duration patience = std::min(left, state->options().close_timeout);
      drop(*state, *all[i], how, Ending::close,
           {.total = left,
            .without_progress = patience,
            .min_progress_bytes = state->options().min_progress_bytes});
      closing.push_back(all[i]);
    }
    co_return closing;
  }

  /// Waits, at most until @p deadline, until transports have closed, hooks have run and handlers
  /// have ended. Then it waits for clients that came too late, and for what these caused.
  static boost::asio::awaitable<void> wait_over(StatePtr state, Clock::time_point deadline) {
    const Loop& loop = state->loop();
    co_await wait_idle(state->tasks(), loop, deadline);
    state->gate()->close_entrances();
    co_await wait_idle(state->gate()->visits(), loop, deadline);
    co_await state->hooks().calls().wait_idle(loop, deadline);
    co_await wait_idle(state->tasks(), loop, deadline);
  }

  /// Cancels all coroutines, and gives them a few turns of the loop to end and to destroy their
  /// sockets. It goes on as long as there is progress.
  static boost::asio::awaitable<void> cut_short(StatePtr state) {
    constexpr int least = 4;
    constexpr int patience = 16;
    std::uint64_t seen = 0;
    int quiet = 0;
    for (int turn = 0; turn < least || (quiet < patience && !state->is_idle()); ++turn) {
      state->cancel_all();
      co_await next_turn();
      const std::uint64_t changes =
          state->tasks().changes() + state->gate()->visits().changes() + state->hooks().told();
      quiet = changes == std::exchange(seen, changes) ? quiet + 1 : 0;
    }
  }
};

}  // namespace roost::detail
