// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "roost/runtime/detail/loop_clock.hpp"

namespace roost::detail {

ROOST_DECL LoopClock::LoopClock(const boost::asio::any_io_executor& executor, Clock& base)
    : ContextGuard(boost::asio::query(executor, boost::asio::execution::context)),
      base_(&base),
      is_manual_(base.is_manual()),
      tick_(executor) {
  base.attach(*this);
}

ROOST_DECL LoopClock::~LoopClock() {
  if (tick_) base_->detach(*this);
}

ROOST_DECL std::shared_ptr<LoopClock> LoopClock::of(const boost::asio::any_io_executor& executor,
                                                    Clock& clock) {
  return PerExecutor<LoopClock>::of(executor, clock.base());
}

ROOST_DECL boost::asio::any_io_executor LoopClock::get_executor() const {
  const std::lock_guard lock(mutex_);
  if (!tick_) return {};
  return const_cast<boost::asio::steady_timer&>(*tick_).get_executor();
}

ROOST_DECL LoopClock::time_point LoopClock::now() const noexcept {
  const time_point time = base_->now();
  if (is_manual_) return time - stalled();
  // Read the limit before the stalls: it is written after them, so the stall that raised it is seen
  // too.
  const rep limit = limit_.load(std::memory_order_acquire);
  // Reading the time starts the watch. The rest of this turn of the loop therefore advances the
  // clock by at most `max_gap`, however long it takes.
  if (limit == not_watched) return const_cast<LoopClock*>(this)->watch_turn(time);
  return std::min(time - stalled(), time_point(duration(limit)));
}

ROOST_DECL void LoopClock::listen(std::weak_ptr<LateListener> listener) {
  const std::lock_guard lock(mutex_);
  std::erase_if(listeners_, [](const auto& other) { return other.expired(); });
  listeners_.push_back(std::move(listener));
}

ROOST_DECL void LoopClock::stall(duration by) {
  {
    const std::lock_guard lock(mutex_);
    record(base_->now(), by);
  }
  tell(by);
}

ROOST_DECL void LoopClock::arm(Timer& timer) {
  if (is_manual_) return base_->arm(timer);
  if (timer.expiry() == Timer::never()) return;
  const std::lock_guard lock(mutex_);
  if (++pending_ > 1 || !tick_) return;
  if (limit_ == not_watched) note_turn();
  start_tick();
}

ROOST_DECL void LoopClock::disarm(Timer& timer) noexcept {
  if (is_manual_) return base_->disarm(timer);
  if (timer.expiry() == Timer::never()) return;
  const std::lock_guard lock(mutex_);
  if (--pending_ > 0) return;
  if (!is_turn_posted_) limit_ = not_watched;
  if (tick_) tick_->cancel();  // the tick may be the last thing that keeps `run` from returning
}

ROOST_DECL LoopClock::time_point LoopClock::catches_up_at() const noexcept {
  return time_point(duration(caught_up_.load(std::memory_order_relaxed)));
}

ROOST_DECL void LoopClock::on_timer() {
  if (is_manual_) return;
  duration late_by{};
  {
    const std::lock_guard lock(mutex_);
    if (limit_ != not_watched) late_by = note_turn();
  }
  tell(late_by);
}

ROOST_DECL LoopClock::time_point LoopClock::watch_turn(time_point time) noexcept {
  const std::lock_guard lock(mutex_);
  const auto self = weak_from_this().lock();
  if (limit_ == not_watched && tick_ && self) {
    try {
      boost::asio::post(tick_->get_executor(), [self] { self->on_turn(); });
      is_turn_posted_ = true;
      note_turn();
    } catch (...) {  // no memory: this turn is not watched
    }
  }
  return std::min(time - stalled(), time_point(duration(limit_)));
}

ROOST_DECL void LoopClock::on_turn() {
  duration late_by{};
  {
    const std::lock_guard lock(mutex_);
    late_by = note_turn();
    is_turn_posted_ = false;
    if (pending_ == 0) limit_ = not_watched;
  }
  tell(late_by);
}

ROOST_DECL void LoopClock::start_tick() {
  tick_->expires_after(tick);
  tick_->async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (!error) self->on_tick();
  });
}

ROOST_DECL void LoopClock::on_tick() {
  duration late_by{};
  {
    const std::lock_guard lock(mutex_);
    if (pending_ == 0 || !tick_) return;
    late_by = note_turn();
    start_tick();
  }
  tell(late_by);
}

ROOST_DECL LoopClock::duration LoopClock::note_turn() noexcept {
  const time_point time = base_->now();
  const time_point limit{duration(limit_)};
  const duration late_by = std::max(time - stalled() - limit, duration::zero());
  if (late_by > duration::zero()) {
    record(time, late_by);
    caught_up_ = (time + catching_up).time_since_epoch().count();
  }
  limit_ = (time - stalled() + max_gap).time_since_epoch().count();
  return late_by;
}

// Stalls less than a second apart count as one: an overloaded loop is late again and again.
ROOST_DECL void LoopClock::record(time_point end, duration length) noexcept {
  stalled_ += length.count();
  Stall& last = recent_.front();
  if (end - last.end < std::chrono::seconds(1)) {
    last = {end, end - stalled(), last.length + length};
    return;
  }
  std::move_backward(recent_.begin(), recent_.end() - 1, recent_.end());
  last = {end, end - stalled(), length};
}

ROOST_DECL LoopClock::time_point LoopClock::to_base(time_point time) const noexcept {
  const std::lock_guard lock(mutex_);
  duration before = stalled();
  for (const Stall& stall : recent_) {
    if (time > stall.when) break;
    before -= stall.length;
  }
  return time + before;
}

ROOST_DECL LoopClock::time_point LoopClock::from_base(time_point time) const noexcept {
  const std::lock_guard lock(mutex_);
  duration before = stalled();
  time_point at_most = time_point::max();
  for (const Stall& stall : recent_) {
    if (time >= stall.end) break;
    before -= stall.length;
    at_most = stall.when;
  }
  return std::min(time - before, at_most);
}

ROOST_DECL void LoopClock::tell(duration late_by) {
  if (late_by < worth_telling) return;
  std::vector<std::weak_ptr<LateListener>> listeners;
  {
    const std::lock_guard lock(mutex_);
    listeners = listeners_;
  }
  for (const auto& weak : listeners) {
    if (const auto listener = weak.lock()) listener->on_late(late_by);
  }
}

ROOST_DECL void LoopClock::on_context_destroyed() noexcept {
  const auto self = weak_from_this().lock();  // the pending tick may be the only owner
  const std::lock_guard lock(mutex_);
  if (tick_) base_->detach(*this);
  tick_.reset();
  limit_ = not_watched;
}

}  // namespace roost::detail
