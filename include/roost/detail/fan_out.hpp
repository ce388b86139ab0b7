// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "roost/connection.hpp"
#include "roost/detail/manager_state.hpp"
#include "roost/detail/on_executor.hpp"
#include "roost/detail/validate_names.hpp"
#include "roost/frame.hpp"
#include "roost/options.hpp"
#include "roost/websocket_like.hpp"

namespace roost::detail {

/// Who gets a broadcast, with names of its own: the options of the call are views.
struct Audience {
  bool is_everyone = false;  ///< Else those in `rooms`, which may be nobody.
  std::vector<std::string> rooms;
  std::vector<std::string> exclude;
};

/// One frame in the forms that its recipients want, each made once, when the first asks for it.
template <class Ws>
class FrameForms {
 public:
  explicit FrameForms(const Frame& frame) noexcept : frame_(frame) {}

  /// Valid until the next call.
  const Frame& operator[](FrameForm form) {
    if constexpr (FormsFrames<Ws>) {
      if (form != 0) [[unlikely]] {
        for (const auto& [existing, frame] : made_) {
          if (existing == form) return frame;
        }
        return made_.emplace_back(form, Ws::in_form(frame_, form)).second;
      }
    }
    return frame_;
  }

 private:
  const Frame& frame_;
  std::vector<std::pair<FrameForm, Frame>> made_;
};

/// From one frame to many connections.
template <class Ws>
struct FanOut {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  static Audience audience(const State& state, const BroadcastOptions& options) {
    Audience to;
    to.rooms.reserve(options.rooms.size() + 1);
    if (options.room) to.rooms.emplace_back(*options.room);
    for (const std::string_view room : options.rooms) to.rooms.emplace_back(room);
    for (const std::string& room : to.rooms) {
      validate_room_name(room, state.options().max_room_name_bytes);
    }
    // An empty list of rooms reaches nobody: it must not turn into everyone.
    to.is_everyone = !options.room && !options.rooms.is_given();
    if (to.is_everyone && state.options().require_room) throw Error(errc::room_required);
    to.exclude.reserve(options.exclude.size());
    for (const std::string_view id : options.exclude) to.exclude.emplace_back(id);
    return to;
  }

  static boost::asio::awaitable<std::size_t> broadcast(const StatePtr& state, Frame frame,
                                                       const BroadcastOptions& options) {
    return run_broadcast(state, std::move(frame), audience(*state, options));
  }

  /// From any thread; nobody waits.
  static void post(const StatePtr& state, Frame frame, const BroadcastOptions& options) {
    boost::asio::post(state->executor(),
                      [state, frame = std::move(frame), to = audience(*state, options)] {
                        std::shared_ptr<Delivery> nobody_waits;
                        offer_to_all(*state, frame, to, false, nobody_waits);
                      });
  }

  /// @param connection  null: unknown, nobody gets it
  static boost::asio::awaitable<bool> send_to(StatePtr state, ConnectionPtr connection,
                                              Frame frame) {
    if (!state) return never_sent();
    return run_send(std::move(state), std::move(connection), std::move(frame));
  }
  static boost::asio::awaitable<bool> send_to(const StatePtr& state, std::string_view id,
                                              Frame frame) {
    return on_executor(state->executor(), run_send_by_id(state, std::string(id), std::move(frame)));
  }

 private:
  static boost::asio::awaitable<bool> never_sent() { co_return false; }

  // Where it is awaited on the manager's executor, one coroutine has to do.
  static boost::asio::awaitable<std::size_t> run_broadcast(StatePtr state, Frame frame,
                                                           Audience to) {
    const boost::asio::any_io_executor here = co_await boost::asio::this_coro::executor;
    if (here != state->executor()) {
      auto there =
          run_there(state->executor(), run_broadcast(state, std::move(frame), std::move(to)));
      const auto result = co_await std::move(there);
      co_return *result;
    }
    std::shared_ptr<Delivery> delivery;
    const std::size_t taken = offer_to_all(*state, frame, to, true, delivery);
    if (!delivery || delivery->pending == 0) co_return taken;

    // Somebody is congested. Who is still registered once all have answered has the frame.
    std::vector<ConnectionPtr> recipients;
    for_each(*state, to, [&](Connection<Ws>& connection) {
      recipients.push_back(connection.shared_from_this());
    });
    frame = Frame();
    while (delivery->pending > 0) {
      co_await wait(delivery->settled, state->executor(), *state->options().clock);
    }
    std::size_t still_connected = 0;
    for (const ConnectionPtr& connection : recipients) {
      if (connection->is_connected()) ++still_connected;
    }
    co_return still_connected;
  }

  static boost::asio::awaitable<bool> run_send_by_id(StatePtr state, std::string id, Frame frame) {
    ConnectionPtr connection = state->find(id);
    co_return co_await run_send(std::move(state), std::move(connection), std::move(frame));
  }

  static boost::asio::awaitable<bool> run_send(StatePtr state, ConnectionPtr connection,
                                               Frame frame) {
    const boost::asio::any_io_executor here = co_await boost::asio::this_coro::executor;
    if (here != state->executor()) {
      auto there =
          run_there(state->executor(), run_send(state, std::move(connection), std::move(frame)));
      const auto result = co_await std::move(there);
      co_return *result;
    }
    if (!connection || !connection->is_connected()) co_return false;
    std::shared_ptr<Delivery> delivery;
    const Offer offer =
        connection->offer(FrameForms<Ws>(frame)[connection->frame_form()], true, delivery);
    connection->drop_unless_taken(offer);
    while (offer == Offer::waiting && delivery->pending > 0) {
      co_await wait(delivery->settled, state->executor(), *state->options().clock);
    }
    co_return connection->is_connected();
  }

  /// @returns how many took the frame at once; those that did not are in @p delivery.
  static std::size_t offer_to_all(State& state, const Frame& original, const Audience& to,
                                  bool awaited, std::shared_ptr<Delivery>& delivery) {
    const Frame frame = joined(state, original, to);
    FrameForms<Ws> forms(frame);
    std::size_t taken = 0;
    std::size_t waiting = 0;
    std::vector<std::pair<ConnectionPtr, Offer>> refused;  // dropped after the walk
    for_each(state, to, [&](Connection<Ws>& connection) {
      const Offer offer = connection.offer(forms[connection.frame_form()], awaited, delivery);
      if (offer == Offer::taken) [[likely]] {
        ++taken;
      } else if (offer == Offer::waiting) {
        ++waiting;
      } else if (connection.is_connected()) {
        refused.emplace_back(connection.shared_from_this(), offer);
      }
    });
    for (const auto& [connection, offer] : refused) connection->drop_unless_taken(offer);
    state.count_broadcast(taken + waiting);
    return taken;
  }

  static Frame joined(State& state, const Frame& frame, const Audience& to) {
    if (!TakesFrames<Ws> || (!to.is_everyone && to.rooms.size() != 1)) return frame;
    return state.joiner(to.is_everyone ? std::string_view() : to.rooms.front()).join(frame);
  }

  /// Calls @p visit for each recipient once. It must not change who is in which room.
  template <class Visit>
  static void for_each(State& state, const Audience& to, Visit visit) {
    const std::uint64_t visited = state.next_visit();
    for (const std::string& id : to.exclude) {
      if (const ConnectionPtr connection = state.find(id)) connection->visited_ = visited;
    }
    const auto meet = [&](Connection<Ws>& connection) {
      if (std::exchange(connection.visited_, visited) != visited) visit(connection);
    };
    if (to.is_everyone) walk(state.everyone(), meet);
    for (const std::string& room : to.rooms) walk(state.rooms().members(room), meet);
  }

  template <class Members, class Meet>
  static void walk(const Members& members, Meet meet) {
    constexpr std::size_t ahead = 4;
    const auto at = [&](std::size_t i) -> Connection<Ws>& {
      return static_cast<Connection<Ws>&>(*members[i]);
    };
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i + 2 * ahead < members.size()) at(i + 2 * ahead).prefetch_recipient();
      if (i + ahead < members.size()) at(i + ahead).prefetch_sink();
      meet(at(i));
    }
  }
};

}  // namespace roost::detail
