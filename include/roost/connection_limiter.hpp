// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "roost/clock.hpp"
#include "roost/detail/room_index.hpp"
#include "roost/detail/token_bucket.hpp"
#include "roost/rate_limit.hpp"

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
  explicit ConnectionLimiter(KeyLimits limits = {}, Clock& clock = Clock::system())
      : limits_(limits), clock_(&clock) {
    detail::validate(limits.rate, "rate");
  }

  /// The place of one connection, free again when destroyed; or a refusal.
  class [[nodiscard]] Slot {
   public:
    /// A place that nobody counts.
    Slot() noexcept = default;
    /// Takes the place over; @p other has one that nobody counts.
    Slot(Slot&& other) noexcept { *this = std::move(other); }
    /// The same, after it has given its own back.
    Slot& operator=(Slot&& other) noexcept {
      if (this == &other) return *this;
      release();
      entries_ = std::move(other.entries_);
      entry_ = std::exchange(other.entry_, nullptr);
      retry_after_ = other.retry_after_;
      return *this;
    }
    ~Slot() { release(); }

    /// Whether there is a place.
    [[nodiscard]] explicit operator bool() const noexcept { return retry_after_.count() == 0; }
    /// When to try again, for a `Retry-After`; 0: there is a place.
    [[nodiscard]] std::chrono::seconds retry_after() const noexcept { return retry_after_; }
    /// Gives the place back before the end.
    void release() noexcept {
      if (Entry* const entry = std::exchange(entry_, nullptr)) --entry->connections;
      entries_.reset();
    }

   private:
    friend class ConnectionLimiter;
    std::shared_ptr<Entries> entries_;
    Entry* entry_ = nullptr;
    std::chrono::seconds retry_after_{};
  };

  /// A place for one more connection of @p key. An empty key is nobody's: it has no limit.
  Slot admit(std::string_view key) {
    Slot slot;
    if (key.empty()) return slot;
    const Clock::time_point now = clock_->now();
    auto found = entries_->find(key);
    if (found == entries_->end()) {
      forget_unused(now);
      found = entries_->emplace(std::string(key), Entry()).first;
    }
    Entry& entry = found->second;
    if (limits_.max_connections > 0 && entry.connections >= limits_.max_connections) {
      slot.retry_after_ = std::chrono::seconds(10);  // nobody knows when one of them leaves
    } else if (!entry.bucket.try_take(limits_.rate, now)) {
      const auto wait = entry.bucket.ready_at(limits_.rate) - now;
      slot.retry_after_ = std::chrono::ceil<std::chrono::seconds>(wait);
    } else {
      ++entry.connections;
      slot.entry_ = &entry;
      slot.entries_ = entries_;
    }
    return slot;
  }

  /// How many keys are remembered.
  [[nodiscard]] std::size_t size() const noexcept { return entries_->size(); }

 private:
  // Each time that they have doubled: constant time for each, however many come.
  void forget_unused(Clock::time_point now) {
    if (entries_->size() < sweep_at_) return;
    std::erase_if(*entries_, [now](const auto& item) {
      return item.second.connections == 0 && item.second.bucket.is_full(now);
    });
    sweep_at_ = std::max<std::size_t>(1'024, 2 * entries_->size());
  }

  KeyLimits limits_;
  Clock* clock_;
  std::shared_ptr<Entries> entries_ = std::make_shared<Entries>();
  std::size_t sweep_at_ = 1'024;
};

}  // namespace roost
