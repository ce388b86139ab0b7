// SPDX-License-Identifier: MIT
#pragma once

#include "roost/base/log.hpp"
#include "roost/manager/history/position_line.hpp"
#include "roost/manager/history/replay.hpp"
#include "roost/manager/registry/liveness.hpp"
#include "roost/manager/registry/room_index.hpp"
#include "roost/manager/sending/plain_queue.hpp"
#include "roost/socket/detail/if_able.hpp"
#include "roost/socket/overflow.hpp"

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

// See `history/recoveries.hpp`.
template <class Ws>
void feed_replays(ManagerState<Ws>& state, ConnectionParts<Ws>& parts);

/// The sending side of one connection: passes frames to the socket, and applies backpressure.
template <class Ws>
class Recipient : public RoomMember, private SocketObserver {
 public:
  /// Offers a frame. It never suspends and never calls the application.
  /// @param awaited   whether the sender can wait for @p delivery, which is made when needed
  OfferResult offer(const Frame& frame, bool awaited, std::shared_ptr<Delivery>& delivery) {
    if constexpr (TakesFrames<Ws>) {
      if (backpressure_.is_open()) [[likely]] {
        return sink_ && sink_->try_send(frame) ? OfferResult::taken : OfferResult::failed;
      }
    }
    return offer_with_care(frame, awaited, delivery);
  }

  /// Offers a frame with its own drop policy. No sender waits for such a frame.
  OfferResult offer(const Frame& frame, const FramePolicy& policy, bool awaited,
                    std::shared_ptr<Delivery>& delivery) {
    if (policy.overflow == Overflow::close && overflow_ == Overflow::close) {
      return offer(frame, awaited, delivery);
    }
    return offer_lossy(frame, policy);
  }

  /// Returns the form in which its frames are offered.
  [[nodiscard]] WireForm wire_form() const noexcept { return wire_form_; }
  /// Makes its client get a line before each payload. Call this before `attach`.
  void want_positions() noexcept { wire_form_ = detail::wire_form(0, true); }

  /// Returns the rooms whose history it gets or has got; null if it never asked.
  [[nodiscard]] Replays* replays() const noexcept { return replays_.get(); }
  [[nodiscard]] Replays& make_replays() {
    if (!replays_) replays_ = std::make_unique<Replays>();
    return *replays_;
  }
  /// Returns whether more earlier messages may be offered now.
  [[nodiscard]] bool may_replay() const noexcept { return backpressure_.is_open(); }
  /// Makes no sender wait for it while it gets earlier messages.
  void give_up_waiting() {
    backpressure_.give_up();
    drop_unless_taken(release_parked());
  }

  /// Prefetches the memory that an offer needs, in two steps: the second follows a pointer that the
  /// first has fetched.
  void prefetch_recipient() const noexcept {
    prefetch(&met_by_);
    prefetch(&backpressure_);
  }
  void prefetch_sink() const noexcept { prefetch<256>(sink_); }

  /// Drops the connection if its offer failed. Call this only after the walk over connections.
  void drop_unless_taken(OfferResult offer) {
    if (offer == OfferResult::failed) drop({.reason = DisconnectReason::send_failed});
    if (offer == OfferResult::overflow) drop({.reason = DisconnectReason::outbox_overflow});
  }

  /// Returns when to call `is_expired`, apart from its `Pace`: when senders have waited long
  /// enough, or its oldest byte is too old. Nothing if neither can happen.
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const {
    const auto& options = state_->options();
    std::optional<Clock::time_point> next = backpressure_.deadline(options.backpressure_wait);
    if (const auto expiry = age_limit()) {
      if (!next || *expiry < *next) next = expiry;
    }
    return next;
  }

  /// Releases senders that have waited long enough. @returns whether to drop the connection
  [[nodiscard]] bool is_expired(Clock::time_point now) {
    const auto expiry = age_limit();
    if (expiry && now >= *expiry) return true;
    backpressure_.expire(now, state_->options().backpressure_wait);
    drop_unless_taken(release_parked());
    return false;
  }

  /// Writes as many bytes as possible now. @returns whether any were written
  bool flush() { return if_able::flush(*socket_); }

  /// Returns the progress of its peer and its queued bytes.
  [[nodiscard]] Pace::Look look() const {
    return {.progress = backlog().pace(state_->clock()), .backlog = queued_bytes()};
  }
  [[nodiscard]] std::size_t queued_bytes() const {
    return backlog().bytes() + backpressure_.posted_bytes();
  }

  /// Marks it as visited by a walk. @returns whether this is the first visit
  bool meet(std::uint64_t walk) noexcept { return std::exchange(met_by_, walk) != walk; }

  /// Returns whether its connection is registered.
  [[nodiscard]] bool is_attached() const noexcept { return state_ != nullptr; }
  /// Returns whether it belongs to @p manager. With one manager per thread it is easy to pass a
  /// connection to the wrong one.
  [[nodiscard]] bool is_attached_to(const ManagerState<Ws>& manager) const noexcept {
    return state_ == &manager;
  }
  /// Returns the socket; null once it is detached.
  [[nodiscard]] const std::shared_ptr<Ws>& socket() const noexcept { return socket_; }

  /// Returns its liveness, in the time of the loop while it is attached.
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
    wire_form_ = detail::wire_form(if_able::frame_form(*socket_), is_lined(wire_form_));
    if constexpr (!TakesFrames<Ws>) plain_.watch(watch);
  }

  /// Returns when the peer was last heard from through the manager or, if the socket reports it, by
  /// the socket; in the time of the application's clock.
  [[nodiscard]] Clock::time_point last_heard_of() const noexcept {
    if (!state_) return liveness_.last_seen();
    return std::max(state_->clock().to_base(liveness_.last_seen()),
                    if_able::last_activity(*socket_));
  }

  /// Releases and returns the socket, and notifies senders that wait for a delivery.
  /// @param is_flushed  whether accepted frames are still to be sent
  std::shared_ptr<Ws> detach(bool is_flushed) {
    if_able::observe(*socket_, {});
    liveness_.note(last_heard_of());  // the clock of the loop is not available afterwards
    if constexpr (TakesFrames<Ws>) {
      while (auto parked = backpressure_.take()) {
        if (is_flushed) try_send(parked->frame);
        if (parked->delivery) parked->delivery->settle_one();
      }
    } else {
      plain_.end(backpressure_, is_flushed);
    }
    if (replays_) replays_->clear();
    state_ = nullptr;
    sink_ = nullptr;
    return std::exchange(socket_, nullptr);
  }

  /// Waits until the pump of a socket that does not accept frames has sent all.
  /// @returns whether it has sent all before @p patience was over
  /// @pre this, @p loop and @p patience outlive the coroutine
  boost::asio::awaitable<bool> wait_flushed(const Loop& loop, Patience& patience) {
    if constexpr (!TakesFrames<Ws>) co_return co_await plain_.wait_flushed(loop, patience);
    co_return true;
  }
  /// Returns the progress of the peer of @p socket, which is no longer attached.
  /// @param recipient  null: it was never attached
  [[nodiscard]] static SendProgress progress([[maybe_unused]] const Recipient* recipient,
                                             Ws& socket) {
    if constexpr (TakesFrames<Ws>) {
      return Backlog<Ws, Plain>{socket, {}}.rest();
    } else {
      return recipient ? Backlog<Ws, Plain>{socket, recipient->plain_}.rest() : SendProgress();
    }
  }

  /// Drops its connection. Does nothing if it is no longer attached.
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
      // No connection may leave a room during a broadcast, so this only reports a failure.
      if (const OfferResult parked = release_parked(); parked != OfferResult::taken) return parked;
    }
    const bool is_told = awaited && (!TakesFrames<Ws> || !is_ready());
    if (is_told && !delivery) delivery = std::make_shared<Delivery>();
    if (awaited && !is_ready()) {
      ++delivery->pending;
      backpressure_.park(frame, delivery);
      state_->slow_peers().watch(self());
      return OfferResult::waiting;
    }
    if (backpressure_.has_parked()) {
      backpressure_.park(frame, nullptr);  // behind earlier frames
    } else if (!enqueue(frame, awaited ? delivery : nullptr)) {
      return OfferResult::failed;
    }
    if (overflows()) return OfferResult::overflow;
    return !TakesFrames<Ws> && awaited ? OfferResult::waiting : OfferResult::taken;
  }

  OfferResult offer_lossy(const Frame& frame, FramePolicy policy) {
    // The frame must not overtake parked frames.
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

  // Returns whether too much is queued for a peer that is known not to keep up.
  [[nodiscard]] bool overflows() {
    return queued_bytes() > state_->options().max_outbox_bytes &&
           state_->slow_peers().on_excess(self());
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

  /// Moves parked frames to the outbox. @returns `taken`, or why the connection must be dropped
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
        state_->slow_peers().on_relieved(self());
        drop_unless_taken(release_parked());
        break;
      case OutboxEvent::below_low_water:
        backpressure_.on_below_low_water();
        drop_unless_taken(release_parked());
        if (state_ && replays_) feed_replays(*state_, self());
        break;
      case OutboxEvent::blocked:
        state_->slow_peers().watch(self());
        state_->slow_peers().relieve();
        break;
      case OutboxEvent::emptied: state_->slow_peers().unwatch(self()); break;
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

  // Returns when the oldest byte is too old, for sockets that do not report their progress.
  [[nodiscard]] std::optional<Clock::time_point> age_limit() const {
    if constexpr (!TellsProgress<Ws>) {
      const auto oldest = backlog().oldest(state_->clock());
      if (oldest) return *oldest + state_->options().send_timeout;
    }
    return std::nullopt;
  }

  [[nodiscard]] Backlog<Ws, Plain> backlog() const noexcept { return {*socket_, plain_}; }

  // The members that a broadcast needs of each recipient are adjacent.
  std::uint64_t met_by_ = 0;  // the last broadcast that visited or excluded it
  decltype(if_able::frame_sink(std::declval<Ws&>())) sink_ = nullptr;  // null once it accepts none
  WireForm wire_form_ = WireForm::as_it_is;
  Backpressure backpressure_;

  std::unique_ptr<Replays> replays_;
  [[no_unique_address]] Plain plain_;

  ManagerState<Ws>* state_ = nullptr;  // null once it is detached
  std::shared_ptr<Ws> socket_;
  Liveness liveness_;
  const Overflow overflow_;
};

}  // namespace detail
}  // namespace roost
