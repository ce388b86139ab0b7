// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "roost/manager/connection.hpp"
#include "roost/manager/options.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/manager/sending/audience.hpp"
#include "roost/runtime/detail/executor.hpp"
#include "roost/socket/detail/if_able.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/overflow.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost::detail {

/// One frame in the forms that its recipients want, each made once, when the first asks for it, and
/// charged to the manager.
template <class Ws>
class FrameForms {
 public:
  FrameForms(ManagerState<Ws>& state, const Frame& frame) : state_(state), frame_(frame) {
    state.frame_memory().charge(frame);
  }

  /// Valid until the next call.
  const Frame& operator[](FrameForm form) {
    if constexpr (if_able::forms_frames<Ws>) {
      if (form != 0) [[unlikely]]
        return formed(form);
    }
    return frame_;
  }

 private:
  const Frame& formed(FrameForm form) {
    for (const auto& [existing, frame] : made_) {
      if (existing == form) return frame;
    }
    const Frame& frame = made_.emplace_back(form, Ws::in_form(frame_, form)).second;
    state_.frame_memory().charge(frame);
    return frame;
  }

  ManagerState<Ws>& state_;
  const Frame& frame_;
  std::vector<std::pair<FrameForm, Frame>> made_;
};

/// From one frame to many connections.
template <class Ws>
struct FanOut {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using Parts = ConnectionParts<Ws>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  static Audience audience(const State& state, const BroadcastOptions& options) {
    Audience to = Audience::of(options, state.options().max_room_name_bytes);
    if (to.is_everyone && state.options().require_room) throw Error(errc::room_required);
    return to;
  }

  static boost::asio::awaitable<std::size_t> broadcast(const StatePtr& state, Frame frame,
                                                       const BroadcastOptions& options) {
    require_fits(*state, frame);
    return run_broadcast(state, std::move(frame), audience(*state, options), Manner::of(options));
  }

  /// From any thread; nobody waits.
  static void post(const StatePtr& state, Frame frame, const BroadcastOptions& options) {
    check_option(!options.report, "report must be null: nobody waits");
    require_fits(*state, frame);
    Audience to = audience(*state, options);
    const Manner manner = Manner::of(options);
    boost::asio::post(state->executor(), posted(state, std::move(frame), std::move(to), manner));
  }
  /// The same, at once where that can be.
  static void dispatch(const StatePtr& state, Frame frame, Audience to, const Manner& manner) {
    require_fits(*state, frame);
    boost::asio::dispatch(state->executor(),
                          posted(state, std::move(frame), std::move(to), manner));
  }

  /// @param connection  null: unknown, nobody gets it
  static boost::asio::awaitable<bool> send_to(StatePtr state, ConnectionPtr connection, Frame frame,
                                              const SendOptions& options) {
    const Manner manner = Manner::of(options);
    if (!state) return never_sent(manner);
    require_fits(*state, frame);
    return run_send(std::move(state), std::move(connection), std::move(frame), manner);
  }
  static boost::asio::awaitable<bool> send_to(const StatePtr& state, std::string_view id,
                                              Frame frame, const SendOptions& options) {
    require_fits(*state, frame);
    return on_executor(state->executor(), run_send_by_id(state, std::string(id), std::move(frame),
                                                         Manner::of(options)));
  }

 private:
  // What fits into no outbox is a mistake of the sender, not of those who would get it.
  static void require_fits(const State& state, const Frame& frame) {
    const std::size_t limit = state.options().max_outbox_bytes;
    if (frame.size() <= limit) return;
    throw Error(errc::message_too_big, "a message of " + std::to_string(frame.size()) +
                                           " bytes; max_outbox_bytes is " + std::to_string(limit));
  }

  static boost::asio::awaitable<bool> never_sent(Manner manner) {
    if (manner.report) *manner.report = {};
    co_return false;
  }

  /// What became of a frame at once.
  struct Offered {
    SendReport report = {};
    std::size_t waiting = 0;
    std::vector<const Parts*> dropped = {};                           ///< To be compared with only.
    std::vector<std::pair<ConnectionPtr, OfferResult>> refused = {};  ///< Dropped after the walk.

    void note(Parts& recipient, OfferResult offer) {
      switch (offer) {
        case OfferResult::taken: ++report.taken; return;
        case OfferResult::waiting: ++waiting; return;
        case OfferResult::conflated:
          ++report.taken;
          ++report.conflated;
          return;
        case OfferResult::dropped:
          ++report.dropped;
          dropped.push_back(&recipient);
          return;
        case OfferResult::overflow: ++report.overflowed; break;
        case OfferResult::failed: break;
      }
      if (recipient.is_attached())
        refused.emplace_back(owner_of(recipient).shared_from_this(), offer);
    }
  };

  static auto posted(const StatePtr& state, Frame frame, Audience to, const Manner& manner) {
    return [state, frame = std::move(frame), to = std::move(to), manner] {
      std::shared_ptr<Delivery> nobody_waits;
      offer_to_all(*state, frame, to, manner, false, nobody_waits);
    };
  }

  // Where it is awaited on the manager's executor, one coroutine has to do.
  static boost::asio::awaitable<std::size_t> run_broadcast(StatePtr state, Frame frame, Audience to,
                                                           Manner manner) {
    if (co_await boost::asio::this_coro::executor != state->executor()) {
      co_return co_await on_executor(state->executor(),
                                     run_broadcast(state, std::move(frame), std::move(to), manner));
    }
    std::shared_ptr<Delivery> delivery;
    Offered offered = offer_to_all(*state, frame, to, manner, true, delivery);
    if (manner.report) *manner.report = offered.report;
    if (!delivery || delivery->pending == 0) co_return offered.report.taken;

    // Somebody is congested. Who is still registered once all have answered has the frame.
    const std::vector<ConnectionPtr> recipients = who_may_have(*state, to, offered);
    frame = Frame();
    while (delivery->pending > 0) {
      co_await wait(delivery->settled, state->loop());
    }
    std::size_t still_connected = 0;
    for (const ConnectionPtr& connection : recipients) {
      if (connection->is_connected()) ++still_connected;
    }
    if (manner.report) manner.report->taken = still_connected;
    co_return still_connected;
  }

  static boost::asio::awaitable<bool> run_send_by_id(StatePtr state, std::string id, Frame frame,
                                                     Manner manner) {
    ConnectionPtr connection = state->registry().find(id);
    co_return co_await run_send(std::move(state), std::move(connection), std::move(frame), manner);
  }

  static boost::asio::awaitable<bool> run_send(StatePtr state, ConnectionPtr connection,
                                               Frame frame, Manner manner) {
    if (co_await boost::asio::this_coro::executor != state->executor()) {
      co_return co_await on_executor(
          state->executor(), run_send(state, std::move(connection), std::move(frame), manner));
    }
    if (manner.report) *manner.report = {};
    if (!connection || !connection->is_connected()) co_return false;
    std::shared_ptr<Delivery> delivery;
    FrameForms<Ws> forms(*state, frame);
    Parts& recipient = parts_of(*connection);
    const Frame& formed = forms[recipient.frame_form()];
    const std::optional<FramePolicy> policy = manner.policy(frame);
    const OfferResult offer = policy ? recipient.offer(formed, *policy, true, delivery)
                                     : recipient.offer(formed, true, delivery);
    recipient.drop_unless_taken(offer);
    state->congestion().relieve();
    while (offer == OfferResult::waiting && delivery->pending > 0) {
      co_await wait(delivery->settled, state->loop());
    }
    const bool is_taken = offer != OfferResult::dropped && connection->is_connected();
    if (manner.report) {
      *manner.report = {.taken = is_taken ? 1U : 0U,
                        .conflated = offer == OfferResult::conflated ? 1U : 0U,
                        .dropped = offer == OfferResult::dropped ? 1U : 0U,
                        .overflowed = offer == OfferResult::overflow ? 1U : 0U};
    }
    co_return is_taken;
  }

  /// Those that did not take the frame at once are in @p delivery.
  static Offered offer_to_all(State& state, const Frame& original, const Audience& to,
                              const Manner& manner, bool awaited,
                              std::shared_ptr<Delivery>& delivery) {
    // What may be dropped or replaced is so by itself.
    const std::optional<FramePolicy> policy = manner.policy(original);
    const Frame frame = policy ? original : coalesced(state, original, to);
    FrameForms<Ws> forms(state, frame);
    Offered offered;
    if (policy) {
      for_each(state, to, [&](Parts& recipient) {
        offered.note(recipient,
                     recipient.offer(forms[recipient.frame_form()], *policy, awaited, delivery));
      });
    } else {
      std::size_t taken = 0;
      for_each(state, to, [&](Parts& recipient) {
        const OfferResult offer = recipient.offer(forms[recipient.frame_form()], awaited, delivery);
        if (offer == OfferResult::taken) [[likely]] {
          ++taken;
        } else {
          offered.note(recipient, offer);
        }
      });
      offered.report.taken += taken;
    }
    for (const auto& [connection, offer] : offered.refused) {
      parts_of(*connection).drop_unless_taken(offer);
    }
    state.count_broadcast(offered.report.taken + offered.waiting);
    state.congestion().relieve();
    return offered;
  }

  static std::vector<ConnectionPtr> who_may_have(State& state, const Audience& to,
                                                 const Offered& offered) {
    const std::unordered_set<const Parts*> dropped(offered.dropped.begin(), offered.dropped.end());
    std::vector<ConnectionPtr> recipients;
    for_each(state, to, [&](Parts& recipient) {
      if (dropped.contains(&recipient)) return;
      recipients.push_back(owner_of(recipient).shared_from_this());
    });
    return recipients;
  }

  static Frame coalesced(State& state, const Frame& frame, const Audience& to) {
    if (!TakesFrames<Ws> || (!to.is_everyone && to.rooms.size() != 1)) return frame;
    return state.frame_memory().coalesce(frame,
                                         to.is_everyone ? std::string_view() : to.rooms.front());
  }

  /// Calls @p visit for each recipient once. It must not change who is in which room.
  template <class Visit>
  static void for_each(State& state, const Audience& to, Visit visit) {
    auto& registry = state.registry();
    const std::uint64_t number = registry.next_walk();
    for (const std::string& id : to.exclude) {
      if (const ConnectionPtr connection = registry.find(id)) parts_of(*connection).meet(number);
    }
    const auto meet = [&](Parts& recipient) {
      if (recipient.meet(number)) visit(recipient);
    };
    if (to.is_everyone) walk(registry.everyone(), meet);
    for (const std::string& room : to.rooms) walk(registry.rooms().members(room), meet);
  }

  static Parts& recipient(Connection<Ws>& connection) noexcept { return parts_of(connection); }
  static Parts& recipient(RoomMember& member) noexcept { return static_cast<Parts&>(member); }

  template <class Members, class Meet>
  static void walk(const Members& members, Meet meet) {
    constexpr std::size_t ahead = 4;
    const auto at = [&](std::size_t i) -> Parts& { return recipient(*members[i]); };
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i + 2 * ahead < members.size()) at(i + 2 * ahead).prefetch_recipient();
      if (i + ahead < members.size()) at(i + ahead).prefetch_sink();
      meet(at(i));
    }
  }
};

}  // namespace roost::detail
