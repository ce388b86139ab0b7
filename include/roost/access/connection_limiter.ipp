// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>

#include "roost/access/connection_limiter.hpp"

namespace roost {

ROOST_DECL std::string address_key(const boost::asio::ip::address& address) {
  using namespace boost::asio::ip;
  if (address.is_v4() || address.to_v6().is_v4_mapped()) {
    const address_v4 v4 =
        address.is_v4() ? address.to_v4() : make_address_v4(v4_mapped, address.to_v6());
    const auto is_in = [n = v4.to_uint()](address_v4::uint_type network, int bits) {
      return (n ^ network) >> (32 - bits) == 0;
    };
    const bool is_inside = is_in(0x7F00'0000, 8) || is_in(0x0A00'0000, 8) ||
                           is_in(0xAC10'0000, 12) || is_in(0xC0A8'0000, 16) ||
                           is_in(0x6440'0000, 10) || is_in(0xA9FE'0000, 16);
    return is_inside ? std::string() : v4.to_string();
  }
  address_v6::bytes_type bytes = address.to_v6().to_bytes();
  const bool is_unique_local = (bytes[0] & 0xFE) == 0xFC;
  if (address.is_loopback() || is_unique_local || address.to_v6().is_link_local()) return {};
  std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
  return address_v6(bytes).to_string() + "/64";
}

ROOST_DECL ConnectionLimiter::ConnectionLimiter(KeyLimits limits, Clock& clock)
    : limits_(limits), clock_(&clock), entries_(std::make_shared<Entries>()) {
  detail::validate(limits.rate, "rate");
}

ROOST_DECL ConnectionLimiter::Slot& ConnectionLimiter::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  release();
  place_.entries = std::move(other.place_.entries);
  place_.entry = std::exchange(other.place_.entry, nullptr);
  place_.retry_after = other.place_.retry_after;
  return *this;
}

ROOST_DECL void ConnectionLimiter::Slot::release() noexcept {
  if (Entry* const entry = std::exchange(place_.entry, nullptr)) --entry->connections;
  place_.entries.reset();
}

ROOST_DECL ConnectionLimiter::Slot ConnectionLimiter::admit(std::string_view key) {
  if (key.empty()) return Slot();
  const Clock::time_point now = clock_->now();
  auto found = entries_->find(key);
  if (found == entries_->end()) {
    forget_unused(now);
    found = entries_->emplace(std::string(key), Entry()).first;
  }
  Entry& entry = found->second;
  if (limits_.max_connections > 0 && entry.connections >= limits_.max_connections) {
    const std::chrono::seconds nobody_knows_when_one_leaves(10);
    return Slot({.entries = {}, .retry_after = nobody_knows_when_one_leaves});
  }
  if (!entry.bucket.try_take(limits_.rate, now)) {
    const auto wait = entry.bucket.ready_at(limits_.rate) - now;
    return Slot({.entries = {}, .retry_after = std::chrono::ceil<std::chrono::seconds>(wait)});
  }
  ++entry.connections;
  return Slot({.entries = entries_, .entry = &entry});
}

ROOST_DECL std::size_t ConnectionLimiter::size() const noexcept { return entries_->size(); }

ROOST_DECL void ConnectionLimiter::forget_unused(Clock::time_point now) {
  if (entries_->size() < sweep_at_) return;
  std::erase_if(*entries_, [now](const auto& item) {
    return item.second.connections == 0 && item.second.bucket.is_full(now);
  });
  sweep_at_ = std::max<std::size_t>(1'024, 2 * entries_->size());
}

}  // namespace roost
