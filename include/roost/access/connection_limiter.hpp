// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "roost/access/rate_limit.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/text/text.hpp"

namespace roost {

/// Returns the key of an address for a `ConnectionLimiter`. The key of an IPv6 address is its /64
/// network: a client with one address usually has the whole network.
/// @returns an empty key, which has no limit, for loopback, private (RFC 1918, 6598, 4193) and
///          link-local addresses: such an address is more likely a proxy in front of many clients
[[nodiscard]] inline std::string address_key(const boost::asio::ip::address& address) {
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

/// The limits on all connections that share a key (an address, a user).
struct KeyLimits {
  /// How many connections may exist at the same time. 0: no limit.
  std::size_t max_connections = 1'000;
  /// How many new connections are admitted.
  RateLimit rate = {.per_second = 100, .burst = 1'000};
};

/// Limits connections per key. `listen` uses it with addresses as keys; use it in your own accept
/// loop, or in a handler with a key that only the handler knows, such as the user.
/// @code
/// auto slot = limiter.admit(user_id);
/// if (!slot) co_await upgrade.reject(429, {}, {.retry_after = slot.retry_after()});
/// @endcode
///
/// The limiter keeps an entry for each key that has a connection, and for keys without one until
/// their rate allows a full burst again.
///
/// @par Lifetime       Slots may outlive the limiter.
/// @par Thread safety  None: limiter and slots belong to one executor.
class ConnectionLimiter {
  struct Entry {
    std::size_t connections = 0;
    detail::TokenBucket bucket;
  };
  using Entries = std::unordered_map<std::string, Entry, detail::StringHash, std::equal_to<>>;
  struct Place {
    std::shared_ptr<Entries> entries;
    Entry* entry = nullptr;
    std::chrono::seconds retry_after{};
  };

 public:
  /// @par Errors  `errc::invalid_option`, naming the field.
  explicit ConnectionLimiter(KeyLimits limits = {}, Clock& clock = Clock::system());

  /// The place of one connection, given back on destruction; or a refusal.
  class [[nodiscard]] Slot {
   public:
    /// Makes a place that is not counted.
    Slot() noexcept = default;
    /// @private Called by the limiter.
    explicit Slot(Place place) noexcept : place_(std::move(place)) {}
    /// Takes over the place of @p other, which then has one that is not counted.
    Slot(Slot&& other) noexcept { *this = std::move(other); }
    /// Gives back its own place, then takes over the place of @p other.
    Slot& operator=(Slot&& other) noexcept;
    ~Slot() { release(); }

    /// Returns whether the connection has a place; false if it was refused.
    [[nodiscard]] explicit operator bool() const noexcept {
      return place_.retry_after.count() == 0;
    }
    /// Returns when to try again, for a `Retry-After` header; 0 if the connection has a place.
    [[nodiscard]] std::chrono::seconds retry_after() const noexcept { return place_.retry_after; }
    /// Gives the place back now rather than on destruction.
    void release() noexcept;

   private:
    Place place_;
  };

  /// Asks for a place for one more connection of @p key. An empty key has no limit.
  Slot admit(std::string_view key);

  /// Returns how many keys have an entry.
  [[nodiscard]] std::size_t size() const noexcept;

 private:
  // Runs each time the number of entries has doubled: constant time per admission on average.
  void forget_unused(Clock::time_point now);

  KeyLimits limits_;
  Clock* clock_;
  std::shared_ptr<Entries> entries_;
  std::size_t sweep_at_ = 1'024;
};

inline ConnectionLimiter::ConnectionLimiter(KeyLimits limits, Clock& clock)
    : limits_(limits), clock_(&clock), entries_(std::make_shared<Entries>()) {
  detail::validate(limits.rate, "rate");
}

inline ConnectionLimiter::Slot& ConnectionLimiter::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  release();
  place_.entries = std::move(other.place_.entries);
  place_.entry = std::exchange(other.place_.entry, nullptr);
  place_.retry_after = other.place_.retry_after;
  return *this;
}

inline void ConnectionLimiter::Slot::release() noexcept {
  if (Entry* const entry = std::exchange(place_.entry, nullptr)) --entry->connections;
  place_.entries.reset();
}

inline ConnectionLimiter::Slot ConnectionLimiter::admit(std::string_view key) {
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

inline std::size_t ConnectionLimiter::size() const noexcept { return entries_->size(); }

inline void ConnectionLimiter::forget_unused(Clock::time_point now) {
  if (entries_->size() < sweep_at_) return;
  std::erase_if(*entries_, [now](const auto& item) {
    return item.second.connections == 0 && item.second.bucket.is_full(now);
  });
  sweep_at_ = std::max<std::size_t>(1'024, 2 * entries_->size());
}

}  // namespace roost
