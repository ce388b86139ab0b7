// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace roost::detail {

/// Which of its messages a publisher sent: the numbers of one node, epoch and channel go up by one.
struct SequenceStamp {
  std::string node;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
};

/// What a number says about the ones before it.
struct SequenceVerdict {
  enum class Kind { expected, gap, duplicate };

  Kind kind = Kind::expected;
  // What is missing, or what came again.
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// Finds out what was lost, and what comes twice, by the numbers in the messages.
///
/// The first number of a publisher is the baseline: what was before it is none of ours. A
/// connection that was lost and re-made does not change that: what came meanwhile is missing. One
/// that arrives after a later one counts as a duplicate, because the order is promised and it has
/// been reported missing. Bounded: the publishers not heard of for longest are forgotten.
class Sequences {
 public:
  explicit Sequences(std::size_t max_publishers) noexcept : max_publishers_(max_publishers) {}

  /// A message has come.
  /// @param subscription  another number for each time that the channel was subscribed on purpose:
  ///                      what came while it was not, is not missing
  SequenceVerdict note(std::string_view channel, std::uint64_t subscription,
                       const SequenceStamp& stamp) {
    const auto [publisher, is_new] = find(channel, subscription, stamp);
    const std::uint64_t last = publisher->last;
    if (is_new) {
      publisher->last = stamp.sequence;
      return {};
    }
    if (stamp.sequence <= last) {
      return {SequenceVerdict::Kind::duplicate, stamp.sequence, stamp.sequence};
    }
    publisher->last = stamp.sequence;
    if (stamp.sequence == last + 1) return {};
    return {SequenceVerdict::Kind::gap, last + 1, stamp.sequence - 1};
  }

  /// The publisher says that it has sent everything up to this number: without that nobody would
  /// miss the last ones.
  SequenceVerdict announced(std::string_view channel, std::uint64_t subscription,
                            const SequenceStamp& stamp) {
    const auto [publisher, is_new] = find(channel, subscription, stamp);
    const std::uint64_t last = publisher->last;
    if (is_new || stamp.sequence > last) publisher->last = stamp.sequence;
    if (is_new || stamp.sequence <= last) return {};
    return {SequenceVerdict::Kind::gap, last + 1, stamp.sequence};
  }

  [[nodiscard]] std::size_t size() const noexcept { return by_key_.size(); }
  void clear() noexcept {
    by_key_.clear();
    publishers_.clear();
  }

 private:
  struct Publisher {
    std::string node;
    std::uint64_t epoch;
    std::string channel;
    std::uint64_t subscription;
    std::uint64_t last;
  };
  using List = std::list<Publisher>;  // the one heard of last is in front

  std::pair<List::iterator, bool> find(std::string_view channel, std::uint64_t subscription,
                                       const SequenceStamp& stamp) {
    const List::iterator first = publishers_.begin();
    const bool is_first = !publishers_.empty() && first->node == stamp.node &&
                          first->epoch == stamp.epoch && first->channel == channel;
    if (!is_first) {
      const std::string key = key_of(stamp.node, stamp.epoch, channel);
      const auto found = by_key_.find(key);
      if (found == by_key_.end()) return {add(key, channel, subscription, stamp), true};
      publishers_.splice(first, publishers_, found->second);
    }
    Publisher& publisher = publishers_.front();
    const bool is_new = std::exchange(publisher.subscription, subscription) != subscription;
    return {publishers_.begin(), is_new};
  }

  List::iterator add(const std::string& key, std::string_view channel, std::uint64_t subscription,
                     const SequenceStamp& stamp) {
    publishers_.push_front(
        {stamp.node, stamp.epoch, std::string(channel), subscription, stamp.sequence});
    by_key_.emplace(key, publishers_.begin());
    if (by_key_.size() > max_publishers_) {
      const Publisher& oldest = publishers_.back();
      by_key_.erase(key_of(oldest.node, oldest.epoch, oldest.channel));
      publishers_.pop_back();
    }
    return publishers_.begin();
  }

  static std::string key_of(std::string_view node, std::uint64_t epoch, std::string_view channel) {
    return std::string(node)
        .append("\n")
        .append(std::to_string(epoch))
        .append("\n")
        .append(channel);
  }

  const std::size_t max_publishers_;
  List publishers_;
  std::unordered_map<std::string, List::iterator> by_key_;
};

}  // namespace roost::detail
