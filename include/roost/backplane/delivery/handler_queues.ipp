// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <map>

#include "roost/backplane/delivery/handler_queues.hpp"
#include "roost/runtime/running.hpp"

namespace roost::detail {

ROOST_WHEN_USED ParcelHandler handler_of_json(BackplaneHandler handler) {
  check_option(static_cast<bool>(handler), "the handler is empty");
  if (handler.is_coroutine()) {
    return [handler = std::move(handler)](const Parcel& parcel) {
      return handler.start(parcel.json());
    };
  }
  return [handler = std::move(handler)](const Parcel& parcel) { handler.call(parcel.json()); };
}

struct HandlerQueues::Subscriber final : Subscription::Target {
  /// How a handler copes with a full queue.
  enum class Load {
    unjudged,  ///< The queue is not full, or the handler has had no turn since.
    working,   ///< The handler has had turns, and took messages.
    behind,    ///< The handler has had turns, and took nothing: more is dropped.
  };

  Subscriber(std::weak_ptr<HandlerQueues> its_owner, ParcelHandler its_handler,
             const void* its_member, QueueLimits limits)
      : owner(std::move(its_owner)),
        handler(std::move(its_handler)),
        member(its_member),
        ring(limits) {}

  void cancel() noexcept override {
    if (const auto queues = owner.lock()) queues->remove(*this);
  }
  [[nodiscard]] bool is_active() const noexcept override {
    return !is_cancelled && !owner.expired();
  }

  const std::weak_ptr<HandlerQueues> owner;
  const ParcelHandler handler;
  const void* const member;
  std::atomic<bool> is_cancelled = false;
  // Guarded by the mutex.
  HandlerQueue ring;
  bool is_scheduled = false;
  std::uint64_t begun = 0;  // messages given to the handler
  Load load = Load::unjudged;
  bool is_being_judged = false;
  std::uint64_t begun_when_judged = 0;
  int idle_turns = 0;  // turns without progress while the queue is full
  std::uint64_t begun_when_crowded = 0;
  int idle_looks = 0;
  std::uint64_t dropped = 0;  // since the queue was last empty
  // Rooms whose members have missed messages and were not told yet, with the position up to which.
  std::map<std::string, std::string, std::less<>> lost;

  void clear() noexcept {
    lost.clear();
    ring.clear();
    load = Load::unjudged;
  }
};

/// How many turns of the event loop a handler may take for one message before it counts as idle: a
/// coroutine may need some turns even if it waits for nothing else.
inline constexpr int handler_patience = 16;

ROOST_DECL HandlerQueues::HandlerQueues(boost::asio::any_io_executor executor, QueueLimits limits,
                                        Logger logger)
    : limits_(limits), logger_(std::move(logger)), executor_(std::move(executor)) {}

ROOST_WHEN_USED_DEF Subscription HandlerQueues::on(BackplaneHandler handler) {
  return on(handler_of_json(std::move(handler)));
}

ROOST_WHEN_USED_DEF Subscription HandlerQueues::on(ParcelHandler handler, const void* member) {
  auto subscriber =
      std::make_shared<Subscriber>(weak_from_this(), std::move(handler), member, limits_);
  const std::lock_guard lock(mutex_);
  if (executor_) subscribers_.push_back(subscriber);
  return Subscription(subscriber);
}

ROOST_WHEN_USED_DEF bool HandlerQueues::is_wanted(const void* origin) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(subscribers_.begin(), subscribers_.end(), [&](const auto& subscriber) {
    return !origin || subscriber->member != origin;
  });
}

ROOST_WHEN_USED_DEF Delivered HandlerQueues::deliver(const ParcelPtr& parcel,
                                                     const PublishedBy& by) {
  const std::lock_guard lock(mutex_);
  const Delivered delivered = add(parcel, by);
  schedule_all();
  return delivered;
}

ROOST_WHEN_USED_DEF Delivered HandlerQueues::deliver_to_members(const ParcelPtr& parcel,
                                                                const PublishedBy& by) {
  const std::lock_guard lock(mutex_);
  const Delivered delivered = add(parcel, by, For::members);
  schedule_all();
  return delivered;
}

ROOST_WHEN_USED_DEF void HandlerQueues::schedule_all() {
  for (const SubscriberPtr& subscriber : subscribers_) {
    if (!subscriber->is_scheduled && !subscriber->ring.empty()) schedule(subscriber);
  }
}

ROOST_WHEN_USED_DEF void HandlerQueues::deliver_news(const void* member, HistoryNews news) {
  collect_news(member, std::move(news));
  wake();
}

ROOST_WHEN_USED_DEF void HandlerQueues::collect_news(const void* member, HistoryNews news) {
  const ParcelPtr parcel = std::make_shared<const Parcel>(std::move(news));
  const std::lock_guard lock(mutex_);
  add_news(member, parcel);
}

ROOST_WHEN_USED_DEF void HandlerQueues::add_news(const void* member, const ParcelPtr& parcel) {
  for (const SubscriberPtr& subscriber : subscribers_) {
    if (!subscriber->member || (member && subscriber->member != member)) continue;
    tell_lost(*subscriber, parcel->news()->room);
    subscriber->ring.push(parcel);
  }
}

ROOST_WHEN_USED_DEF void HandlerQueues::wake() {
  const std::lock_guard lock(mutex_);
  schedule_all();
}

ROOST_WHEN_USED_DEF void HandlerQueues::tell_lost(Subscriber& subscriber, std::string_view room) {
  const auto found = subscriber.lost.find(room);
  if (found == subscriber.lost.end()) return;
  subscriber.ring.push(std::make_shared<const Parcel>(HistoryNews{
      .kind = HistoryNews::Kind::lost, .room = found->first, .position = found->second}));
  subscriber.lost.erase(found);
}

ROOST_WHEN_USED_DEF void HandlerQueues::tell_all_lost(Subscriber& subscriber) {
  for (const auto& [room, position] : subscriber.lost) {
    subscriber.ring.push(std::make_shared<const Parcel>(
        HistoryNews{.kind = HistoryNews::Kind::lost, .room = room, .position = position}));
  }
  subscriber.lost.clear();
}

ROOST_WHEN_USED_DEF void HandlerQueues::collect(const ParcelPtr& parcel) {
  const std::lock_guard lock(mutex_);
  add(parcel, {});
}

ROOST_WHEN_USED_DEF void HandlerQueues::collect_for_handlers(const ParcelPtr& parcel) {
  const std::lock_guard lock(mutex_);
  add(parcel, {}, For::handlers);
}

ROOST_WHEN_USED_DEF bool HandlerQueues::is_crowded() {
  const std::lock_guard lock(mutex_);
  bool is_crowded = false;
  for (const SubscriberPtr& subscriber : subscribers_) {
    if (!subscriber->ring.is_half_full()) continue;
    if (std::exchange(subscriber->begun_when_crowded, subscriber->begun) != subscriber->begun) {
      subscriber->idle_looks = 0;
    }
    // A handler that makes no progress for long waits for something other than its turn.
    if (subscriber->idle_looks >= handler_patience) continue;
    ++subscriber->idle_looks;
    is_crowded = true;
  }
  return is_crowded;
}

ROOST_WHEN_USED_DEF void HandlerQueues::flush() {
  std::vector<SubscriberPtr> plain;
  {
    const std::lock_guard lock(mutex_);
    for (const SubscriberPtr& subscriber : subscribers_) {
      if (subscriber->is_scheduled || subscriber->ring.empty()) continue;
      if (subscriber->handler.is_coroutine()) {
        schedule(subscriber);
      } else {
        plain.push_back(subscriber);
        subscriber->is_scheduled = true;
      }
    }
  }
  for (const SubscriberPtr& subscriber : plain) work_off(subscriber);
}

ROOST_WHEN_USED_DEF void HandlerQueues::discard() noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto& subscriber : subscribers_) {
    subscriber->member ? subscriber->ring.keep_recorded() : subscriber->clear();
  }
}

ROOST_DECL void HandlerQueues::close() noexcept {
  std::vector<std::shared_ptr<Subscriber>> subscribers;
  const std::lock_guard lock(mutex_);
  executor_ = boost::asio::any_io_executor();
  subscribers.swap(subscribers_);
  for (const auto& subscriber : subscribers) subscriber->is_cancelled = true;
}

ROOST_DECL bool HandlerQueues::is_open() const noexcept {
  const std::lock_guard lock(mutex_);
  return static_cast<bool>(executor_);
}

ROOST_DECL HandlerQueues::Counts HandlerQueues::counts() const {
  const std::lock_guard lock(mutex_);
  return {.received = received_, .dropped = dropped_, .failed = failed_};
}

ROOST_DECL void HandlerQueues::remove(Subscriber& subscriber) noexcept {
  const std::lock_guard lock(mutex_);
  subscriber.is_cancelled = true;
  subscriber.clear();
  std::erase_if(subscribers_, [&](const auto& other) { return other.get() == &subscriber; });
}

ROOST_WHEN_USED_DEF Delivered HandlerQueues::add(const ParcelPtr& parcel, const PublishedBy& by,
                                                 For whom) {
  ++received_;
  Delivered delivered;
  for (const SubscriberPtr& subscriber : subscribers_) {
    if (by.origin && subscriber->member == by.origin) continue;  // the origin has it already
    if (whom == (subscriber->member ? For::handlers : For::members)) continue;
    if (takes(*subscriber, parcel, by)) {
      if (!subscriber->lost.empty() && !parcel->position().empty()) {
        tell_lost(*subscriber, parcel->recorded_room());
      }
      subscriber->ring.push(parcel);
      ++delivered.taken;
      if (subscriber->ring.is_full() && subscriber->load != Subscriber::Load::behind) {
        judge_later(subscriber);
      }
    } else {
      drop(*subscriber);
      if (subscriber->member && !parcel->position().empty()) {
        subscriber->lost[parcel->recorded_room()] = parcel->position();
        if (subscriber->ring.empty()) tell_all_lost(*subscriber);  // there is nothing to wait for
      }
      ++delivered.missed;
    }
  }
  return delivered;
}

ROOST_WHEN_USED_DEF bool HandlerQueues::takes(const Subscriber& subscriber, const ParcelPtr& parcel,
                                              const PublishedBy& by) const {
  using Load = typename Subscriber::Load;
  if (subscriber.ring.has_room_for(*parcel)) return true;
  if (subscriber.load == Load::behind) return false;
  const bool is_one_turn = subscriber.load == Load::unjudged && by.executor == executor_;
  constexpr std::size_t times = 4;
  return is_one_turn || subscriber.ring.has_room_for(*parcel, times);
}

ROOST_WHEN_USED_DEF void HandlerQueues::judge_later(const SubscriberPtr& subscriber) {
  if (subscriber->is_being_judged || !executor_) return;
  subscriber->is_being_judged = true;
  subscriber->begun_when_judged = subscriber->begun;
  subscriber->idle_turns = 0;
  boost::asio::post(executor_,
                    [self = shared_from_this(), subscriber] { self->judge(subscriber); });
}

ROOST_WHEN_USED_DEF void HandlerQueues::judge(const SubscriberPtr& subscriber) {
  using Load = typename Subscriber::Load;
  const std::lock_guard lock(mutex_);
  subscriber->is_being_judged = false;
  if (!subscriber->ring.is_full() || !executor_) return;
  const bool works =
      std::exchange(subscriber->begun_when_judged, subscriber->begun) != subscriber->begun;
  subscriber->idle_turns = works ? 0 : subscriber->idle_turns + 1;
  if (subscriber->idle_turns > handler_patience) {
    subscriber->load = Load::behind;
    return;
  }
  if (works) subscriber->load = Load::working;
  subscriber->is_being_judged = true;
  boost::asio::post(executor_,
                    [self = shared_from_this(), subscriber] { self->judge(subscriber); });
}

ROOST_WHEN_USED_DEF void HandlerQueues::drop(Subscriber& subscriber) {
  ++dropped_;
  if (subscriber.dropped++ > 0 || !executor_) return;
  boost::asio::post(executor_, [self = shared_from_this()] {
    self->warn("backplane_overflow", {{"max_messages", std::to_string(self->limits_.messages)},
                                      {"max_bytes", std::to_string(self->limits_.bytes)}});
  });
}

ROOST_WHEN_USED_DEF void HandlerQueues::schedule(const SubscriberPtr& subscriber) {
  subscriber->is_scheduled = false;
  if (!executor_) return;
  boost::asio::post(executor_,
                    [self = shared_from_this(), subscriber] { self->work_off(subscriber); });
  subscriber->is_scheduled = true;
}

ROOST_WHEN_USED_DEF void HandlerQueues::schedule_next(const SubscriberPtr& subscriber) {
  const std::lock_guard lock(mutex_);
  schedule(subscriber);
}

ROOST_WHEN_USED_DEF void HandlerQueues::work_off(const SubscriberPtr& subscriber) {
  // The limit gives others on the executor their turn. It grows with the queue, so that the handler
  // keeps up with a publisher that brings a few messages in each turn.
  const std::size_t at_once = [&] {
    const std::lock_guard lock(mutex_);
    return std::clamp(subscriber->ring.size() / 16, std::size_t{32}, std::size_t{128});
  }();
  for (std::size_t i = 0; i < at_once; ++i) {
    boost::asio::any_io_executor executor;
    const ParcelPtr parcel = next(*subscriber, executor);
    if (!parcel) return;
    if (subscriber->handler.is_coroutine()) {
      boost::asio::co_spawn(executor, run(subscriber, parcel),
                            [self = shared_from_this(), subscriber,
                             running = Running(executor)](std::exception_ptr error) {
                              if (error) self->note_failure(error);
                              self->schedule_next(subscriber);
                            });
      return;
    }
    try {
      subscriber->handler.call(*parcel);
    } catch (...) {
      note_failure(std::current_exception());
    }
  }
  schedule_next(subscriber);
}

ROOST_WHEN_USED_DEF ParcelPtr HandlerQueues::next(Subscriber& subscriber,
                                                  boost::asio::any_io_executor& executor) {
  std::uint64_t dropped = 0;
  ParcelPtr parcel;
  {
    const std::lock_guard lock(mutex_);
    executor = executor_;
    subscriber.is_scheduled = !subscriber.is_cancelled && !subscriber.ring.empty();
    if (subscriber.is_scheduled) {
      parcel = subscriber.ring.pop();
      if (subscriber.ring.empty() && !subscriber.lost.empty()) tell_all_lost(subscriber);
      ++subscriber.begun;
      if (!subscriber.ring.is_full()) subscriber.load = Subscriber::Load::unjudged;
    }
    if (subscriber.ring.empty()) dropped = std::exchange(subscriber.dropped, 0);
  }
  if (dropped > 0) {
    warn("backplane_caught_up", {{"dropped", std::to_string(dropped)}});
  }
  return parcel;
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<void> HandlerQueues::run(SubscriberPtr subscriber,
                                                                    ParcelPtr parcel) {
  co_await subscriber->handler.start(*parcel);
}

ROOST_WHEN_USED_DEF void HandlerQueues::note_failure(const std::exception_ptr& error) {
  {
    const std::lock_guard lock(mutex_);
    ++failed_;
  }
  warn("backplane_handler_failed", {{"why", describe(error)}});
}

ROOST_WHEN_USED_DEF void HandlerQueues::warn(std::string_view event,
                                             std::initializer_list<LogField> fields) const {
  if (is_open()) log(logger_, Severity::warning, event, fields);
}

}  // namespace roost::detail
