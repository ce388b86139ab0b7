// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "roost/base/clock.hpp"
#include "roost/redis/publishing/spool.hpp"

namespace roost::detail {

/// What a publisher has sent on a channel.
struct SentSoFar {
  std::string channel = {};
  std::uint64_t epoch = 0;
  std::uint64_t first = 0;  ///< The first number that was sent: those before it were dropped.
  std::uint64_t last = 0;
  Clock::time_point first_at = {};  ///< When it was to be sent.
  Clock::time_point last_at = {};
};

/// Which numbers the others are to be told, and when: a while after a message, once for each
/// channel; and again when some of them may have missed that. Bounded, as the numbering is.
class Announcements {
 public:
  Announcements(Clock::duration interval, std::size_t max_channels) noexcept
      : interval_(interval), max_channels_(max_channels) {}

  /// A message is sent.
  /// @param since  when it was handed over
  void note_sent(const std::string& channel, Numbering::Number number, Clock::time_point since,
                 Clock::time_point now) {
    if (number.epoch != epoch_) begin_epoch(number.epoch);
    const auto [found, is_new] = channels_.try_emplace(channel);
    Entry& entry = found->second;
    if (is_new) {
      entry.sent = {
          .channel = channel, .epoch = number.epoch, .first = number.sequence, .first_at = since};
    }
    entry.sent.last = number.sequence;
    entry.sent.last_at = now;
    tell(entry, now + interval_);
  }

  /// Somebody may have missed what was sent since then.
  void repeat(Clock::time_point since, Clock::time_point when) {
    for (auto& [channel, entry] : channels_) {
      if (entry.sent.last_at >= since) tell(entry, when);
    }
  }

  /// When the next is to be told; `never`: nothing is.
  [[nodiscard]] Clock::time_point due() const noexcept { return due_; }

  /// The next of those that are to be told at the same time; nothing: that was all.
  [[nodiscard]] std::optional<SentSoFar> take() {
    if (!old_.empty()) {
      std::optional<SentSoFar> oldest = std::move(old_.front());
      old_.pop_front();
      return oldest;
    }
    if (untold_.empty()) {
      due_ = Timer::never();
      return std::nullopt;
    }
    Entry& entry = channels_.at(untold_.front());
    untold_.pop_front();
    entry.is_untold = false;
    return entry.sent;
  }

 private:
  struct Entry {
    SentSoFar sent;
    bool is_untold = false;
  };

  void tell(Entry& entry, Clock::time_point when) {
    if (!std::exchange(entry.is_untold, true)) untold_.push_back(entry.sent.channel);
    due_ = std::min(due_, when);
  }
  // All channels begin anew; the ends of the old ones are still to be told.
  void begin_epoch(std::uint64_t epoch) {
    for (const std::string& channel : untold_) old_.push_back(channels_.at(channel).sent);
    while (old_.size() > max_channels_) old_.pop_front();
    untold_.clear();
    channels_.clear();
    epoch_ = epoch;
  }

  const Clock::duration interval_;
  const std::size_t max_channels_;
  std::uint64_t epoch_ = 0;
  std::unordered_map<std::string, Entry> channels_;  // as many as are numbered
  std::deque<std::string> untold_;
  std::deque<SentSoFar> old_;  // of the epoch before, not told yet
  Clock::time_point due_ = Timer::never();
};

}  // namespace roost::detail
