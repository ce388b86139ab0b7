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

/// Which of its messages a publisher sent: the numbers of one node, epoch and channel go up by one.
struct SequenceStamp {
  std::string node;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
};

/// How a channel is listened to.
struct ListeningSince {
  // Not explicit: for most it is but a number.
  ListeningSince(std::uint64_t its_subscription, Clock::time_point its_since = {},
                 bool its_is_unbroken = true) noexcept
      : subscription(its_subscription), since(its_since), is_unbroken(its_is_unbroken) {}

  /// Another number for each time that the channel was subscribed on purpose: what came while it
  /// was not, is not missing.
  std::uint64_t subscription;
  /// When Redis acknowledged that for the first time.
  Clock::time_point since;
  /// The connection has not been lost since.
  bool is_unbroken;
};

/// When a publisher sent the messages of a channel, on the clock of the one who asks.
struct SendTimes {
  std::uint64_t first = 1;  ///< The first number that was sent at all.
  Clock::time_point first_at;
  Clock::time_point last_at;
};

/// What a number says about the ones before it.
struct SequenceVerdict {
  enum class Kind {
    expected,
    gap,
    duplicate,
    unknown,  ///< They may be missing, or be none of ours.
  };

  Kind kind = Kind::expected;
  // What is missing, or what came again.
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// Finds out what was lost, and what comes twice, by the numbers in the messages.
///
/// Numbers begin at 1. Where the first that is heard of a publisher is higher, the ones before it
/// were sent before we subscribed, and are none of ours; or they were lost. On one connection since
/// the subscription nothing gets lost, so that they are none of ours. After a connection was lost,
/// or when the publisher may have been forgotten, they are in doubt: until the publisher announces
/// when it began, or for a while; then they are reported as unknown.
///
/// A connection that was lost and re-made does not change the number of a publisher that is known:
/// what came meanwhile is missing. One that arrives after a later one counts as a duplicate,
/// because the order is promised and it has been reported missing. Bounded: the publishers not
/// heard of for longest are forgotten.
class Sequences {
 public:
  using Kind = SequenceVerdict::Kind;
  using time_point = Clock::time_point;

  /// What is found out later, of others than the message that has come.
  struct Report {
    std::string node;
    std::string channel;
    SequenceVerdict verdict;
  };

  /// @param patience  for how long numbers may be in doubt
  explicit Sequences(std::size_t max_publishers,
                     Clock::duration patience = std::chrono::seconds(10)) noexcept
      : max_publishers_(max_publishers), patience_(patience) {}

  /// A message has come.
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

  /// The publisher says that it has sent everything up to this number: without that nobody would
  /// miss the last ones. It also settles what was in doubt.
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

  /// When something is in doubt for too long; `never` if nothing is.
  [[nodiscard]] time_point next_expiry() const noexcept {
    return doubts_.empty() ? time_point::max() : doubts_.front().until;
  }
  /// What is in doubt for too long is reported as unknown.
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
    joined_late,  ///< The ones before were sent before us, unless the publisher dropped them.
    in_doubt,
  };
  struct Publisher {
    std::string node;
    std::uint64_t epoch;
    std::string channel;
    std::uint64_t subscription;
    std::uint64_t last;
    State state = State::settled;
    // Of what is not settled: the numbers between what was heard before and what came.
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::optional<time_point> forgotten_at = {};  // another, the last time before this was heard
  };
  using List = std::list<Publisher>;  // the one heard of last is in front
  struct Found {
    List::iterator publisher;
    bool is_new;
    std::uint64_t from = 1;  ///< Of a new one: the first number that may be missing.
    std::optional<time_point> forgotten_at = {};  ///< Another, the last time before.
  };
  struct Doubt {
    time_point until;
    std::string key;
  };

  // The first number that is heard of a publisher leaves those before it open.
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
    if (times && times->first == publisher.to + 1) {  // the ones before were never sent
      return report(publisher, Kind::gap);
    }
    if (state == State::joined_late) return;
    const bool is_certain =
        times && times->first_at >= listening.since && !(publisher.forgotten_at >= times->first_at);
    report(publisher, is_certain ? Kind::gap : Kind::unknown);
  }

  // What to think of messages of a publisher of which nothing was heard, on an announcement.
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
  std::deque<Doubt> doubts_;  // in the order of their ends
  std::vector<Report> reports_;
  std::optional<time_point> forgotten_at_;  // the last time
};

}  // namespace roost::detail
