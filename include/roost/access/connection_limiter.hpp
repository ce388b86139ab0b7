// SPDX-License-Identifier: MIT
#pragma once

#include <boost/asio/ip/address.hpp>
#include <functional>
#include <memory>
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
[[nodiscard]] std::string address_key(const boost::asio::ip::address& address);

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

}  // namespace roost

#if !defined(ROOST_SEPARATE_COMPILATION)
#include "roost/access/connection_limiter.ipp"
#endif
