// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "roost/access/detail/token_bucket.hpp"
#include "roost/access/rate_limit.hpp"
#include "roost/base/build/config.hpp"
#include "roost/base/clock.hpp"
#include "roost/base/text/string_hash.hpp"

namespace roost {

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
