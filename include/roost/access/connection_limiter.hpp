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

/// The key of an address for a `ConnectionLimiter`: who has one IPv6 address has a network of them,
/// so these are taken by /64.
/// @returns empty, which has no limit, for loopback, private (RFC 1918, 6598, 4193) and link-local
///          addresses: that is a proxy in front of many clients rather than one of them.
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

/// What those who share a key (an address, a user) may have together.
struct KeyLimits {
  /// At once. 0: no limit.
  std::size_t max_connections = 1'000;
  /// New connections.
  RateLimit rate = {.per_second = 100, .burst = 1'000};
};

/// Counts connections by a key of your choice: what `listen` does for addresses, for your own
/// accept loop, or for what only a handler knows, such as the user.
/// @code
/// auto slot = limiter.admit(user_id);
/// if (!slot) co_await upgrade.reject(429, {}, {.retry_after = slot.retry_after()});
/// @endcode
///
/// It keeps an entry for each key that has a connection, or had so many within the last seconds
/// that its rate is not full again.
///
/// @par Lifetime       Slots may outlive it.
/// @par Thread safety  None: limiter and slots belong to one executor.
class ConnectionLimiter {
  struct Entry {
    std::size_t connections = 0;
    detail::TokenBucket bucket;
  };
  using Entries = std::unordered_map<std::string, Entry, detail::StringHash, std::equal_to<>>;

 public:
  /// @par Errors  `errc::invalid_option`, naming the field.
  explicit ConnectionLimiter(KeyLimits limits = {}, Clock& clock = Clock::system());

  /// The place of one connection, free again when destroyed; or a refusal.
  class [[nodiscard]] Slot {
   public:
    /// A place that nobody counts.
    Slot() noexcept = default;
    /// Takes the place over; @p other has one that nobody counts.
    Slot(Slot&& other) noexcept { *this = std::move(other); }
    /// The same, after it has given its own back.
    Slot& operator=(Slot&& other) noexcept;
    ~Slot() { release(); }

    /// Whether there is a place.
    [[nodiscard]] explicit operator bool() const noexcept { return retry_after_.count() == 0; }
    /// When to try again, for a `Retry-After`; 0: there is a place.
    [[nodiscard]] std::chrono::seconds retry_after() const noexcept { return retry_after_; }
    /// Gives the place back before the end.
    void release() noexcept;

   private:
    friend class ConnectionLimiter;
    std::shared_ptr<Entries> entries_;
    Entry* entry_ = nullptr;
    std::chrono::seconds retry_after_{};
  };

  /// A place for one more connection of @p key. An empty key is nobody's: it has no limit.
  Slot admit(std::string_view key);

  /// How many keys are remembered.
  [[nodiscard]] std::size_t size() const noexcept;

 private:
  // Each time that they have doubled: constant time for each, however many come.
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
