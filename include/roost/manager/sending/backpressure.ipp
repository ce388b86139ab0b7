// SPDX-License-Identifier: MIT
#pragma once

#include "roost/manager/sending/backpressure.hpp"

namespace roost::detail {

ROOST_DECL void Backpressure::park(Frame frame, std::shared_ptr<Delivery> delivery) {
  if (!parked_) parked_ = std::make_unique<Waiting>();
  const std::size_t posted = delivery ? 0 : frame.size();
  parked_->frames.push_back({std::move(frame), std::move(delivery)});
  parked_->posted_bytes += posted;  // only if there was memory
}

ROOST_DECL std::optional<Backpressure::Parked> Backpressure::unpark() {
  if (state_ == State::congested) return std::nullopt;
  auto front = take_front();
  if (front) released_bytes_ += front->frame.size();
  return front;
}

ROOST_DECL std::optional<Backpressure::Parked> Backpressure::take() { return take_front(); }

ROOST_DECL std::optional<Backpressure::Parked> Backpressure::take_front() {
  if (!has_parked()) return std::nullopt;
  Parked front = std::move(parked_->frames.front());
  parked_->frames.pop_front();
  if (!front.delivery) parked_->posted_bytes -= front.frame.size();
  if (parked_->frames.empty()) parked_.reset();
  return front;
}

}  // namespace roost::detail
