// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "roost/connection.hpp"
#include "roost/detail/manager_state.hpp"
#include "roost/detail/wait.hpp"
#include "roost/drain.hpp"

namespace roost::detail {

/// The last thing that a manager does: all go, one after the other, and nobody comes.
template <class Ws>
struct Drain {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using Connections = std::vector<std::shared_ptr<Connection<Ws>>>;

  static boost::asio::awaitable<DrainReport> run(StatePtr state, DrainOptions options) {
    const Clock::time_point deadline = state->now() + options.deadline;
    state->gate()->close(options.code, options.retry_after, options.retry_spread);
    const Connections all = state->all();
    state->log(Severity::info, "drain", {{"connections", std::to_string(all.size())}});

    DrainReport report{.connections = all.size()};
    const Connections closing = co_await close_one_by_one(state, all, options, deadline);
    report.left = all.size() - closing.size();
    co_await wait_all_over(state, all, deadline);
    for (const auto& connection : closing) co_await Closing<Ws>::wait_closed(state, connection);
    for (const auto& connection : closing)
      ++(connection->was_aborted_ ? report.aborted : report.closed);
    state->gate()->shut_entrances();
    report.unfinished = co_await cancel_handlers(all);
    state->log(Severity::info, "drained",
               {{"closed", std::to_string(report.closed)},
                {"left", std::to_string(report.left)},
                {"aborted", std::to_string(report.aborted)},
                {"unfinished", std::to_string(report.unfinished)}});
    co_return report;
  }

 private:
  /// @returns those that had not left before it was their turn.
  static boost::asio::awaitable<Connections> close_one_by_one(StatePtr state, Connections all,
                                                              DrainOptions options,
                                                              Clock::time_point deadline) {
    const Clock::time_point start = state->now();
    constexpr Clock::duration longest_gap = std::chrono::milliseconds(10);
    const Clock::duration spread =
        std::min({options.spread, options.deadline / 2,
                  longest_gap * static_cast<Clock::duration::rep>(all.size())});
    Connections closing;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const double share = static_cast<double>(i) / static_cast<double>(all.size());
      const auto turn = start + std::chrono::duration_cast<Clock::duration>(spread * share);
      if (turn > state->now()) {
        co_await sleep_until(state->executor(), *state->options().clock, turn);
      }
      if (!all[i]->is_connected()) continue;
      const Disconnect how{DisconnectReason::draining, options.code,
                           retry_hint(state->gate()->next_retry())};
      const Clock::duration left = std::max(deadline - state->now(), Clock::duration::zero());
      state->drop(*all[i], how, Ending::close, left);
      closing.push_back(all[i]);
    }
    co_return closing;
  }

  [[nodiscard]] static bool is_over(const Connection<Ws>& connection) noexcept {
    return connection.is_closed_ && connection.hooks_.told == connection.hooks_.queued &&
           !connection.handler_;
  }

  /// Waits for transports, hooks, handlers, and what else the manager does, not for ever.
  static boost::asio::awaitable<void> wait_all_over(StatePtr state, const Connections& all,
                                                    Clock::time_point deadline) {
    Clock& clock = *state->options().clock;
    for (const auto& connection : all) {
      bool is_in_time = true;
      while (is_in_time && !is_over(*connection)) {
        is_in_time = co_await wait(connection->changed_, state->executor(), clock, deadline);
      }
    }
    co_await State::wait_idle(state, deadline);
  }

  /// @returns how many do not end by that.
  static boost::asio::awaitable<std::size_t> cancel_handlers(const Connections& all) {
    for (const auto& connection : all) {
      if (connection->handler_) connection->handler_->cancel();
    }
    const auto unfinished = [&] {
      return static_cast<std::size_t>(std::count_if(
          all.begin(), all.end(), [](const auto& connection) { return !is_over(*connection); }));
    };
    // Those that end at all have ended a few turns of the loop later.
    for (int turn = 0; turn < 16 && unfinished() > 0; ++turn) {
      co_await boost::asio::post(boost::asio::use_awaitable);
    }
    co_return unfinished();
  }
};

}  // namespace roost::detail
