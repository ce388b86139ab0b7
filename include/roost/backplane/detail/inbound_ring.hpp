// SPDX-License-Identifier: MIT
#pragma once

#include <deque>

#include "roost/backplane/detail/wire_message.hpp"
#include "roost/base/build/config.hpp"

namespace roost::detail {

struct InboundLimits {
  std::size_t messages;
  std::size_t bytes;
};

/// The messages that wait for one handler: in order, bounded by count and bytes.
class InboundRing {
 public:
  explicit InboundRing(InboundLimits limits) noexcept : limits_(limits) {}

  /// Whether the queue with @p parcel is within the limits multiplied by @p times.
  [[nodiscard]] bool has_room_for(const Parcel& parcel, std::size_t times = 1) const noexcept {
    return parcels_.size() / times < limits_.messages &&
           (bytes_ + parcel.bytes()) / times <= limits_.bytes;
  }
  [[nodiscard]] bool is_full() const noexcept {
    return parcels_.size() >= limits_.messages || bytes_ >= limits_.bytes;
  }
  [[nodiscard]] bool is_half_full() const noexcept {
    return parcels_.size() >= limits_.messages - limits_.messages / 2 ||
           bytes_ >= limits_.bytes - limits_.bytes / 2;
  }
  [[nodiscard]] std::size_t size() const noexcept { return parcels_.size(); }
  ROOST_WHEN_USED void push(const ParcelPtr& parcel) {
    parcels_.push_back(parcel);
    bytes_ += parcel->bytes();
  }
  [[nodiscard]] bool empty() const noexcept { return parcels_.empty(); }
  /// @pre `!empty()`
  ROOST_WHEN_USED ParcelPtr pop() {
    ParcelPtr parcel = std::move(parcels_.front());
    parcels_.pop_front();
    bytes_ -= parcel->bytes();
    return parcel;
  }
  /// Drops all but recorded messages and news.
  void keep_recorded() noexcept {
    std::erase_if(parcels_, [&](const ParcelPtr& parcel) {
      const bool is_plain = !parcel->news() && parcel->position().empty();
      if (is_plain) bytes_ -= parcel->bytes();
      return is_plain;
    });
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

}  // namespace roost::detail
