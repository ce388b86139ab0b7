// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "roost/base/clock.hpp"

namespace roost::detail {

/// Identifies a message: the numbers of one node, epoch and channel increase by one.
struct SequenceStamp {
  std::string node;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
};

/// Numbers the messages of each channel of this node: 1, 2, 3, ... within an epoch. Bounded: with
/// too many channels all numbers begin anew, in a new epoch.
class Numbering {
 public:
  struct Number {
    std::uint64_t epoch;
    std::uint64_t sequence;
  };

  Numbering(std::uint64_t first_epoch, std::size_t max_channels) noexcept
      : epoch_(first_epoch), max_channels_(max_channels) {}

  Number next(const std::string& channel) {
    if (last_.size() >= max_channels_ && !last_.contains(channel)) {
      last_.clear();
      ++epoch_;
    }
    return {epoch_, ++last_[channel]};
  }

 private:
  std::uint64_t epoch_;
  const std::size_t max_channels_;
  std::unordered_map<std::string, std::uint64_t> last_;
};

/// Since when a channel is subscribed.
struct ListeningSince {
  // Not explicit: most callers have only the number.
  ListeningSince(std::uint64_t its_subscription, Clock::time_point its_since = {},
                 bool its_is_unbroken = true) noexcept
      : subscription(its_subscription), since(its_since), is_unbroken(its_is_unbroken) {}

  /// Changes each time the channel is subscribed on purpose: messages published while it was not
  /// subscribed are not missing.
  std::uint64_t subscription;
  /// When Redis acknowledged the subscription first.
  Clock::time_point since;
  /// Whether the connection has not been lost since.
  bool is_unbroken;
};

/// When a publisher sent the messages of a channel, on the clock of this process.
struct SendTimes {
  std::uint64_t first = 1;  ///< The first number that was sent at all.
  Clock::time_point first_at;
  Clock::time_point last_at;
};

/// What the number of a message says about earlier messages.
struct SequenceVerdict {
  enum class Kind {
    expected,
    gap,
    duplicate,
    unknown,  ///< They may be lost, or from before we subscribed.
  };

  Kind kind = Kind::expected;
  // The missing messages, or those that came again.
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// Detects lost and duplicate messages from their numbers.
///
/// Numbers begin at 1. If the first number received from a publisher is higher, the earlier
/// messages were sent before we subscribed, or they were lost. If the connection has not been lost
/// since the subscription, they cannot have been lost. If it was lost, or if the publisher may have
/// been forgotten, the earlier messages are in doubt: until the publisher announces when it began,
/// or for a while. Then they are reported as unknown.
///
/// Reconnecting does not change the number expected from a known publisher: messages sent meanwhile
/// are missing. A message that arrives after a later one counts as a duplicate, because order is
/// guaranteed and it was already reported missing. Bounded: the publishers that were silent for
/// longest are forgotten.
class Sequences {
 public:
  using Kind = SequenceVerdict::Kind;
  using time_point = Clock::time_point;

  /// A verdict that is reached later, about earlier messages of a publisher.
  struct Report {
    std::string node;
    std::string channel;
    SequenceVerdict verdict;
  };

  /// @param patience  how long messages may be in doubt
  explicit Sequences(std::size_t max_publishers,
                     Clock::duration patience = std::chrono::seconds(10)) noexcept
      : max_publishers_(max_publishers), patience_(patience) {}

  /// Notes a message that has arrived.
  /// @returns what its number says.
  SequenceVerdict note(std::string_view channel, const ListeningSince& listening,
                       const SequenceStamp& stamp, time_point now = {}) {
    Found found = find(channel, listening, stamp, now);
    Publisher& publisher = *found.publisher;
    const std::uint64_t last = publisher.last;
    if (found.is_new) {
      publisher.last = stamp.sequence;
      suspect(found, listening, stamp.sequence, now);
      return {};
    }
    if (stamp.sequence <= last) {
      return {Kind::duplicate, stamp.sequence, stamp.sequence};
    }
    publisher.last = stamp.sequence;
    if (stamp.sequence == last + 1) return {};
    return {Kind::gap, last + 1, stamp.sequence - 1};
  }

  /// Notes an announcement: the publisher has sent everything up to this number. Without
  /// announcements the loss of the last messages would not be noticed. Also settles messages in
  /// doubt.
  SequenceVerdict announced(std::string_view channel, const ListeningSince& listening,
                            const SequenceStamp& stamp,
                            const std::optional<SendTimes>& times = std::nullopt,
                            time_point now = {}) {
    Found found = find(channel, listening, stamp, now);
    Publisher& publisher = *found.publisher;
    const std::uint64_t last = publisher.last;
    if (found.is_new || stamp.sequence > last) publisher.last = stamp.sequence;
    if (found.is_new) {
      if (found.from > stamp.sequence) return {};
      return {judge_unheard(found, listening, times), found.from, stamp.sequence};
    }
    settle(publisher, listening, times);
    if (stamp.sequence <= last) return {};
    return {Kind::gap, last + 1, stamp.sequence};
  }

  /// When the next doubt expires; `never` if there is none.
  [[nodiscard]] time_point next_expiry() const noexcept {
    return doubts_.empty() ? time_point::max() : doubts_.front().until;
  }
  /// Reports messages as unknown that have been in doubt for too long.
  void expire(time_point now) {
    while (!doubts_.empty() && doubts_.front().until <= now) {
      const auto found = by_key_.find(doubts_.front().key);
      if (found != by_key_.end() && found->second->state == State::in_doubt) {
        report(*found->second, Kind::unknown);
      }
      doubts_.pop_front();
    }
  }
  [[nodiscard]] std::vector<Report> take_reports() { return std::exchange(reports_, {}); }
  [[nodiscard]] bool has_reports() const noexcept { return !reports_.empty(); }

  [[nodiscard]] std::size_t size() const noexcept { return by_key_.size(); }
  void clear() noexcept {
    by_key_.clear();
    publishers_.clear();
    doubts_.clear();
    reports_.clear();
    forgotten_at_.reset();
  }

 private:
  enum class State {
    settled,
    joined_late,  ///< Earlier messages were sent before we subscribed, or dropped.
    in_doubt,
  };
  struct Publisher {
    std::string node;
    std::uint64_t epoch;
    std::string channel;
    std::uint64_t subscription;
    std::uint64_t last;
    State state = State::settled;
    // The messages in doubt: those between the last known one and the first that arrived.
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::optional<time_point> forgotten_at = {};  // when another publisher was last forgotten
  };
  using List = std::list<Publisher>;  // the most recently heard is in front
  struct Found {
    List::iterator publisher;
    bool is_new;
    std::uint64_t from = 1;                       ///< For a new one: the first that may be missing.
    std::optional<time_point> forgotten_at = {};  ///< When another was last forgotten.
  };
  struct Doubt {
    time_point until;
    std::string key;
  };

  // Called for the first number received from a publisher: whether earlier messages are in doubt.
  void suspect(const Found& found, const ListeningSince& listening, std::uint64_t sequence,
               time_point now) {
    if (found.from >= sequence) return;
    Publisher& publisher = *found.publisher;
    publisher.from = found.from;
    publisher.to = sequence - 1;
    publisher.state = State::joined_late;
    publisher.forgotten_at = found.forgotten_at;
    if (listening.is_unbroken && !(found.forgotten_at >= listening.since)) return;
    publisher.state = State::in_doubt;
    doubts_.push_back({now + patience_, key_of(publisher)});
  }

  void settle(Publisher& publisher, const ListeningSince& listening,
              const std::optional<SendTimes>& times) {
    const State state = std::exchange(publisher.state, State::settled);
    if (state == State::settled) return;
    if (times && times->first == publisher.to + 1) {  // earlier ones were never sent
      return report(publisher, Kind::gap);
    }
    if (state == State::joined_late) return;
    const bool is_certain =
        times && times->first_at >= listening.since && !(publisher.forgotten_at >= times->first_at);
    report(publisher, is_certain ? Kind::gap : Kind::unknown);
  }

  // Judges messages of a publisher of which only an announcement has arrived.
  static Kind judge_unheard(const Found& found, const ListeningSince& listening,
                            const std::optional<SendTimes>& times) {
    const bool is_doubtful = !listening.is_unbroken || found.forgotten_at >= listening.since;
    if (!is_doubtful) return Kind::expected;
    if (!times) return Kind::unknown;
    if (times->last_at < listening.since) return Kind::expected;
    const bool is_certain =
        times->first_at >= listening.since && !(found.forgotten_at >= times->first_at);
    return is_certain ? Kind::gap : Kind::unknown;
  }

  void report(Publisher& publisher, Kind kind) {
    publisher.state = State::settled;
    reports_.push_back({publisher.node, publisher.channel, {kind, publisher.from, publisher.to}});
  }

  Found find(std::string_view channel, const ListeningSince& listening, const SequenceStamp& stamp,
             time_point now) {
    const List::iterator first = publishers_.begin();
    const bool is_first = !publishers_.empty() && first->node == stamp.node &&
                          first->epoch == stamp.epoch && first->channel == channel;
    if (!is_first) {
      const std::string key = key_of(stamp.node, stamp.epoch, channel);
      const auto found = by_key_.find(key);
      if (found == by_key_.end()) {
        const auto forgotten_at = forgotten_at_;
        return {add(key, channel, listening, stamp, now), true, 1, forgotten_at};
      }
      publishers_.splice(first, publishers_, found->second);
    }
    Publisher& publisher = publishers_.front();
    const bool is_new =
        std::exchange(publisher.subscription, listening.subscription) != listening.subscription;
    if (is_new && publisher.state == State::in_doubt) report(publisher, Kind::unknown);
    if (is_new) publisher.state = State::settled;
    return {publishers_.begin(), is_new, publisher.last + 1, std::nullopt};
  }

  List::iterator add(const std::string& key, std::string_view channel,
                     const ListeningSince& listening, const SequenceStamp& stamp, time_point now) {
    if (by_key_.size() >= max_publishers_) forget_oldest(now);
    publishers_.push_front({.node = stamp.node,
                            .epoch = stamp.epoch,
                            .channel = std::string(channel),
                            .subscription = listening.subscription,
                            .last = stamp.sequence});
    by_key_.emplace(key, publishers_.begin());
    return publishers_.begin();
  }
  void forget_oldest(time_point now) {
    Publisher& oldest = publishers_.back();
    if (oldest.state == State::in_doubt) report(oldest, Kind::unknown);
    forgotten_at_ = now;
    by_key_.erase(key_of(oldest));
    publishers_.pop_back();
  }

  static std::string key_of(const Publisher& publisher) {
    return key_of(publisher.node, publisher.epoch, publisher.channel);
  }
  static std::string key_of(std::string_view node, std::uint64_t epoch, std::string_view channel) {
    return std::string(node)
        .append("\n")
        .append(std::to_string(epoch))
        .append("\n")
        .append(channel);
  }

  const std::size_t max_publishers_;
  const Clock::duration patience_;
  List publishers_;
  std::unordered_map<std::string, List::iterator> by_key_;
  std::deque<Doubt> doubts_;  // ordered by `until`
  std::vector<Report> reports_;
  std::optional<time_point> forgotten_at_;  // when a publisher was last forgotten
};

}  // namespace roost::detail
