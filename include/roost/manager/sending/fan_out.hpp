// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <span>
#include <unordered_set>

#include "roost/manager/history/records.hpp"
#include "roost/manager/history/replay.hpp"
#include "roost/manager/registry/manager_state.hpp"
#include "roost/manager/sending/audience.hpp"
#include "roost/manager/sending/frame_memory.hpp"

namespace roost::detail {

/// Sends one frame to many connections.
template <class Ws>
struct FanOut {
  using State = ManagerState<Ws>;
  using StatePtr = std::shared_ptr<State>;
  using Parts = ConnectionParts<Ws>;
  using ConnectionPtr = std::shared_ptr<Connection<Ws>>;

  static Audience audience(const State& state, const BroadcastOptions& options) {
    Audience to = Audience::of(options, state.options().max_room_name_bytes);
    if (to.is_everyone && state.options().require_room) throw Error(errc::room_required);
    check_option(options.record != true, "record must not be true: only a Cluster records");
    if (options.record != false) require_unrecorded(state, to);
    return to;
  }

  static boost::asio::awaitable<std::size_t> broadcast(const StatePtr& state, Frame frame,
                                                       const BroadcastOptions& options) {
    require_fits(*state, frame);
    return run_broadcast(state, std::move(frame), audience(*state, options), Manner::of(options));
  }

  /// Broadcasts without waiting. Any thread may call this.
  static void post(const StatePtr& state, Frame frame, const BroadcastOptions& options) {
    check_option(!options.report, "report must be null: post does not wait");
    require_fits(*state, frame);
    Audience to = audience(*state, options);
    const Manner manner = Manner::of(options);
    boost::asio::post(state->executor(), posted(state, std::move(frame), std::move(to), manner));
  }
  /// Broadcasts without waiting, and immediately if the caller is on the manager's executor.
  static void dispatch(const StatePtr& state, Frame frame, Audience to, const Manner& manner) {
    require_fits(*state, frame);
    boost::asio::dispatch(state->executor(),
                          posted(state, std::move(frame), std::move(to), manner));
  }

  /// Delivers a recorded message to the members of its room. Call this on the manager's executor.
  static void deliver(State& state, const RecordedPtr& message) {
    const Audience to{.rooms = {message->room}, .exclude = message->exclude};
    const Line line{message->room, message->position};
    const std::optional<FramePolicy> policy = message->manner.policy(message->frame);
    const Frame frame = policy ? message->frame : coalesced(state, message->frame, to);
    FormedFrames made;
    FrameForms<Ws> forms(state, frame, line, made);
    if (!policy) forms.coalesce_lined();
    Offered offered;
    for_each(state, to, [&](Parts& recipient) {
      if (recipient.replays() && withhold(state, recipient, message, offered)) return;
      offered.offer(recipient, forms[recipient.wire_form()], policy);
    });
    state.count_broadcast(offered.report.taken);
    if (!to.exclude.empty()) tell_excluded(state, message, line, offered);
    drop_refused(state, offered);
  }

  /// Offers an earlier message. @returns false if the connection had to be dropped
  static bool replay(State& state, Parts& recipient, const RecordedPtr& message) {
    const Line line{message->room, message->position};
    Offered offered;
    if (!message->frame || contains(message->exclude, owner_of(recipient).id())) {
      offer_line(state, recipient, line.text(), {}, offered);
    } else {
      FrameForms<Ws> forms(state, message->frame, line, message->formed);
      offered.offer(recipient, forms[recipient.wire_form()],
                    message->manner.policy(message->frame));
    }
    drop_refused(state, offered);
    return recipient.is_attached();
  }

  /// Sends a line without a payload, if the client wants positions. It must arrive, so no drop
  /// policy applies to it.
  static void tell(State& state, Parts& recipient, const std::string& line) {
    Offered offered;
    offer_line(state, recipient, line, FramePolicy{}, offered);
    drop_refused(state, offered);
  }
  /// Sends such a line to all members of @p room that want positions and for which @p admits
  /// returns true. It calls @p admits for every member.
  template <class Admits>
  static void tell_members(State& state, const std::string& room, const std::string& line,
                           Admits admits) {
    Offered offered;
    for_each(state, Audience{.rooms = {room}}, [&](Parts& recipient) {
      if (admits(recipient)) offer_line(state, recipient, line, FramePolicy{}, offered);
    });
    drop_refused(state, offered);
  }

  /// Sends a frame to one connection.
  /// @param connection  null: the id is unknown, and nobody gets the frame
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
  // A message that fits into no outbox is a mistake of the sender, so no recipient is dropped for
  // it.
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

  /// The immediate results of offering one frame.
  struct Offered {
    SendReport report = {};
    std::size_t waiting = 0;
    std::vector<const Parts*> dropped = {};                           ///< Only for comparison.
    std::vector<std::pair<ConnectionPtr, OfferResult>> refused = {};  ///< To drop after the walk.

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

    /// Offers a frame to one recipient; no sender waits.
    void offer(Parts& recipient, const Frame& frame, const std::optional<FramePolicy>& policy) {
      std::shared_ptr<Delivery> nobody_waits;
      note(recipient, policy ? recipient.offer(frame, *policy, false, nobody_waits)
                             : recipient.offer(frame, false, nobody_waits));
    }
  };

  static void drop_refused(State& state, const Offered& offered) {
    for (const auto& [connection, offer] : offered.refused) {
      parts_of(*connection).drop_unless_taken(offer);
    }
    state.slow_peers().relieve();
  }

  [[nodiscard]] static bool contains(const std::vector<std::string>& ids, const std::string& id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }

  static void require_unrecorded(const State& state, const Audience& to) {
    for (const std::string& room : to.rooms) {
      if (!state.recoveries().keeps(room)) continue;
      throw Error(errc::recorded_room, "room \"" + escape_for_log(room) +
                                           "\": send it through the Cluster, or with .record = "
                                           "false");
    }
  }

  /// Withholds a recorded message from a connection that gets earlier ones first.
  static bool withhold(State& state, Parts& recipient, const RecordedPtr& message,
                       Offered& offered) {
    Replay* const replay = recipient.replays()->find(message->room);
    if (!replay) return false;
    state.frame_memory().charge(message->frame);
    replay->withhold(message);
    if (recipient.replays()->behind_bytes() > state.options().max_outbox_bytes) {
      offered.note(recipient, OfferResult::overflow);
    }
    return true;
  }

  /// Sends the new position to excluded connections that want positions.
  static void tell_excluded(State& state, const RecordedPtr& message, const Line& line,
                            Offered& offered) {
    const std::uint64_t number = state.registry().next_walk();
    for (const std::string& id : message->exclude) {
      const ConnectionPtr connection = state.registry().find(id);
      if (!connection || !connection->is_in(message->room)) continue;
      Parts& recipient = parts_of(*connection);
      if (!recipient.meet(number)) continue;  // the list may name it twice
      if (recipient.replays() && withhold(state, recipient, message, offered)) continue;
      offer_line(state, recipient, line.text(), {}, offered);
    }
  }

  static void offer_line(State& state, Parts& recipient, const std::string& line,
                         const std::optional<FramePolicy>& policy, Offered& offered) {
    if (!is_lined(recipient.wire_form())) return;
    const Frame frame = Frame::text(line);
    FormedFrames made;
    FrameForms<Ws> forms(state, frame, {}, made);
    offered.offer(recipient, forms[wire_form(of_socket(recipient.wire_form()), false)], policy);
  }

  static auto posted(const StatePtr& state, Frame frame, Audience to, const Manner& manner) {
    return [state, frame = std::move(frame), to = std::move(to), manner] {
      std::shared_ptr<Delivery> nobody_waits;
      offer_to_all(*state, frame, to, manner, false, nobody_waits);
    };
  }

  // On the manager's executor this is a single coroutine.
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

    // A recipient is congested. Those that are still registered once all have answered have the
    // frame.
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
    FormedFrames made;
    FrameForms<Ws> forms(*state, frame, {}, made);
    Parts& recipient = parts_of(*connection);
    const Frame& formed = forms[recipient.wire_form()];
    const std::optional<FramePolicy> policy = manner.policy(frame);
    const OfferResult offer = policy ? recipient.offer(formed, *policy, true, delivery)
                                     : recipient.offer(formed, true, delivery);
    recipient.drop_unless_taken(offer);
    state->slow_peers().relieve();
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

  /// Offers a frame to all recipients. @p delivery then counts those that did not accept it
  /// immediately.
  static Offered offer_to_all(State& state, const Frame& original, const Audience& to,
                              const Manner& manner, bool awaited,
                              std::shared_ptr<Delivery>& delivery) {
    // A frame that may be dropped or replaced must be an entry of its own.
    const std::optional<FramePolicy> policy = manner.policy(original);
    const Frame frame = policy ? original : coalesced(state, original, to);
    FormedFrames made;
    FrameForms<Ws> forms(state, frame, {.room = to.one_room()}, made);
    if (!policy && (to.is_everyone || to.rooms.size() == 1)) forms.coalesce_lined();
    Offered offered;
    if (policy) {
      for_each(state, to, [&](Parts& recipient) {
        offered.note(recipient,
                     recipient.offer(forms[recipient.wire_form()], *policy, awaited, delivery));
      });
    } else {
      std::size_t taken = 0;
      for_each(state, to, [&](Parts& recipient) {
        const OfferResult offer = recipient.offer(forms[recipient.wire_form()], awaited, delivery);
        if (offer == OfferResult::taken) [[likely]] {
          ++taken;
        } else {
          offered.note(recipient, offer);
        }
      });
      offered.report.taken += taken;
    }
    state.count_broadcast(offered.report.taken + offered.waiting);
    drop_refused(state, offered);
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
    return state.frame_memory().coalesce(frame, to.one_room());
  }

  /// Calls @p visit once for each recipient. @p visit must not change the members of rooms.
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

  // The recipients have left the processor's caches, and the tables of its pages, since the last
  // broadcast. They are fetched many at a time, because the waits for several addresses overlap;
  // first their own memory, then that of their sinks, to which they point.
  template <class Members, class Meet>
  static void walk(const Members& members, Meet meet) {
    constexpr std::size_t at_a_time = 16;
    for (std::size_t begin = 0; begin < members.size(); begin += at_a_time) {
      const auto some =
          std::span(members).subspan(begin, std::min(at_a_time, members.size() - begin));
      for (auto* const member : some) recipient(*member).prefetch_recipient();
      for (auto* const member : some) recipient(*member).prefetch_sink();
      for (auto* const member : some) meet(recipient(*member));
    }
  }
};

}  // namespace roost::detail
