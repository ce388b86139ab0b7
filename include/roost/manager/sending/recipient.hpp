// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/log.hpp"
#include "roost/manager/registry/liveness.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/manager/sending/backlog.hpp"
#include "roost/manager/sending/backpressure.hpp"
#include "roost/manager/sending/pace.hpp"
#include "roost/manager/sending/patience.hpp"
#include "roost/manager/sending/plain_queue.hpp"
#include "roost/runtime/detail/loop.hpp"
#include "roost/runtime/detail/wait.hpp"
#include "roost/socket/detail/if_able.hpp"
#include "roost/socket/detail/outbox.hpp"
#include "roost/socket/frame.hpp"
#include "roost/socket/overflow.hpp"
#include "roost/socket/socket_observer.hpp"
#include "roost/socket/websocket_like.hpp"

namespace roost {

template <class Ws>
class Connection;

namespace detail {

template <class Ws>
class ConnectionParts;
template <class Ws>
class ManagerState;

// See `lifecycle/dropping.hpp`.
template <class Ws>
void drop(ManagerState<Ws>& state, Connection<Ws>& connection, Disconnect how);

/// The sending side of one connection: where its frames go, and what backpressure does to them.
template <class Ws>
class Recipient : public RoomMember, private SocketObserver {
 public:
  /// Offers a frame; never suspends, never calls the application.
  /// @param awaited   whether somebody can wait for @p delivery, which is made when needed
  OfferResult offer(const Frame& frame, bool awaited, std::shared_ptr<Delivery>& delivery) {
    if constexpr (TakesFrames<Ws>) {
      if (backpressure_.is_open()) [[likely]] {
        return try_send(frame) ? OfferResult::taken : OfferResult::failed;
      }
    }
    return offer_with_care(frame, awaited, delivery);
  }

  /// The same for a frame with a policy of its own, for which nobody waits.
  OfferResult offer(const Frame& frame, const FramePolicy& policy, bool awaited,
                    std::shared_ptr<Delivery>& delivery) {
    if (policy.overflow == Overflow::close && overflow_ == Overflow::close) {
      return offer(frame, awaited, delivery);
    }
    return offer_lossy(frame, policy);
  }

  /// The form in which its frames are offered.
  [[nodiscard]] FrameForm frame_form() const noexcept { return frame_form_; }

  /// Before an offer, in two steps: what is asked for here leads to what is asked for there.
  void prefetch_recipient() const noexcept { prefetch<64>(&met_by_); }
  void prefetch_sink() const noexcept { prefetch<256>(sink_); }

  /// What follows from an offer, once nobody walks over connections any more.
  void drop_unless_taken(OfferResult offer) {
    if (offer == OfferResult::failed) drop({.reason = DisconnectReason::send_failed});
    if (offer == OfferResult::overflow) drop({.reason = DisconnectReason::outbox_overflow});
  }

  /// When this connection must be looked at again beside its `Pace`: those who wait for it have
  /// waited long enough, or its oldest byte is too old. Nothing if neither can happen.
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const {
    const auto& options = state_->options();
    std::optional<Clock::time_point> next = backpressure_.deadline(options.backpressure_wait);
    if (const auto expiry = age_limit()) {
      if (!next || *expiry < *next) next = expiry;
    }
    return next;
  }

  /// Carries out what is due. @returns whether the connection is to be dropped.
  [[nodiscard]] bool is_expired(Clock::time_point now) {
    const auto expiry = age_limit();
    if (expiry && now >= *expiry) return true;
    backpressure_.expire(now, state_->options().backpressure_wait);
    drop_unless_taken(release_parked());
    return false;
  }

  /// Writes what can be written now. @returns whether that was something
  bool flush() { return if_able::flush(*socket_); }

  /// What its peer has taken, and what it has not.
  [[nodiscard]] Pace::Look look() const {
    return {.progress = backlog().pace(state_->clock()), .backlog = queued_bytes()};
  }
  [[nodiscard]] std::size_t queued_bytes() const {
    return backlog().bytes() + backpressure_.posted_bytes();
  }

  /// A walk over many has come by. @returns whether for the first time.
  bool meet(std::uint64_t walk) noexcept { return std::exchange(met_by_, walk) != walk; }

  /// Whether its connection is registered.
  [[nodiscard]] bool is_attached() const noexcept { return state_ != nullptr; }
  /// With a manager for each thread, connections are easily given to the wrong one.
  [[nodiscard]] bool is_attached_to(const ManagerState<Ws>& manager) const noexcept {
    return state_ == &manager;
  }
  /// Null once it is not attached any more.
  [[nodiscard]] const std::shared_ptr<Ws>& socket() const noexcept { return socket_; }

  /// By the time of the loop while it is attached.
  [[nodiscard]] Liveness& liveness() noexcept { return liveness_; }
  [[nodiscard]] const Liveness& liveness() const noexcept { return liveness_; }

  void attach(ManagerState<Ws>& state, std::shared_ptr<Ws> socket) {
    state_ = &state;
    socket_ = std::move(socket);
    backpressure_.set_episode_bytes(state.options().outbox_high_water);
    const OutboxWatch watch{.observer = this,
                            .high_water = state.options().outbox_high_water,
                            .total = &state.frame_memory().total(),
                            .is_lossy = overflow_ != Overflow::close};
    if_able::observe(*socket_, watch);
    sink_ = if_able::frame_sink(*socket_);
    frame_form_ = if_able::frame_form(*socket_);
    if constexpr (!TakesFrames<Ws>) plain_.watch(watch);
  }

  /// When a message or a pong last came through the manager, or anything to a socket that tells; in
  /// the time of the application's clock.
  [[nodiscard]] Clock::time_point last_heard_of() const noexcept {
    if (!state_) return liveness_.last_seen();
    return std::max(state_->clock().to_base(liveness_.last_seen()),
                    if_able::last_activity(*socket_));
  }

  /// Lets go of the socket; whoever waits for a delivery is told.
  /// @param is_flushed  whether the frames that were taken are still to be sent
  std::shared_ptr<Ws> detach(bool is_flushed) {
    if_able::observe(*socket_, {});
    liveness_.note(last_heard_of());  // the time of the loop is not known any more
    if constexpr (TakesFrames<Ws>) {
      while (auto parked = backpressure_.take()) {
        if (is_flushed) try_send(parked->frame);
        if (parked->delivery) parked->delivery->settle_one();
      }
    } else {
      plain_.end(backpressure_, is_flushed);
    }
    state_ = nullptr;
    sink_ = nullptr;
    return std::exchange(socket_, nullptr);
  }

  /// Waits until the pump of a socket that takes no frames has sent all.
  /// @returns whether it has, before @p patience was over
  /// @pre this, @p loop and @p patience outlive it
  boost::asio::awaitable<bool> wait_flushed(const Loop& loop, Patience& patience) {
    if constexpr (!TakesFrames<Ws>) co_return co_await plain_.wait_flushed(loop, patience);
    co_return true;
  }
  /// What the peer of @p socket, which is not attached any more, has taken, and what it has not.
  /// @param recipient  null: it never was attached
  [[nodiscard]] static SendProgress progress([[maybe_unused]] const Recipient* recipient,
                                             Ws& socket) {
    if constexpr (TakesFrames<Ws>) {
      return Backlog<Ws, Plain>{socket, {}}.rest();
    } else {
      return recipient ? Backlog<Ws, Plain>{socket, recipient->plain_}.rest() : SendProgress();
    }
  }

  /// Drops its connection. Nothing happens if it is not attached any more.
  void drop(Disconnect how) {
    if (state_) detail::drop(*state_, owner_of(self()), std::move(how));
  }

 protected:
  explicit Recipient(Overflow overflow) noexcept : overflow_(overflow) {}
  ~Recipient() = default;

 private:
  struct Nothing {};
  using Plain = std::conditional_t<TakesFrames<Ws>, Nothing, PlainQueue<Ws>>;

  bool try_send(const Frame& frame) { return sink_ && sink_->try_send(frame); }

  ConnectionParts<Ws>& self() noexcept { return static_cast<ConnectionParts<Ws>&>(*this); }

  OfferResult offer_with_care(const Frame& frame, bool awaited,
                              std::shared_ptr<Delivery>& delivery) {
    if (overflow_ != Overflow::close) return offer_lossy(frame, {.overflow = overflow_});
    const auto& options = state_->options();
    if (backpressure_.state() == Backpressure::State::congested) {
      backpressure_.expire(options.clock->now(), options.backpressure_wait);
      // Who is in which room must not change here.
      if (const OfferResult parked = release_parked(); parked != OfferResult::taken) return parked;
    }
    const bool is_told = awaited && (!TakesFrames<Ws> || !is_ready());
    if (is_told && !delivery) delivery = std::make_shared<Delivery>();
    if (awaited && !is_ready()) {
      ++delivery->pending;
      backpressure_.park(frame, delivery);
      state_->congestion().watch(self());
      return OfferResult::waiting;
    }
    if (backpressure_.has_parked()) {
      backpressure_.park(frame, nullptr);  // behind those that came before it
    } else if (!enqueue(frame, awaited ? delivery : nullptr)) {
      return OfferResult::failed;
    }
    if (overflows()) return OfferResult::overflow;
    return !TakesFrames<Ws> && awaited ? OfferResult::waiting : OfferResult::taken;
  }

  OfferResult offer_lossy(const Frame& frame, FramePolicy policy) {
    // It must not overtake those that wait for room.
    policy.may_queue = !backpressure_.has_parked();
    const Queueing queueing = queue(frame, policy);
    state_->count(queueing);
    switch (queueing.result) {
      case Queueing::Result::closed: return OfferResult::failed;
      case Queueing::Result::dropped: return OfferResult::dropped;
      case Queueing::Result::taken:
      case Queueing::Result::conflated: break;
    }
    if (overflows()) return OfferResult::overflow;
    return queueing.result == Queueing::Result::taken ? OfferResult::taken : OfferResult::conflated;
  }

  // Whether more is queued than may be, for a peer that is known not to take it. Another one has
  // time to show that it does.
  [[nodiscard]] bool overflows() {
    return queued_bytes() > state_->options().max_outbox_bytes &&
           state_->congestion().on_excess(self());
  }

  Queueing queue(const Frame& frame, const FramePolicy& policy) {
    using Result = Queueing::Result;
    if constexpr (!TakesFrames<Ws>) {
      const Queueing queueing = plain_.offer(frame, policy, state_->now());
      if (queueing.result == Result::taken) start_pump();
      return queueing;
    } else if constexpr (if_able::offers_frames<std::remove_pointer_t<decltype(sink_)>>) {
      return sink_ ? sink_->offer(frame, policy) : Queueing{.result = Result::closed};
    } else {
      const bool may_drop = policy.overflow != Overflow::close;
      if (may_drop && !backpressure_.is_open() && self().is_watched())
        return {.result = Result::dropped};
      return {.result = try_send(frame) ? Result::taken : Result::closed};
    }
  }

  [[nodiscard]] bool is_ready() const noexcept {
    return backpressure_.state() != Backpressure::State::congested;
  }

  bool enqueue(const Frame& frame, std::shared_ptr<Delivery> delivery) {
    if constexpr (TakesFrames<Ws>) {
      return try_send(frame);
    } else {
      plain_.push(frame, std::move(delivery), state_->now());
      start_pump();
      return true;
    }
  }

  void start_pump()
    requires(!TakesFrames<Ws>)
  {
    if (plain_.is_pumping()) return;
    plain_.pump(state_->loop(), owner_of(self()).shared_from_this(), socket_);
  }

  /// @returns `taken`, or why the connection is to be dropped.
  [[nodiscard]] OfferResult release_parked() {
    while (auto parked = backpressure_.unpark()) {
      const bool is_taken = enqueue(parked->frame, parked->delivery);
      if (parked->delivery) parked->delivery->settle_one();
      if (!is_taken) return OfferResult::failed;
    }
    return overflows() ? OfferResult::overflow : OfferResult::taken;
  }

  void on_outbox(OutboxEvent event) override {
    if (!state_) return;
    switch (event) {
      case OutboxEvent::above_high_water:
        backpressure_.on_above_high_water(state_->options().clock->now());
        break;
      case OutboxEvent::below_high_water:
        backpressure_.on_below_high_water();
        state_->congestion().on_relieved(self());
        drop_unless_taken(release_parked());
        break;
      case OutboxEvent::below_low_water:
        backpressure_.on_below_low_water();
        drop_unless_taken(release_parked());
        break;
      case OutboxEvent::blocked:
        state_->congestion().watch(self());
        state_->congestion().relieve();
        break;
      case OutboxEvent::emptied: state_->congestion().unwatch(self()); break;
    }
  }

  void on_closed(const Disconnect& how) override {
    if (!state_) return;
    if (how.reason == DisconnectReason::message_too_big) {
      state_->log_limited(Severity::warning, "message_too_big", {{"id", owner_of(self()).id()}});
    }
    drop(how);
  }

  void on_sink_gone() noexcept override { sink_ = nullptr; }

  void on_pong(std::string_view payload) override {
    if (state_) liveness_.on_pong(payload, state_->now());
  }

  // Where the socket does not tell its progress.
  [[nodiscard]] std::optional<Clock::time_point> age_limit() const {
    if constexpr (!TellsProgress<Ws>) {
      const auto oldest = backlog().oldest(state_->clock());
      if (oldest) return *oldest + state_->options().send_timeout;
    }
    return std::nullopt;
  }

  [[nodiscard]] Backlog<Ws, Plain> backlog() const noexcept { return {*socket_, plain_}; }

  // What a broadcast needs of each recipient, side by side.
  std::uint64_t met_by_ = 0;  // the last broadcast that met or excluded it
  decltype(if_able::frame_sink(std::declval<Ws&>())) sink_ =
      nullptr;  // null once it takes no frames
  Backpressure backpressure_;
  FrameForm frame_form_ = 0;

  [[no_unique_address]] Plain plain_;

  ManagerState<Ws>* state_ = nullptr;  // null once it is not attached any more
  std::shared_ptr<Ws> socket_;
  Liveness liveness_;
  const Overflow overflow_;
};

}  // namespace detail
}  // namespace roost
