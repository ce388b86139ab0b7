// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <string>
#include <utility>

#include "roost/detail/describe.hpp"
#include "roost/detail/inbound.hpp"
#include "roost/detail/running.hpp"
#include "roost/error.hpp"

namespace roost::detail {

ROOST_WHEN_USED ParcelHandler handler_of_json(BackplaneHandler handler) {
  if (!handler) throw Error(errc::invalid_option, "the handler is empty");
  if (handler.is_coroutine()) {
    return [handler = std::move(handler)](const Parcel& parcel) {
      return handler.start(parcel.json());
    };
  }
  return [handler = std::move(handler)](const Parcel& parcel) { handler.call(parcel.json()); };
}

/// The messages that one handler has still to get: in order, bounded by count and bytes.
class InboundRing {
 public:
  explicit InboundRing(InboundLimits limits) noexcept : limits_(limits) {}

  /// False if it is full.
  ROOST_WHEN_USED bool push(const ParcelPtr& parcel) {
    const bool fits =
        parcels_.size() < limits_.messages && parcel->bytes() <= limits_.bytes - bytes_;
    if (!fits) return false;
    parcels_.push_back(parcel);
    bytes_ += parcel->bytes();
    return true;
  }
  [[nodiscard]] bool empty() const noexcept { return parcels_.empty(); }
  /// @pre `!empty()`
  ROOST_WHEN_USED ParcelPtr pop() {
    ParcelPtr parcel = std::move(parcels_.front());
    parcels_.pop_front();
    bytes_ -= parcel->bytes();
    return parcel;
  }
  void clear() noexcept {
    parcels_.clear();
    bytes_ = 0;
  }

 private:
  const InboundLimits limits_;
  std::deque<ParcelPtr> parcels_;
  std::size_t bytes_ = 0;
};

struct Inbound::Subscriber final : Subscription::Target {
  Subscriber(std::weak_ptr<Inbound> its_owner, ParcelHandler its_handler, InboundLimits limits)
      : owner(std::move(its_owner)), handler(std::move(its_handler)), ring(limits) {}

  void cancel() noexcept override {
    if (const auto inbound = owner.lock()) inbound->remove(*this);
  }
  [[nodiscard]] bool is_active() const noexcept override {
    return !is_cancelled && !owner.expired();
  }

  const std::weak_ptr<Inbound> owner;
  const ParcelHandler handler;
  std::atomic<bool> is_cancelled = false;
  // By the mutex.
  InboundRing ring;
  bool is_scheduled = false;
  std::uint64_t dropped = 0;  // since it was last empty
};

ROOST_DECL Inbound::Inbound(boost::asio::any_io_executor executor, InboundLimits limits,
                            Logger logger)
    : limits_(limits), logger_(std::move(logger)), executor_(std::move(executor)) {}

ROOST_WHEN_USED_DEF Subscription Inbound::on(BackplaneHandler handler) {
  return on(handler_of_json(std::move(handler)));
}

ROOST_WHEN_USED_DEF Subscription Inbound::on(ParcelHandler handler) {
  auto subscriber = std::make_shared<Subscriber>(weak_from_this(), std::move(handler), limits_);
  const std::lock_guard lock(mutex_);
  if (executor_) subscribers_.push_back(subscriber);
  return Subscription(subscriber);
}

ROOST_WHEN_USED_DEF std::size_t Inbound::deliver(const ParcelPtr& parcel) {
  const std::lock_guard lock(mutex_);
  const std::size_t taken = add(parcel);
  for (const SubscriberPtr& subscriber : subscribers_) {
    if (!subscriber->is_scheduled) schedule(subscriber);
  }
  return taken;
}

ROOST_WHEN_USED_DEF void Inbound::collect(const ParcelPtr& parcel) {
  const std::lock_guard lock(mutex_);
  add(parcel);
}

ROOST_WHEN_USED_DEF void Inbound::flush() {
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

ROOST_WHEN_USED_DEF void Inbound::discard() noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto& subscriber : subscribers_) subscriber->ring.clear();
}

ROOST_DECL void Inbound::close() noexcept {
  std::vector<std::shared_ptr<Subscriber>> subscribers;
  const std::lock_guard lock(mutex_);
  executor_ = boost::asio::any_io_executor();
  subscribers.swap(subscribers_);
  for (const auto& subscriber : subscribers) subscriber->is_cancelled = true;
}

ROOST_DECL bool Inbound::is_open() const noexcept {
  const std::lock_guard lock(mutex_);
  return static_cast<bool>(executor_);
}

ROOST_DECL Inbound::Counts Inbound::counts() const {
  const std::lock_guard lock(mutex_);
  return {.received = received_, .dropped = dropped_, .failed = failed_};
}

ROOST_DECL void Inbound::remove(Subscriber& subscriber) noexcept {
  const std::lock_guard lock(mutex_);
  subscriber.is_cancelled = true;
  subscriber.ring.clear();
  std::erase_if(subscribers_, [&](const auto& other) { return other.get() == &subscriber; });
}

ROOST_WHEN_USED_DEF std::size_t Inbound::add(const ParcelPtr& parcel) {
  ++received_;
  std::size_t taken = 0;
  for (const SubscriberPtr& subscriber : subscribers_) {
    if (subscriber->ring.push(parcel)) {
      ++taken;
    } else {
      drop(*subscriber);
    }
  }
  return taken;
}

ROOST_WHEN_USED_DEF void Inbound::drop(Subscriber& subscriber) {
  ++dropped_;
  if (subscriber.dropped++ > 0 || !executor_) return;
  boost::asio::post(executor_, [self = shared_from_this()] {
    self->warn("backplane_overflow", {{"max_messages", std::to_string(self->limits_.messages)},
                                      {"max_bytes", std::to_string(self->limits_.bytes)}});
  });
}

ROOST_WHEN_USED_DEF void Inbound::schedule(const SubscriberPtr& subscriber) {
  subscriber->is_scheduled = false;
  if (!executor_) return;
  boost::asio::post(executor_,
                    [self = shared_from_this(), subscriber] { self->work_off(subscriber); });
  subscriber->is_scheduled = true;
}

ROOST_WHEN_USED_DEF void Inbound::schedule_next(const SubscriberPtr& subscriber) {
  const std::lock_guard lock(mutex_);
  schedule(subscriber);
}

ROOST_WHEN_USED_DEF void Inbound::work_off(const SubscriberPtr& subscriber) {
  constexpr int at_once = 32;  // then others on the executor have their turn
  for (int i = 0; i < at_once; ++i) {
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

ROOST_WHEN_USED_DEF ParcelPtr Inbound::next(Subscriber& subscriber,
                                            boost::asio::any_io_executor& executor) {
  std::uint64_t dropped = 0;
  ParcelPtr parcel;
  {
    const std::lock_guard lock(mutex_);
    executor = executor_;
    subscriber.is_scheduled = !subscriber.is_cancelled && !subscriber.ring.empty();
    if (subscriber.is_scheduled) parcel = subscriber.ring.pop();
    if (subscriber.ring.empty()) dropped = std::exchange(subscriber.dropped, 0);
  }
  if (dropped > 0) {
    warn("backplane_caught_up", {{"dropped", std::to_string(dropped)}});
  }
  return parcel;
}

ROOST_WHEN_USED_DEF boost::asio::awaitable<void> Inbound::run(SubscriberPtr subscriber,
                                                              ParcelPtr parcel) {
  co_await subscriber->handler.start(*parcel);
}

ROOST_WHEN_USED_DEF void Inbound::note_failure(const std::exception_ptr& error) {
  {
    const std::lock_guard lock(mutex_);
    ++failed_;
  }
  warn("backplane_handler_failed", {{"why", describe(error)}});
}

ROOST_WHEN_USED_DEF void Inbound::warn(std::string_view event,
                                       std::initializer_list<LogField> fields) const {
  if (is_open()) log(logger_, Severity::warning, event, fields);
}

}  // namespace roost::detail
